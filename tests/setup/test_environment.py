"""`make setup`: where torch comes from, what is shown, and which Python is used."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.setup import environment
from configs.setup.environment import (
    CPU_INDEX,
    Environment,
    SetupError,
    choose_torch,
    find_index_settings,
    make_environment,
    shown,
)
from tests.waiting import run

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "configs" / "setup" / "environment.py"


def pip_settings(tmp_path: Path, file: str = "", **variables: str) -> str:
    """What pip itself lists, of a configuration file and of variables."""
    (tmp_path / "pip.conf").write_text(file)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    settings = kept | variables | {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    done = run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, env=settings)
    assert done.returncode == 0
    return str(done.stdout)


@pytest.mark.parametrize(
    ("file", "variables", "found"),
    [
        ("", {}, []),
        ("[global]\ntimeout = 60\ntrusted-host = a.example\n", {"PIP_DEFAULT_TIMEOUT": "180", "PIP_RETRIES": "9"}, []),
        (
            "[global]\ncert = /etc/ca.pem\nproxy = http://proxy:3128\n[install]\nuser = no\n",
            {"PIP_NO_CACHE_DIR": "1"},
            [],
        ),
        ("[global]\nindex-url = https://mirror.example/simple\n", {}, ["index-url"]),
        ("[install]\nextra-index-url =\n  https://a.example\n  https://b.example\n", {}, ["extra-index-url"]),
        ("[download]\nindex-url = https://mirror.example/simple\n", {}, []),
        ("", {"PIP_INDEX_URL": "https://mirror.example/simple"}, ["index-url"]),
        ("", {"PIP_EXTRA_INDEX_URL": "https://mirror.example/simple"}, ["extra-index-url"]),
        ("", {"PIP_FIND_LINKS": "/wheels", "PIP_NO_INDEX": "1"}, ["find-links", "no-index"]),
        ("[global]\nno-index = false\n", {"PIP_INDEX_URL": ""}, []),
    ],
)
def test_only_settings_that_say_where_packages_come_from_count(
    tmp_path: Path, file: str, variables: dict[str, str], found: list[str]
) -> None:
    listed = pip_settings(tmp_path, file, **variables)
    assert sorted(find_index_settings(listed)) == found
    index, reason = choose_torch("auto", listed, driver=False)
    assert index == ("" if found else CPU_INDEX)
    assert all(name in reason for name in found)


def test_a_driver_or_a_wish_decides_before_the_settings_of_pip() -> None:
    assert choose_torch("auto", "", driver=True)[0] == ""
    assert choose_torch("", "", driver=False)[0] == ""
    assert choose_torch("https://mine.example", "global.index-url='x'", driver=True)[0] == "https://mine.example"


def test_of_what_pip_says_the_large_downloads_and_the_steps_are_shown() -> None:
    lines = {
        "Collecting numpy>=2.0": "",
        "  Downloading torch-2.13.0-cp311-cp311-linux_x86_64.whl (526.6 MB)\n": "downloading "
        "torch-2.13.0-cp311-cp311-linux_x86_64.whl, 526.6 MB",
        "Downloading numpy-2.4.6.whl (17 MB)": "downloading numpy-2.4.6.whl, 17 MB",
        "Downloading idna-3.20-py3-none-any.whl (70 kB)": "",
        "Installing collected packages: a, b, c": "installing 3 packages",
        "Installing collected packages: a": "installing 1 package",
        "  Building editable for hearken (pyproject.toml): started": "building hearken",
        "  Building editable for hearken (pyproject.toml): finished with status 'done'": "",
        "WARNING: Retrying (Retry(total=4))": "WARNING: Retrying (Retry(total=4))",
    }
    assert {line: shown(line) for line in lines} == lines


def fake_environment(folder: Path, script: str) -> Environment:
    """An environment whose Python is a shell script."""
    made = Environment(folder)
    made.python.parent.mkdir(parents=True)
    made.python.write_text(f"#!/bin/sh\n{script}\n")
    made.python.chmod(0o755)
    return made


def test_a_long_step_shows_a_sign_of_life_and_leaves_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "SILENCE_SECONDS", 0.05)
    made = fake_environment(tmp_path / "v", 'echo "$@"; sleep 0.5; echo "Installing collected packages: torch"')
    made.pip_install("torch")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "      ... 0 s"
    assert out[-2] == "      installing 1 package"
    assert out[-1].startswith("      done in ")
    assert f"-c {ROOT / 'requirements.lock'} torch" in made.log.read_text()


def test_a_failed_step_ends_with_what_pip_said(tmp_path: Path) -> None:
    made = fake_environment(tmp_path / "v", "echo 'ERROR: no such package'; exit 1")
    with pytest.raises(SetupError, match="no such package"):
        made.pip_install("torch")


PIP = """case "$*" in
  *sys.version_info*) echo 3 12 1;;
  *--version*) echo pip 24.0 from here;;
  *config*) echo "global.timeout='60'";;
  *) echo "$@" >> {log};;
