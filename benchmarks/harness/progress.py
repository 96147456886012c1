"""Progress of a benchmark, on standard error."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

ReportProgress = Callable[[str, float], None]
"""Called with what is done next and the share of the work that is done."""
QUIET_SECONDS = 10.0
"""Between two lines of progress where standard error is not a terminal."""


@contextmanager
def show_progress(title: str) -> Iterator[ReportProgress]:
    """Show a bar on a terminal, else a line now and then."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield _Lines(title)
        return
    columns = (TextColumn(title), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=screen) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)
        bar.update(task, description="", completed=1.0)


class _Lines:
    """Progress as lines of text."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._due = 0.0

    def __call__(self, what: str, share: float) -> None:
        if time.monotonic() >= self._due:
            typer.echo(f"{self._title}, {share:.0%}: {what}", err=True)
            self._due = time.monotonic() + QUIET_SECONDS
