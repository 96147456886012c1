"""Metrics of streaming tagging, on charts: what stood after each word of a segment arrived.

EO, CT, RC and the revision measures are those of Baumann et al. 2011, Madureira and Schlangen 2020, Kahardipraja et al.
2023 and Madureira et al. 2023; streaming EM is that of HEAR (Kaushal et al. 2023). What is summed over a corpus is in
`stream.evaluation.metrics.corpus_metrics`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.heads.viterbi import labels_to_spans
from stream.labelling.labeller import PlanWork

Labels = NDArray[np.int32]
Extents = Sequence[tuple[int, int]]
"""Stretches of characters, end exclusive."""


class SegmentRevisions(NamedTuple):
    """What readers were told of a segment, in all."""

    added: int = 0
    """Spans that appeared."""
    flipped: int = 0
    """Spans retracted, or changed so that they lost words, because of the model."""
    grown: int = 0
    """Spans that gained words and lost none, because of the model."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The history of one segment's labels; row t is what stood after its t-th update."""

    rows: Sequence[Labels]
    """One row an update; without rewriting row t has t words."""
    rewritten: Sequence[int] | None = None
    """Per row the first word that its update changed or added; None: updates only add words."""
    closed: Labels | None = None
    """The labels after a closing restart of its own; it takes the last row's place, and its changes are edits."""
    work: Sequence[PlanWork] | None = None
    """What each row cost."""
    arrived: int | None = None
    """Number of words that arrived, in the unit of `work`; None: the rows' own words."""
    closing: PlanWork | None = None
    """What the closing restart cost."""
    found: Extents | None = None
    """The characters under the spans of the last row, where they are to be compared."""
    closed_found: Extents | None = None
    """The same after the closing restart."""
    times: Sequence[float | None] | None = None
    """When each row's update came, in seconds."""
    said: Sequence[float | None] | None = None
    """When each word of the final row was over, in seconds of the same clock."""

    seen: SegmentRevisions | None = None
    """What readers were told of it, where the rows are what they were shown
    (`stream.evaluation.replay.shown_spans`).
    """
    closed_seen: SegmentRevisions | None = None
    """The same after the closing restart."""

    def unclosed(self) -> "Chart":
        """The same history without its closing restart."""
        return replace(self, closed=None, closing=None, closed_found=None, closed_seen=None)

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
class LabelEdits:
    """Labels that changed although their word was there before: step and word number (both from 1), one an edit."""

    step: NDArray[np.int64]
    word: NDArray[np.int64]
    by_input: NDArray[np.bool_]
    """The word, or one to its left, was changed by the same update."""
    was: NDArray[np.int32]
    """The label before the edit."""

    def of_model(self) -> "LabelEdits":
        """Keep the edits that rewritten input does not explain: those that count for the model."""
        kept = ~self.by_input
        return LabelEdits(self.step[kept], self.word[kept], self.by_input[kept], self.was[kept])


def find_edits(chart: Chart) -> LabelEdits:
    """Find all (t, i), i < t, with `P[t][i] != P[t-1][i]`, those of the closing restart at t = n included."""
    rows, arrivals = [*chart.rows], chart.arrivals()
    if chart.closed is not None:
        rows.append(chart.closed)
        arrivals.append(len(chart.closed))
    labels = stack_rows(rows)
    both = (labels[1:] >= 0) & (labels[:-1] >= 0)
    step, word = np.nonzero(both & (labels[1:] != labels[:-1]))
    lengths = np.array([len(row) for row in rows], np.int64)
    by_input = word >= np.array(arrivals, np.int64)[step + 1]
    return LabelEdits(lengths[step + 1], word + 1, by_input, labels[step, word])


def stack_rows(rows: Sequence[Labels]) -> Labels:
    """Stack rows of unequal lengths into (rows, longest); -1 where a row has no word."""
    stacked = np.full((len(rows), max((len(row) for row in rows), default=0)), -1, np.int32)
    for labels, row in zip(stacked, rows, strict=True):
        labels[: len(row)] = row
    return stacked


