"""Progress of long computations on standard error, with the time that is left: a bar on a terminal, else lines."""

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

PLAIN_SECONDS = 20.0
"""How often a line of progress is printed where there is no terminal for a bar."""


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Make the progress of a computation, by default in words or texts done.

    On a terminal it is a bar on standard error. Elsewhere, such as in the log of a job, it is a line now and then.

    Args:
        columns: what a bar shows instead of counts and the time left.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        return LineProgress(console)
    shown = columns or (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*shown, console=console)


def describe_left(task: Task) -> str:
    """Return the time that a task will take, as ", 4 min left"; empty if nothing is known of it."""
    seconds = task.time_remaining
    if seconds is None or task.finished:
        return ""
    minutes, hours = seconds / 60, seconds / 3600
    if seconds < 90:
        return f", {seconds:.0f} s left"
    return f", {minutes:.0f} min left" if minutes < 90 else f", {hours:.1f} h left"


class LineProgress(Progress):
    """Progress as lines of text, at most one in `PLAIN_SECONDS`.

    Args:
        console: where they are printed; not a terminal.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console=console, disable=True)
        self._out = console
        self._printed = time.monotonic()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """See `Progress`."""
        super().advance(task_id, advance)
        self._print(task_id)

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """See `Progress`."""
        super().update(task_id, **fields)
        self._print(task_id)

    def _print(self, task_id: TaskID) -> None:
        now = time.monotonic()
        if now - self._printed < PLAIN_SECONDS:
            return
        self._printed = now
        task = next(x for x in self.tasks if x.id == task_id)
        done = f"{task.percentage:.0f} %" if task.total else f"{task.completed:,.0f}"
        line = f"{task.description}: {done}{describe_left(task)}"
        self._out.print(line, highlight=False, markup=False, soft_wrap=True)
