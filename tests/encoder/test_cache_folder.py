"""The folder of what is kept between runs: where it is, whole files only, and none where none can be written."""

import errno
import os
from pathlib import Path

import pytest

from encoder import cache_folder as module
from encoder.cache_folder import cache_folder, delete_abandoned, keep_newest, write_cached, write_failure


@pytest.fixture(autouse=True)
def no_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_failures", [])


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEARKEN_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("HEARKEN_CACHE_DIR", "relative")
    assert cache_folder() == tmp_path / "shared" / "hearken"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the standard
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "hearken"


def test_a_user_without_a_home_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HEARKEN_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert not write_cached(cache_folder() / "x", b"1")
    assert write_failure()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x"
    assert write_cached(path, b"12", memoryview(b"34"))
    assert path.read_bytes() == b"1234"
    with pytest.raises(TypeError):
        write_cached(path, b"56", "no buffer")
    assert path.read_bytes() == b"1234"
    assert list(path.parent.iterdir()) == [path]
    assert write_failure() is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_what_cannot_be_written_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    assert not write_cached(tmp_path / "x", b"1")
    assert not write_cached(tmp_path / "y", b"1")
    failure = write_failure()
    assert failure is not None
    assert failure[0] == tmp_path / "x"
    assert failure[1].errno == code
    assert list(tmp_path.iterdir()) == []


def test_the_newest_files_stay_and_abandoned_ones_go(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.x" for i in range(5)]
    for i, path in enumerate(files):
        path.touch()
        os.utime(path, (i, i))
    keep_newest([*tmp_path.glob("*.x"), tmp_path / "deleted by another process"], 2)
    assert sorted(tmp_path.iterdir()) == files[3:]
    for name in ("old.part", "new.part"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "old.part", (1, 1))
    delete_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"3.x", "4.x", "new.part"}
