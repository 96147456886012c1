"""Metrics of streaming tagging, on charts: what stood after each word of a segment arrived.

EO, CT, RC and the revision measures are those of Baumann et al. 2011, Madureira and Schlangen 2020, Kahardipraja et al.
2023 and Madureira et al. 2023; streaming EM is that of HEAR (Kaushal et al. 2023). What is summed over a corpus is in
`stream.tally`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.labeller import Work

Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Chart:
    """The history of one segment's labels; row t is what stood after its t-th update."""

    rows: Sequence[Labels]
    """One row an update; without rewriting row t has t words."""
    rewritten: Sequence[int] | None = None
    """Per row the first word that its update changed or added; None: updates only add words."""
    closed: Labels | None = None
    """The labels after a closing restart of its own; it takes the last row's place, and its changes are edits."""
    work: Sequence[Work] | None = None
    """What each row cost."""
    arrived: Sequence[int] | None = None
    """Words that arrived with each row, in the unit of `work`; None: the rows' own words."""
    closing: Work | None = None
    """What the closing restart cost."""

    @property
    def final(self) -> Labels:
        """The labels that stand at the end."""
        return self.rows[-1] if self.closed is None else self.closed

    @property
    def standing(self) -> list[Labels]:
        """The rows, the last one as it stands after closing."""
        return [*self.rows[:-1], self.final]

    def arrivals(self) -> list[int]:
        """Per row the first word that is new in it: changed by its update, or added."""
        before = [0, *(len(row) for row in self.rows[:-1])]
        if self.rewritten is None:
            return before
        return [min(old, first) for old, first in zip(before, self.rewritten, strict=True)]


@dataclass(frozen=True, slots=True)
class Edits:
    """Labels that changed although their word was there before: step and word number (both from 1), one an edit."""

    step: NDArray[np.int64]
    word: NDArray[np.int64]
    by_input: NDArray[np.bool_]
    """The word, or one to its left, was changed by the same update."""

    def of_model(self) -> "Edits":
        """Keep the edits that rewritten input does not explain: those that count for the model."""
        kept = ~self.by_input
        return Edits(self.step[kept], self.word[kept], self.by_input[kept])


def find_edits(chart: Chart) -> Edits:
    """Find all (t, i), i < t, with `P[t][i] != P[t-1][i]`, those of the closing restart at t = n included."""
    steps, words, causes = [], [], []
    pairs = [*zip(chart.rows, chart.rows[1:], chart.arrivals()[1:], strict=False)]
    if chart.closed is not None:
        pairs.append((chart.rows[-1], chart.closed, len(chart.closed)))
    for before, after, arrived in pairs:
        both = min(len(before), len(after))
        changed = np.flatnonzero(before[:both] != after[:both])
        steps.append(np.full(len(changed), len(after)))
        words.append(changed + 1)
        causes.append(changed >= arrived)
    empty = [np.empty(0, np.int64)]
    return Edits(np.concatenate(empty + steps), np.concatenate(empty + words), np.concatenate([*empty, *causes]) > 0)


def edit_overhead(edits: Edits, n: int, d: int = 0) -> float:
    """EO_d: `S_d / (S_d + n - d)`, edits with t - i <= d ignored; 0 if n <= d. EO is d = 0."""
    counted = int((edits.step - edits.word > d).sum()) if d else len(edits.step)
    return counted / (counted + n - d) if n > d else 0.0


def correction_time(edits: Edits, n: int) -> float:
    """CT score: steps from each word's arrival to its label's last change, out of the most there could be."""
    last = np.zeros(n + 1, np.int64)
    inside = edits.word <= n
    np.maximum.at(last, edits.word[inside], (edits.step - edits.word)[inside])
    return float(last.sum() / (n * (n - 1) / 2)) if n > 1 else 0.0


def relative_correctness(chart: Chart, d: int = 0) -> float:
    """RC_d: share of steps t > d whose first t - d labels are those of the end; 1 if n <= d. RC is d = 0.

    The definition counts steps and words from 0; this is the same counted from 1, as the checked chart needs it.
    """
    final = chart.final
    agree = [begins(final, row[: len(row) - d]) for row in chart.standing if len(row) > d]
    return sum(agree) / len(agree) if agree else 1.0


def begins(whole: Labels, part: Labels) -> bool:
    """Tell whether `part` is the beginning of `whole`."""
    return np.array_equal(whole[: len(part)], part)


def revises(before: Labels, after: Labels) -> bool:
    """Tell whether any label that stood was changed."""
    both = min(len(before), len(after))
    return not np.array_equal(before[:both], after[:both])


Span = tuple[int, int, str]
"""First word, end word (exclusive) and type."""


@dataclass(slots=True)
class SpanScore:
    """Counts behind a micro span F1."""

    right: int = 0
    found: int = 0
    wanted: int = 0

    def add(self, found: Iterable[Span], wanted: Iterable[Span]) -> None:
        """Count one sequence's spans."""
        ours, theirs = set(found), set(wanted)
        self.right += len(ours & theirs)
        self.found += len(ours)
        self.wanted += len(theirs)

    @property
    def f1(self) -> float:
        """F1; 0 where nothing was found or wanted, as seqeval has it."""
        return 2 * self.right / (self.found + self.wanted) if self.found + self.wanted else 0.0


def span_delays(rows: Sequence[list[Span]], lengths: Sequence[int]) -> list[int]:
    """Per span of the last row: words between its last word and the first row from which it stands to the end."""
    delays = []
    for span in rows[-1]:
        first = len(rows) - 1
        while first and span in rows[first - 1]:
            first -= 1
        delays.append(max(0, lengths[first] - span[1]))
    return delays


def common_beginning(left: Labels, right: Labels) -> int:
    """Count the labels that two rows begin with in common."""
    both = min(len(left), len(right))
    different = np.flatnonzero(left[:both] != right[:both])
    return int(different[0]) if len(different) else both