def edit_overhead(edits: LabelEdits, n: int, d: int = 0) -> float:
    """EO_d: `S_d / (S_d + n - d)`, edits with t - i <= d ignored; 0 if n <= d. EO is d = 0."""
    counted = int((edits.step - edits.word > d).sum()) if d else len(edits.step)
    return counted / (counted + n - d) if n > d else 0.0


def correction_time(edits: LabelEdits, n: int) -> float:
    """CT score: steps from each word's arrival to its label's last change, out of the most there could be."""
    last = np.zeros(n + 1, np.int64)
    inside = edits.word <= n
    np.maximum.at(last, edits.word[inside], (edits.step - edits.word)[inside])
    return float(last.sum() / (n * (n - 1) / 2)) if n > 1 else 0.0


def relative_correctness(chart: Chart, d: int = 0) -> float:
    """RC_d: share of steps t > d whose first t - d labels are those of the end; 1 if n <= d. RC is d = 0.

    The definition counts steps and words from 0; this is the same counted from 1, as the checked chart needs it.
    """
    rows = chart.standing
    lengths = np.array([len(row) for row in rows])
    agree = common_beginnings(chart.final, rows)[lengths > d] >= lengths[lengths > d] - d
    return float(agree.mean()) if len(agree) else 1.0


def common_beginnings(whole: Labels, rows: Sequence[Labels]) -> NDArray[np.int64]:
    """Count the labels that each row begins with in common with `whole`: (rows,)."""
    labels = stack_rows([whole, *rows])
    missing = labels[1:] < 0  # nothing is in common where a row has ended
    different = np.column_stack([missing | (labels[1:] != labels[0]), np.ones(len(rows), bool)])
    common: NDArray[np.int64] = different.argmax(axis=1)
    return common


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
class SpanCounts:
    """Counts behind a micro span F1."""

    right: int = 0
    found: int = 0
    wanted: int = 0

    def add(self, found: frozenset[Span], wanted: frozenset[Span]) -> None:
        """Count one sequence's spans."""
        self.right += len(found & wanted)
        self.found += len(found)
        self.wanted += len(wanted)

    @property
    def f1(self) -> float:
        """F1; 0 where nothing was found or wanted, as seqeval has it."""
        return 2 * self.right / (self.found + self.wanted) if self.found + self.wanted else 0.0


def span_delays(rows: Sequence[Collection[Span]], lengths: Sequence[int]) -> list[int]:
    """Per span of the last row: words between its last word and the first row from which it stands to the end."""
    return [max(0, lengths[row] - span[1]) for span, row in standing_since(rows)]


def standing_since(rows: Sequence[Collection[Span]]) -> list[tuple[Span, int]]:
    """Each span of the last row, and the number of the first row from which it stands to the end."""
    since = []
    for span in rows[-1]:
        first = len(rows) - 1
        while first and span in rows[first - 1]:
            first -= 1
        since.append((span, first))
    return since


def character_f1(found: Extents, wanted: Extents) -> float:
    """F1 of two sets of character offsets; 1 if both are empty, 0 if one is (Da San Martino et al. 2019).

    The measure of SemEval-2021 task 5 (toxic spans), for one post.
    """
    ours, theirs = ({i for start, end in extents for i in range(start, end)} for extents in (found, wanted))
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * len(ours & theirs) / (len(ours) + len(theirs))


def erased_labels(rows: Sequence[Labels]) -> int:
    """Count the labels that lie after the common beginning of each row and the next, in the earlier one."""
    if len(rows) < 2:
        return 0
    labels = stack_rows(rows)
    different = (labels[1:] != labels[:-1]) | (labels[:-1] < 0)
    common = np.column_stack([different, np.ones(len(different), bool)]).argmax(axis=1)
    return sum(len(row) for row in rows[:-1]) - int(common.sum())


def row_spans(rows: Sequence[Labels], names: tuple[str, ...]) -> list[frozenset[Span]]:
    """Read the spans of each row; rows that only add a word outside of spans share one set.

    Args:
        rows: label numbers.
        names: label names by number, strict IOB2.
    """
    spans: list[frozenset[Span]] = []
    before: Labels | None = None
    for row in rows:
        grown = before is not None and len(row) == len(before) + 1 and not row[-1] and begins(row, before)
        spans.append(spans[-1] if grown else frozenset(labels_to_spans(row, names)))
        before = row
    return spans
