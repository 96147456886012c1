"""Report of a verification: problems by kind, and counts."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.table import Table

Kind = Literal[
    "lost",  # a revision, final or dead letter is missing
    "doubled",  # a repeat under exactly_once, or one whose bytes differ from the first
    "order",  # rev does not rise by one, or an older message is answered after a newer one
    "after_final",  # a closed segment was revised without an edit or delete by its source
    "altered",  # a revision, label or dead letter is not as expected
    "stray",  # output without a cause in the input
]

MAX_PROBLEMS = 1000
"""Problems kept with their description; all are counted."""


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """One problem: kind, place and description."""

    kind: Kind
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


@dataclass(slots=True)
class VerifyReport:
    """Counts and problems of one comparison."""

    messages: int = 0
    """Input records compared."""
    bad: int = 0
    """Input records that must have a dead letter."""
    sessions: int = 0
    scattered: int = 0
    """Sessions with messages in several partitions: not compared, because their order is undefined."""
    revisions: int = 0
    """Revisions read, without repeats."""
    repeats: int = 0
    letters: int = 0
    finals: int = 0
    """Correct final revisions."""
    rounded: int = 0
    """Revisions whose `stability` differs in its last digits: sums of other batches round differently."""
    counts: Counter[Kind] = field(default_factory=Counter)
    problems: list[VerifyProblem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.counts

    def add(self, kind: Kind, where: str, what: str) -> None:
        """Add a problem."""
        self.counts[kind] += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(VerifyProblem(kind, where, what))

    def figures(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return asdict(self) | {"counts": dict(self.counts), "ok": self.ok}

    def table(self) -> Table:
        """The counts as a console table."""
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
