"""What the oracle found: problems by kind, and counts."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.table import Table

Kind = Literal[
    "lost",  # a revision, final or dead letter that should be there and is not
    "doubled",  # read twice where nothing may be; or a repeat that is not the first, byte for byte
    "order",  # rev does not rise by one, or an older message is answered after a newer one
    "after_final",  # a closed segment was revised without an edit or delete by its source
    "altered",  # a revision, label or dead letter is not what it should be
    "stray",  # something that no input explains
]

MAX_PROBLEMS = 1000
"""Problems kept in words; all are counted."""


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """One thing that is wrong: what kind, where, and what in words."""

    kind: Kind
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


@dataclass(slots=True)
class VerifyReport:
    """Counts of one comparison, and what is wrong."""

    messages: int = 0
    """Input records that were compared."""
    bad: int = 0
    """Those of them that belong into the dead-letter topic."""
    sessions: int = 0
    scattered: int = 0
    """Sessions that came in several partitions: not compared, nothing is promised of them."""
    revisions: int = 0
    """Revisions read, without repeats."""
    repeats: int = 0
    letters: int = 0
    finals: int = 0
    """Final revisions that are as they should be."""
    rounded: int = 0
    """Revisions whose `stability` differs in its last digits: sums of other batches round differently."""
    counts: Counter[Kind] = field(default_factory=Counter)
    problems: list[VerifyProblem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts

    def add(self, kind: Kind, where: str, what: str) -> None:
        """Note a problem."""
        self.counts[kind] += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(VerifyProblem(kind, where, what))

    def figures(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return asdict(self) | {"counts": dict(self.counts), "ok": self.ok}

    def table(self) -> Table:
        """The counts for a console."""
        table = Table.grid(padding=(0, 3))
        rows = [
            ("input records, of them unusable", f"{self.messages:,}, {self.bad:,}"),
            ("sessions, of them in several partitions (not compared)", f"{self.sessions:,}, {self.scattered:,}"),
            ("revisions read, repeats dropped", f"{self.revisions:,}, {self.repeats:,}"),
            ("dead letters read", f"{self.letters:,}"),
            ("final revisions as they should be", f"{self.finals:,}"),
            ("revisions whose stability is rounded differently", f"{self.rounded:,}"),
            ("lost, doubled, out of order", f"{self.counts['lost']}, {self.counts['doubled']}, {self.counts['order']}"),
            (
                "changed after final, altered, stray",
                f"{self.counts['after_final']}, {self.counts['altered']}, {self.counts['stray']}",
            ),
            ("verdict", "as one process would have said it" if self.ok else "WRONG"),
        ]
        for row in rows:
            table.add_row(*row)
        return table
