"""Results of a benchmark: tables for the terminal and for Markdown pages, and JSON files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import typer
from rich.table import Table as RichTable

from consumers.common.console import console

R = TypeVar("R")
Columns = Mapping[str, Callable[[R], str]]
"""By heading, the text of a row's cell."""


@dataclass(frozen=True)
class Table:
    """Headings and rows of text; the first `left` columns are names, the others numbers."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1

    def markdown(self) -> str:
        """Return it as a Markdown table, without the title."""
        rule = ["---" if i < self.left else "---:" for i in range(len(self.heads))]
        return "\n".join("| " + " | ".join(row) + " |" for row in (self.heads, rule, *self.rows))

    def rich(self) -> RichTable:
        """Return it for the terminal."""
        table = RichTable(title=self.title)
        for number, head in enumerate(self.heads):
            table.add_column(head, justify="left" if number < self.left else "right")
        for row in self.rows:
            table.add_row(*row)
        return table


def make_table(title: str, rows: Iterable[R], columns: "Columns[R]", left: int = 1) -> Table:
    """Lay out one row for each of `rows`."""
    return Table(title, list(columns), [[text(row) for text in columns.values()] for row in rows], left)


def print_tables(tables: Iterable[Table]) -> None:
    """Print on standard output."""
    for table in tables:
        console().print(table.rich())


def save_json(folder: Path, name: str, report: Any) -> Path:
    """Write `NAME.json` into a folder, which is made if it is missing; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return path


def show_report(tables: Iterable[Table], out: Path | None, name: str, report: Any) -> None:
    """Print a report's tables, and write it as JSON where a folder was given."""
    print_tables(tables)
    if out is not None:
        typer.echo(save_json(out, name, report))


def format_ratio(ratio: float) -> str:
    """Format a ratio."""
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.1f}x"


def format_number(number: float) -> str:
    """Format a number with about three significant digits."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.1f}" if abs(number) >= 10 else f"{number:.3g}"
