"""A table that can become Markdown; the command line makes its own of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Heads and rows of text; the first `left` columns are names, the others numbers."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1

    def markdown(self) -> str:
        """Lay it out for a page, without the title."""
        line = [" | ".join(row) for row in (self.heads, self._rule(), *self.rows)]
        return "\n".join(f"| {x} |" for x in line)

    def _rule(self) -> list[str]:
        return ["---" if i < self.left else "---:" for i in range(len(self.heads))]


def times(ratio: float) -> str:
    """How many times as much."""
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.1f}x"


def short(number: float) -> str:
    """A number with about three digits that mean something."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.1f}" if abs(number) >= 10 else f"{number:.3g}"
