"""Progress of long computations: a bar on a terminal, lines with the time left elsewhere."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

import encoder.progress as progress
from encoder.progress import LineProgress, describe_left, progress_bar


def test_without_a_terminal_a_line_now_and_then_says_how_much_is_done_and_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    out = io.StringIO()
    bar = LineProgress(Console(file=out, width=80))
    bar.get_time = lambda: now  # type: ignore[method-assign]
    with bar:
        words = bar.add_task("words [of] text", total=1000)
        for _ in range(10):
            now += 9.0
            bar.advance(words, 50)
        bar.update(words, completed=1000)
    assert out.getvalue().splitlines() == [
        "words [of] text: 15 %, 3 min left",
        "words [of] text: 30 %, 2 min left",
        "words [of] text: 45 %, 2 min left",
    ]
    assert describe_left(bar.tasks[0]) == ""


def test_what_has_no_total_is_counted() -> None:
    out = io.StringIO()
    bar = LineProgress(Console(file=out, width=80))
    bar._printed = -1e9
    bar.advance(bar.add_task("messages", total=None), 1234)
    assert out.getvalue() == "messages: 1,234\n"


def test_standard_error_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress_bar(), LineProgress)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    assert not isinstance(progress_bar(), LineProgress)
