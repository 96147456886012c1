"""How many cores a process may use: the least of its affinity and the quotas of its control groups."""

from pathlib import Path

import pytest

from consumers.cli.main import main
from consumers.common.cores import usable_cores
from consumers.common.settings import SettingError
from consumers.runtime.serve_many import check_workers

V1 = "4:cpu,cpuacct:/a/b\n3:memory:/elsewhere\n"


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("DOT", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("quotas", "cores"),
    [
        ({}, 8),
        ({"": "max 100000"}, 8),
        ({"": "200000 100000"}, 2),
        ({"": "150000 100000"}, 2),
        ({"": "10000 100000"}, 1),
        ({"": "1600000 100000"}, 8),
        ({"a/b": "300000 100000"}, 3),
        ({"a": "300000 100000", "a/b": "max 100000"}, 3),
        ({"a": "300000 100000", "a/b": "500000 100000", "": "400000 100000"}, 3),
        ({"a/c": "100000 100000"}, 8),
        ({"": "what 100000"}, 8),
        ({"": ""}, 8),
        ({"": "100000 0"}, 8),
    ],
)
def test_quotas_of_version_2(tmp_path: Path, quotas: dict[str, str], cores: int) -> None:
    write(tmp_path, proc__self__cgroup="0::/a/b\n")
    for group, quota in quotas.items():
        folder = tmp_path / "sys/fs/cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(quota + "\n")
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("250000", 3), ("", 8)])
@pytest.mark.parametrize("group", ["", "a", "a/b"])
def test_quotas_of_version_1(tmp_path: Path, quota: str, cores: int, group: str) -> None:
    write(tmp_path, proc__self__cgroup=V1)
    folder = tmp_path / "sys/fs/cgroup/cpu" / group
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota + "\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == cores


def test_without_control_groups_it_is_the_affinity(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 8
    write(tmp_path, proc__self__cgroup="nonsense\n\n::::\n0::/../../etc\n")
    assert usable_cores(tmp_path) == 8


def test_more_workers_than_cores_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("consumers.runtime.serve_many.usable_cores", lambda: 3)
    check_workers(1)
    check_workers(3)
    with pytest.raises(SettingError, match=r"--workers .*may use 3 .*not 4"):
        check_workers(4)
    monkeypatch.setattr("consumers.runtime.serve_many.usable_cores", lambda: 1)
    check_workers(1)
    assert main(["serve", "--workers", "2"]) == 2
    told = capsys.readouterr().err
    assert "may use 1" in told
    assert told.count("\n") == 1
