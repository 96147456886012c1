"""Console output shared by commands: a console as wide as its tables, and shares as text."""

from rich.console import Console


def console() -> Console:
    """Standard output; as wide as the tables where it is no terminal."""
    return Console() if Console().is_terminal else Console(width=150)


def percent(value: float | None) -> str:
    """A share as the tables have it."""
    return "-" if value is None else f"{100 * value:.1f}"
