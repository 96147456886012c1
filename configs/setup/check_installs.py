"""Whether `pip install .` works with the pips of stock systems: each in a fresh environment, from wheels alone.

`make check-install` takes all of them (minutes, 2 GB for a while), `ARGS="--only debian-12"` one. A system whose Python
is not on this machine is resolved, but not installed. `--quick` is one installation, with the oldest pip that a Python
here can have.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
SENTENCE = "we met anna rice in rome\n"


class CheckFailed(Exception):
    """What did not work, with the end of the output."""


@dataclass(frozen=True, slots=True)
class StockSystem:
    """A system, and the Python and pip that it comes with."""

    name: str
    python: str
    pip: str


SYSTEMS = (
    StockSystem("ubuntu-22.04", "3.11", "22.0.2"),  # the package python3.11-venv
    StockSystem("debian-12", "3.11", "23.0.1"),
    StockSystem("ubuntu-24.04", "3.12", "24.0"),
    StockSystem("debian-13", "3.13", "25.1.1"),
)


def find_python(version: str) -> str | None:
    """An interpreter of this version on the path or of pyenv; None if there is none."""
    candidates = [shutil.which(f"python{version}"), shutil.which("python3")]
    candidates += [str(x) for x in sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))]
    code = "import sys, venv, ensurepip; print('{}.{}'.format(*sys.version_info))"
    for candidate in filter(None, candidates):
        done = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return candidate
    return None


def requirements(*extras: str) -> list[str]:
    """What the project depends on, with extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [*project["dependencies"], *(x for name in extras for x in project["optional-dependencies"][name])]


def run(command: Sequence[str | Path], **options: object) -> str:
    """Run a command in a folder that is not the repository; returns its output.

    Raises:
        CheckFailed: its exit code is not 0.
    """
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise CheckFailed(f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return str(done.stdout)


def resolve(python: Path, version: str, extras: Sequence[str]) -> int:
    """Let pip choose wheels for everything; returns the number of packages.

    Raises:
        CheckFailed: something has no wheel for this Python, or the pins contradict each other.
    """
    with tempfile.TemporaryDirectory() as target:
        options = ["--only-binary=:all:", "--python-version", version, "--target", target, "--ignore-installed"]
        out = run([python, "-m", "pip", "install", "--dry-run", *options, "-c", LOCK, *requirements(*extras)])
    return len(re.findall(r"\S+-\d\S*", out.rpartition("Would install")[2]))


def first_example() -> str:
    """The first Python of docs/python.md."""
    (example, *_) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text("utf-8"), re.S)
    return str(example)


def install(python: Path, folder: Path) -> str:
    """Install a copy of the sources as a user does, and label a sentence with it; returns a line about it.

    Raises:
        CheckFailed: a step failed, or no label came.
    """
    source = folder / "source"
    for name in ("encoder", "stream", "consumers", "hearken"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    run([python, "-m", "pip", "install", "--only-binary=:all:", "-c", LOCK, *requirements()])
    run([python, "-m", "pip", "install", "-c", LOCK, source])
    environment = {k: x for k, x in os.environ.items() if k != "PYTHONPATH"} | {
        "HEARKEN_CACHE_DIR": str(folder / "cache")
    }
    hearken: list[str | Path] = [python.parent / "hearken", "tag", "--input", "text"]
    out = run(hearken, input=SENTENCE, cwd=folder, env=environment)
    if '"text":"anna rice"' not in out:
        raise CheckFailed(f"hearken tag did not label {SENTENCE.strip()!r}: {out}")
    lines = run([python, "-c", first_example()], cwd=folder, env=environment)
    if "('person', 'anna rice')" not in lines:
        raise CheckFailed(f"the five lines of docs/python.md did not label: {lines}")
    torch = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0
    size = sum(x.stat().st_size for x in python.parents[2].rglob("*") if x.is_file() and not x.is_symlink())
    with_torch = "with" if torch else "without"
    return f"installed, {size >> 20} MiB {with_torch} torch, and both hearken tag and import hearken label"


def check(system: StockSystem, extras: Sequence[str], resolve_too: bool) -> Iterator[str]:
    """Check one system; yields lines about it.

    Raises:
        CheckFailed: it does not work.
    """
    interpreter = find_python(system.python)
    with tempfile.TemporaryDirectory(prefix="hearken-install-") as folder:
        run([interpreter or sys.executable, "-m", "venv", f"{folder}/venv"])
        python = Path(folder) / "venv/bin/python"
        run([python, "-m", "pip", "install", f"pip=={system.pip}"])
        if resolve_too and tuple(map(int, system.pip.split("."))) >= (22, 2):  # --dry-run is not older
            yield f"{resolve(python, system.python, extras)} packages have wheels, with the extras {', '.join(extras)}"
        yield install(python, Path(folder)) if interpreter else f"not installed: no Python {system.python} here"


def main() -> int:
    """Check the systems that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[x.name for x in SYSTEMS], action="append", help="this system; repeatable")
    parser.add_argument("--quick", action="store_true", help="one installation with the oldest pip that can be had")
    parser.add_argument("--extras", nargs="*", default=["dev"], help="extras that are resolved too")
    arguments = parser.parse_args()
    systems = [x for x in SYSTEMS if not arguments.only or x.name in arguments.only]
    if arguments.quick:
        systems = [x for x in systems if find_python(x.python)][:1]
    failed = []
    for system in systems:
        started = time.monotonic()
        print(f"{system.name}: Python {system.python}, pip {system.pip}", flush=True)
        try:
            for line in check(system, arguments.extras, resolve_too=not arguments.quick):
                print(f"  {line} ({time.monotonic() - started:.0f} s)", flush=True)
        except CheckFailed as error:
            failed.append(system.name)
            print(f"  FAILED: {error}", flush=True)
    print(f"FAILED: {', '.join(failed)}" if failed else "OK")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
