"""Console output shared by commands: a console as wide as its tables, percentages, a sign that something loads."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


@contextmanager
def show_loading(what: str, log: bool = True) -> Iterator[None]:
    """Show inside the block, on standard error, what loads: a spinner on a terminal, else one log line if `log`."""
    if not sys.stderr.isatty():
        if log:
            import structlog  # slow to import

            structlog.get_logger().info("loading", what=what)
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"loading {what}"):
        yield
