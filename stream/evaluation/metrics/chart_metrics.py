"""Metrics of streaming tagging, on charts: the labels of a segment after each of its updates.

EO, CT, RC and the revision measures are those of Baumann et al. 2011, Madureira and Schlangen 2020, Kahardipraja et al.
2023 and Madureira et al. 2023; streaming EM is that of HEAR (Kaushal et al. 2023). Sums over a corpus are in
`stream.evaluation.metrics.corpus_metrics`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from encoder.heads.viterbi import labels_to_spans
from stream.labelling.labeller import PlanWork

Labels = NDArray[np.int32]
Extents = Sequence[tuple[int, int]]
"""Ranges of characters, end exclusive."""
T = TypeVar("T")


class SegmentRevisions(NamedTuple):
    """Numbers of changes of a segment's spans that readers were told."""

    added: int = 0
    """Spans that appeared."""
    flipped: int = 0
    """Spans that the model retracted, or changed so that they lost words."""
    grown: int = 0
    """Spans to which the model added words."""


@dataclass(frozen=True, slots=True)
class Chart:
    """History of one segment's labels; row t has the labels after its t-th update."""

    rows: Sequence[Labels]
    """A row for each update; without rewriting row t has t words."""
    rewritten: Sequence[int] | None = None
    """For each row the first word that its update changed or added; None: updates only add words."""
    closed: Labels | None = None
    """Labels after a separate closing restart; it replaces the last row, and its changes are edits."""
    work: Sequence[PlanWork] | None = None
    """Work of each row."""
    arrived: int | None = None
    """Number of words that arrived, in the unit of `work`; None: the rows' own words."""
    closing: PlanWork | None = None
    """Work of the closing restart."""
    found: Extents | None = None
    """Characters under the spans of the last row, if they are compared."""
    closed_found: Extents | None = None
    """The same after the closing restart."""
    update_times: Sequence[float | None] | None = None
    """Time of each row's update, in seconds."""
    word_ends: Sequence[float | None] | None = None
    """End time of each word of the final row, in seconds of the same clock."""
    seen: SegmentRevisions | None = None
    """Changes that readers were told, if the rows are those shown to them (`stream.evaluation.replay.shown_spans`)."""
    closed_seen: SegmentRevisions | None = None
    """The same after the closing restart."""

    def unclosed(self) -> "Chart":
        """Return the same history without its closing restart."""
        return replace(self, closed=None, closing=None, closed_found=None, closed_seen=None)

    @property
    def final(self) -> Labels:
        """Labels at the end."""
        return self.rows[-1] if self.closed is None else self.closed

    @property
    def standing(self) -> list[Labels]:
        """Rows, with the closed labels in place of the last one."""
        return [*self.rows[:-1], self.final]

    def arrivals(self) -> list[int]:
        """Return for each row the first word that its update changed or added."""
        before = [0, *(len(row) for row in self.rows[:-1])]
        if self.rewritten is None:
            return before
        return [min(old, first) for old, first in zip(before, self.rewritten, strict=True)]


@dataclass(frozen=True, slots=True)
class LabelEdits:
    """Changed labels of words that were there before: arrays of (edits,); steps and words are numbered from 1."""

    step: NDArray[np.int64]
    word: NDArray[np.int64]
    by_input: NDArray[np.bool_]
    """Whether the same update changed the word, or one to its left."""
    was: NDArray[np.int32]
    """Label before the edit."""

    def of_model(self) -> "LabelEdits":
        """Return the edits that rewritten input does not explain."""
        kept = ~self.by_input
        return LabelEdits(self.step[kept], self.word[kept], self.by_input[kept], self.was[kept])


def find_edits(chart: Chart) -> LabelEdits:
    """Find all (t, i), i < t, with `P[t][i] != P[t-1][i]`, including those of the closing restart at t = n."""
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
    """Return EO_d: `S_d / (S_d + n - d)`, where edits with t - i <= d are ignored; 0 if n <= d. EO is d = 0."""
    counted = int((edits.step - edits.word > d).sum()) if d else len(edits.step)
    return counted / (counted + n - d) if n > d else 0.0


