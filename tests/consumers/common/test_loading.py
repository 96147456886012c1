"""The sign that something loads: on a terminal with the time that it took before."""

import io
from pathlib import Path

import pytest

from consumers.common.console import show_compiling, show_loading


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kept", ["7.6", "rubbish", None])
def test_a_terminal_is_told_how_long_it_took_the_last_time(
    kept: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    err = Terminal()
    monkeypatch.setattr("sys.stderr", err)
    if kept is not None:
        (tmp_path / "loading").mkdir()
        (tmp_path / "loading" / "tagger_a_b").write_text(kept)
    with show_loading("tagger a/b"):
        pass
    assert "loading tagger a/b" in err.getvalue()
    assert ("of about 8 s" in err.getvalue()) == (kept == "7.6")
    (file,) = (tmp_path / "loading").iterdir()
    assert float(file.read_text()) < 60


@pytest.mark.parametrize("count", [0, 3])
def test_a_terminal_counts_the_kernels_that_are_compiled_and_is_silent_without_any(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    err = Terminal()
    monkeypatch.setattr("sys.stderr", err)
    with show_compiling() as shown:
        for done in range(count):
            shown(done)
    assert ("compiling kernels for this processor" in err.getvalue()) == (count > 0)