esac"""


@pytest.mark.parametrize(("purpose", "steps"), [("run", 1), ("test", 3)])
def test_every_step_says_what_is_installed_and_from_where(
    purpose: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "has_nvidia_driver", lambda: False)
    folder, log = tmp_path / "v", tmp_path / "log"
    fake_environment(folder, PIP.format(log=log))
    make_environment(folder, purpose, "auto", exact=False)
    out = capsys.readouterr().out
    assert "Python 3.12.1, pip 24.0" in out
    assert out.count("done in") == steps
    assert all(f"[{step}/{steps}] " in out for step in range(1, steps + 1))
    installed = log.read_text().splitlines()
    assert len(installed) == steps
    assert [CPU_INDEX in line for line in installed] == [False] * steps if purpose == "run" else [True, False, False]
    assert (CPU_INDEX in out) == (purpose == "test")


def test_without_the_index_of_torch_it_says_what_else_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not take the other build by itself: that is 5 GB which nobody asked for."""
    monkeypatch.setattr(environment, "has_nvidia_driver", lambda: False)
    broken = PIP.replace("in\n", "in\n  *--index-url*) echo 'ERROR: no route'; exit 1;;\n")
    fake_environment(tmp_path / "v", broken.format(log=tmp_path / "log"))
    with pytest.raises(SetupError, match=r"(?s)no route.*TORCH_INDEX="):
        make_environment(tmp_path / "v", "test", "auto", exact=False)
    assert not (tmp_path / "log").exists()


def test_an_old_python_can_read_it_and_says_what_is_needed(tmp_path: Path) -> None:
    ast.parse(SCRIPT.read_text("utf-8"), feature_version=(3, 6))
    code = (
        f"import sys, runpy; sys.version_info = (3, 9, 2); sys.argv = ['x', 'run', '--folder', {str(tmp_path / 'v')!r}]"
    )
    code += f"; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "3.11 or newer" in done.stderr
    assert "PYTHON=" in done.stderr
    assert not (tmp_path / "v").exists()


def test_an_old_python_hands_over_to_a_newer_one_that_starts(tmp_path: Path) -> None:
    for name, script in (("python3.13", "exit 127"), ("python3.12", '[ "$1" = -c ] || echo "went on with $*"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    code = f"import sys, runpy; sys.version_info = (3, 10, 1); sys.argv = [{str(SCRIPT)!r}, 'run']"
    code += f"; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert done.stdout == f"went on with {SCRIPT} run\n", done.stderr


def test_an_environment_is_made_kept_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    made = Environment(folder)
    made.create(exact=False)
    assert subprocess.run([str(made.python), "-c", "import pip"], check=False, timeout=60).returncode == 0
    (folder / "kept").touch()
    made.create(exact=True)
    assert (folder / "kept").exists()
    made.python.unlink()
    made.python.write_text("#!/bin/sh\necho 3 12 1\n")
    made.python.chmod(0o755)
    made.create(exact=False)
    assert (folder / "kept").exists()
    made.create(exact=True)
    assert not (folder / "kept").exists()
