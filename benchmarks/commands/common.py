"""What the commands below `python -m benchmarks` share: options, progress on standard error, results on both."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Shown

from consumers.common.console import console
from consumers.common.errors import OperationFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.report.table import Table

QUIET_SECONDS = 10.0
"""Between two lines of progress where it is no terminal that reads them."""


def parse_numbers(option: str, text: str, example: str) -> list[int]:
    """Read numbers above 0, parted by commas.

    Raises:
        typer.BadParameter: they are none.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
        if min(numbers) < 1:
            raise ValueError
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text!r} is not a list of numbers such as {example}") from error
    return numbers


def parse_parts(text: str | None, known: list[str]) -> list[str]:
    """Read names of parts, parted by commas, in the order in which they are known; None: all.

    Raises:
        typer.BadParameter: there is no such part.
    """
    wanted = set(known) if text is None else {part.strip() for part in text.split(",")}
    if unknown := sorted(wanted - set(known)):
        raise typer.BadParameter(f"--parts {unknown[0]!r} is none of {', '.join(known)}")
    return [part for part in known if part in wanted]


@contextmanager
def progress(title: str) -> "Iterator[Callable[[str, float], None]]":
    """Show on standard error what is done, and how far it is; gives what is told of it."""
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
    """Progress in a file: a line now and then."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._due = 0.0

    def __call__(self, what: str, share: float) -> None:
        if time.monotonic() >= self._due:
            typer.echo(f"{self._title}, {share:.0%}: {what}", err=True)
            self._due = time.monotonic() + QUIET_SECONDS


@contextmanager
def mistakes_told() -> Iterator[None]:
    """Turn what a user can set right into a usage error."""
    from benchmarks.peers.bert_weights import NoBert
    from benchmarks.peers.peer import PeerMismatch
    from benchmarks.report.page import PageError
    from encoder.checkpoints.location import CheckpointError
    from encoder.restart.policies import PolicyError

    try:
        yield
    except (CheckpointError, PolicyError, PageError, NoBert) as error:
        raise typer.BadParameter(str(error)) from error
    except PeerMismatch as error:
        raise OperationFailed(str(error)) from error


def show(tables: "list[Table]") -> None:
    """Print tables on standard output."""
    for table in tables:
        shown = Shown(title=table.title)
        for number, head in enumerate(table.heads):
            shown.add_column(head, justify="left" if number < table.left else "right")
        for row in table.rows:
            shown.add_row(*row)
        console().print(shown)


def save(folder: Path, name: str, found: Any) -> Path:
    """Write a result as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return path
