"""Report of a verification: problems by kind, and counts."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.table import Table

Kind = Literal[
    "lost",  # an expected revision, final or dead letter is missing
    "doubled",  # a repeat under exactly_once, or a repeat that differs from the first
    "order",  # rev does not rise by one, or an older message is answered after a newer one
    "after_final",  # a closed segment was revised without an edit or delete
    "altered",  # a revision, label or dead letter differs from the expected one
    "stray",  # no input explains it
]

MAX_PROBLEMS = 1000
"""Limit of problems kept with details; all are counted."""


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """One problem: its kind, its place and a description."""

    kind: Kind
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


@dataclass(slots=True)
class VerifyReport:
    """Counts and problems of one verification."""

    messages: int = 0
    """Compared input records."""
    bad: int = 0
    """Input records that belong into the dead-letter topic."""
    sessions: int = 0
    scattered: int = 0
    """Sessions in several partitions, which are not compared because their order is not guaranteed."""
    revisions: int = 0
    """Revisions read, without repeats."""
    repeats: int = 0
    letters: int = 0
    finals: int = 0
    """Final revisions as expected."""
    rounded: int = 0
    """Revisions whose `stability` differs in its last digits, because other batches round differently."""
    counts: Counter[Kind] = field(default_factory=Counter)
    problems: list[VerifyProblem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.counts

    def add(self, kind: Kind, where: str, what: str) -> None:
        """Add a problem."""
        self.counts[kind] += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(VerifyProblem(kind, where, what))

    def figures(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        return asdict(self) | {"counts": dict(self.counts), "ok": self.ok}

    def table(self) -> Table:
        """Return the counts as a table for the console."""
        table = Table.grid(padding=(0, 3))
        rows = [
            ("input records, of them invalid", f"{self.messages:,}, {self.bad:,}"),
            ("sessions, of them in several partitions (not compared)", f"{self.sessions:,}, {self.scattered:,}"),
            ("revisions read, repeats dropped", f"{self.revisions:,}, {self.repeats:,}"),
            ("dead letters read", f"{self.letters:,}"),
            ("correct final revisions", f"{self.finals:,}"),
            ("revisions whose stability is rounded differently", f"{self.rounded:,}"),
            ("lost, doubled, out of order", f"{self.counts['lost']}, {self.counts['doubled']}, {self.counts['order']}"),
            (
                "changed after final, altered, stray",
                f"{self.counts['after_final']}, {self.counts['altered']}, {self.counts['stray']}",
            ),
            ("verdict", "equal to the output of one process" if self.ok else "WRONG"),
        ]
        for row in rows:
            table.add_row(*row)
        return table
