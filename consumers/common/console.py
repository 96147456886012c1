"""Console output shared by commands: a console as wide as its tables, percentages, a sign that something loads."""

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console() -> "Console":
    """Console on standard output; 150 columns wide where that is not a terminal."""
    from rich.console import Console

    return Console() if Console().is_terminal else Console(width=150)


def percent(value: float | None) -> str:
    """A share as a percentage with one digit; "-" for None."""
    return "-" if value is None else f"{100 * value:.1f}"


def make_table(*left: str, right: Iterable[str], title: str | None = None) -> "Table":
    """Make a table of text columns, then of right-aligned columns for figures."""
    from rich.table import Column, Table

    return Table(*left, *(Column(head, justify="right") for head in right), title=title)


COMPILED = "kernels for this processor (later starts find them)"


@contextmanager
def show_loading(what: str, log: bool = True) -> Iterator[None]:
    """Show inside the block, on standard error, what loads: on a terminal for how long, else one log line if `log`.

    The time that is left is estimated from the last time that the same was loaded on this machine, if a terminal was
    there to show it.
    """
    if not sys.stderr.isatty():
        if log:
            import structlog  # slow to import

            structlog.get_logger().info("loading", what=what)
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from encoder.cache_folder import cache_folder, write_cached

    file = cache_folder() / "loading" / re.sub(r"[^\w,-]+", "_", what)[:80]
    known = _read_seconds(file)
    usual = "" if known is None else f"of about {known:.0f} s"
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn(usual)
    begun = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(f"loading {what}", total=None)
        yield
    write_cached(file, f"{time.monotonic() - begun:.1f}".encode())


@contextmanager
def show_compiling() -> Iterator[Callable[[int], None]]:
    """Give a function to call whenever a kernel begins to be compiled, with the number of those that are done.

    From the first call on, a terminal shows on standard error how many are done; where there is none, one line is
    logged.
    """
    if not sys.stderr.isatty():
        import structlog

        told: list[int] = []

        def tell(done: int) -> None:
            if not told:
                structlog.get_logger().info("compiling", what=COMPILED)
            told.append(done)

        yield tell
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, visible=False)
        yield lambda done: progress.update(task, description=f"compiling {COMPILED}: {done} done", visible=True)


def _read_seconds(file: Path) -> float | None:
    """Return the seconds that a file holds; None if there is none."""
    try:
        return max(1.0, float(file.read_text()))
    except (OSError, ValueError):
        return None