def correction_time(edits: LabelEdits, n: int) -> float:
    """Return the CT score: steps from each word's arrival to its label's last change, as a share of the maximum."""
    last = np.zeros(n + 1, np.int64)
    inside = edits.word <= n
    np.maximum.at(last, edits.word[inside], (edits.step - edits.word)[inside])
    return float(last.sum() / (n * (n - 1) / 2)) if n > 1 else 0.0


def relative_correctness(chart: Chart, d: int = 0) -> float:
    """Return RC_d: share of steps t > d whose first t - d labels are the final ones; 1 if n <= d. RC is d = 0.

    The definition counts steps and words from 0; this is the same, counted from 1.
    """
    rows = chart.standing
    lengths = np.array([len(row) for row in rows])
    agree = common_prefix_lengths(chart.final, rows)[lengths > d] >= lengths[lengths > d] - d
    return float(agree.mean()) if len(agree) else 1.0


def common_prefix_lengths(whole: Labels, rows: Sequence[Labels]) -> NDArray[np.int64]:
    """Return the length of the common prefix of `whole` and each row: (rows,)."""
    labels = stack_rows([whole, *rows])
    missing = labels[1:] < 0  # beyond the end of a row nothing is common
    different = np.column_stack([missing | (labels[1:] != labels[0]), np.ones(len(rows), bool)])
    common: NDArray[np.int64] = different.argmax(axis=1)
    return common


def is_prefix(whole: Labels, part: Labels) -> bool:
    """Return whether `part` is a prefix of `whole`."""
    return np.array_equal(whole[: len(part)], part)


def changes_labels(before: Labels, after: Labels) -> bool:
    """Return whether a label of an old word changed."""
    both = min(len(before), len(after))
    return not np.array_equal(before[:both], after[:both])


Span = tuple[int, int, str]
"""First word, end word (exclusive) and type."""


@dataclass(slots=True)
class SpanCounts:
    """Counts for a micro span F1."""

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
        """F1; 0 if nothing was found or wanted, as in seqeval."""
        return 2 * self.right / (self.found + self.wanted) if self.found + self.wanted else 0.0


def standing_since(rows: Sequence[Collection[T]]) -> list[tuple[T, int]]:
    """Return each element (span) of the last row, and the number of the first row from which it stays to the end."""
    since = []
    for span in rows[-1]:
        first = len(rows) - 1
        while first and span in rows[first - 1]:
            first -= 1
        since.append((span, first))
    return since


def character_f1(found: Extents, wanted: Extents) -> float:
    """Return F1 of two sets of character offsets; 1 if both are empty, 0 if one is (Da San Martino et al. 2019).

    It is the measure of SemEval-2021 task 5 (toxic spans), for one post.
    """
    ours, theirs = ({i for start, end in extents for i in range(start, end)} for extents in (found, wanted))
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * len(ours & theirs) / (len(ours) + len(theirs))


def erased_labels(rows: Sequence[Labels]) -> int:
    """Count the labels of each row after its common prefix with the next row."""
    if len(rows) < 2:
        return 0
    labels = stack_rows(rows)
    different = (labels[1:] != labels[:-1]) | (labels[:-1] < 0)
    common = np.column_stack([different, np.ones(len(different), bool)]).argmax(axis=1)
    return sum(len(row) for row in rows[:-1]) - int(common.sum())


def row_spans(rows: Sequence[Labels], names: tuple[str, ...]) -> list[frozenset[Span]]:
    """Return the spans of each row; rows that only add a word outside of spans share one set.

    Args:
        rows: label numbers.
        names: label names by number, strict IOB2.
    """
    spans: list[frozenset[Span]] = []
    before: Labels | None = None
    for row in rows:
        grown = before is not None and len(row) == len(before) + 1 and not row[-1] and is_prefix(row, before)
        spans.append(spans[-1] if grown else frozenset(labels_to_spans(row, names)))
        before = row
    return spans
