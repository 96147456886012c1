"""Plans: the scores of one segment that a session wants, and what their computation gave."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.heads.viterbi import NO_LABEL
from encoder.heads.word_record import SIZE, WORD
from encoder.runtime.passes import Pass, WordsToRead
from encoder.session.closed_context import ClosedSegment, SlotSpan

Kind = Literal["none", "append", "local", "full"]
_EXTENT: dict[Kind, int] = {"none": 0, "append": 1, "local": 2, "full": 3}


class PlanningSession(Protocol):
    """The session of a plan, as the pool that runs the plan needs it."""

    slot: int | None
    """Slot of the cache; None while the session is evicted. The pool sets it before a pass is run."""

    def next_pass(self, plan: "SegmentPlan") -> Pass | None:
        """Choose the plan's next pass from what the slot holds; None once the plan is done."""

    def record_pass(self, plan: "SegmentPlan", one: Pass, logits: NDArray[np.float32]) -> None:
        """Record the scores (k, columns) of a pass that `next_pass` chose."""

    def evict(self) -> None:
        """Give the slot back; the next plan computes the session again from its own tokens."""


class SegmentRows(NamedTuple):
    """Scores of tokens `first`..`first + len(logits)` of the plan's segment, in the segment's token numbers."""

    first: int
    logits: NDArray[np.float32]  # (k, columns)


@dataclass(frozen=True, slots=True)
class SegmentWords:
    """The words of a plan's segment, for an encoder that reads them (`Encoder.reads_words`)."""

    word_token: NDArray[np.int32]
    """(words + 1,) first token of each word, and the number of tokens"""
    kept: int
    """Leading words that keep their labels if none of their tokens is computed again."""
    records: tuple[bytes, ...]
    """Standing word records of each head of the labeller (`encoder.heads.word_record`)"""
    places: tuple[int, ...]
    """Place of each of these heads among those of the encoder."""
    heads: int
    """Heads of the encoder."""

    def choose(self, shift: int, restart: int, read_from: int) -> WordsToRead | None:
        """Choose the words that the last pass of a plan reads; None if it does not compute all that have to be read.

        Args:
            shift: added to a slot token to give the token of the segment.
            restart: first token of the segment that the pass computes.
            read_from: first token whose labels may change.
        """
        last = self.word_token[1:] - 1
        first = min(self.kept, int(last.searchsorted(max(restart, read_from))))
        if first == len(last) or last[first] < restart:
            return None
        before = np.full(self.heads, NO_LABEL, np.int32)
        if first:
            for place, records in zip(self.places, self.records, strict=True):
                before[place] = np.frombuffer(records, WORD, 1, (first - 1) * SIZE)[0]["labels"]
        return WordsToRead(last[first:] - np.int32(shift), before)


class WordsRead(NamedTuple):
    """Words of a segment that the encoder read: all from `first` on."""

    first: int
    values: NDArray[np.float32]
    """(words, heads, `WORD_NUMBERS`) by the heads of the labeller"""


class StandingRead(NamedTuple):
    """How an open segment's standing labels were computed."""

    version: int | None
    """Version of the closed context under them; None if it is not known."""
    whole: bool
    """Whether the segment was computed together, so that closing it now would give the same labels."""


@dataclass(slots=True, eq=False)
class OpenSegment:
    """An open segment as it is now."""

    id: Hashable
    tokens: NDArray[np.int32]
    context_version: int | None = None
    """Version of the closed context under its labels; None if it has none."""
    computed_together: bool = False
    """Whether all of it was computed together, so that closing it now would give the same labels."""
    scores_missing: bool = False
    """Whether its labels stand although nothing was computed here (`SessionEncoder.resume_segment`)."""

    @property
    def count(self) -> int:
        """Tokens of the segment."""
        return len(self.tokens)


@dataclass(slots=True, eq=False)
class SegmentPlan:
    """The computation that one session wants for one segment; its counters are valid once it has been run.

    At most one plan of a session exists at a time: run it before asking the session for the next one.
    """

    session: PlanningSession
    segment: OpenSegment
    base: list[SlotSpan]
    """The closed context that the segment continues."""
    context_version: int | None
    keep: int
    """Leading tokens that stand."""
    requested_restart: int
    """Token from which the restart policy wants labels computed."""
    read_from: int
    """First token whose scores are reported; labels of earlier tokens stand whatever is computed."""
    first: int = 0
    """First token that has to be in the slot: later than 0 if the segment was re-anchored before `keep`."""
    final_tokens: int = 0
    """Leading tokens whose labels are final although their scores are reported (`SessionEncoder.resume_segment`)."""
    closes: ClosedSegment | None = None
    """The closed segment that it becomes once the plan has been run; None if it stays open."""
    joins_context: bool = True
    """Whether it then lies at its place in the closed context."""
    done: bool = False
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Token ranges of the segment that went through the tail, end exclusive, one a pass; without replays."""
    kind: Kind = "none"
    """`full`: a pass began at the window's start although tokens stood there; `local`: before the first new token."""
    appended: int = 0
    """Tokens that went through the prefix, replays included."""
    computed: int = 0
    """Tokens that went through the tail, replays included."""
    replayed: int = 0
    """Tail tokens of closed segments that were computed again after an eviction, a re-anchor or a switch of segment."""
    words: SegmentWords | None = None
    """Words to be read with the scores; None: the caller reads them from the scores."""
    read: WordsRead | None = None
    """What the last pass of the segment read."""
    _rows: list[SegmentRows] = field(default_factory=list)

    def rows(self) -> list[SegmentRows]:
        """Give the new scores: none, or one contiguous `SegmentRows`; later passes replace earlier ones."""
        if len(self._rows) < 2:
            return self._rows
        first = min(rows.first for rows in self._rows)
        end = max(rows.first + len(rows.logits) for rows in self._rows)
        logits = np.empty((end - first, self._rows[0].logits.shape[1]), np.float32)
        for rows in self._rows:
            logits[rows.first - first : rows.first - first + len(rows.logits)] = rows.logits
        return [SegmentRows(first, logits)]

    def take_rows(self) -> list[SegmentRows]:
        """Give the new scores of the passes since the last call, in their order, and forget them."""
        rows, self._rows = self._rows, []
        return rows

    def choose_words(self, shift: int, end: int, restart: int) -> WordsToRead | None:
        """Choose the words that a pass reads which computes the segment's tokens `restart` to `end`."""
        if self.words is None or end != self.segment.count or restart == end:
            return None
        return self.words.choose(shift, restart, max(self.read_from, self.final_tokens))

    def read_words(self, values: NDArray[np.float32]) -> None:
        """Record the words (w, encoder's heads, `WORD_NUMBERS`) that the last pass of the segment read."""
        assert self.words is not None
        count = len(self.words.word_token) - 1
        self.read = WordsRead(count - len(values), values[:, self.words.places])

    def add_scores(self, first: int, end: int, first_restartable: int, logits: NDArray[np.float32]) -> None:
        """Add the scores (end - first, columns) of the tokens first..end, which one pass took through the tail.

        `first_restartable` is the first token that the pass could have taken.
        """
        self.ranges.append((first, end))
        kind: Kind = "append" if first >= self.keep else "full" if first == first_restartable else "local"
        if _EXTENT[kind] > _EXTENT[self.kind]:
            self.kind = kind
        skip = max(0, self.read_from - first)
        if skip < len(logits):
            self._rows.append(SegmentRows(first + skip, logits[skip:]))
