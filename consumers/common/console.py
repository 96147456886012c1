"""Console output shared by commands: a console as wide as its tables, percentages, a sign that something loads."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Console on standard output; 150 columns wide where that is not a terminal."""
    from rich.console import Console

    return Console() if Console().is_terminal else Console(width=150)


def percent(value: float | None) -> str:
    """A share as a percentage with one digit; "-" for None."""
    return "-" if value is None else f"{100 * value:.1f}"


@contextmanager
def show_loading(what: str, log: bool = True) -> Iterator[None]:
    """Show on standard error that something loads, inside the block: a spinner on a terminal, else one log line.

    Args:
        what: what loads.
        log: whether there is a log line.
    """
    if not sys.stderr.isatty():
        if log:
            import structlog  # slow to import

            structlog.get_logger().info("loading", what=what)
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"loading {what}"):
        yield
