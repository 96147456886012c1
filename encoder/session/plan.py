"""What a session wants computed: an open segment as it stands, a plan for it, and the scores that the plan gives."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.runtime.passes import Pass
from encoder.session.closed_context import ClosedSegment, SlotSpan

Kind = Literal["none", "append", "local", "full"]
_FURTHER: dict[Kind, int] = {"none": 0, "append": 1, "local": 2, "full": 3}


class PlanningSession(Protocol):
    """The session of a plan, as the pool that runs the plan needs it."""

    slot: int | None
    """Slot of the cache; None while the session is evicted. The pool sets it before a pass is run."""

    def next_pass(self, plan: "SegmentPlan") -> Pass | None:
        """Choose the plan's next pass from what the slot holds; None once the plan is done."""
        ...

    def note_pass(self, plan: "SegmentPlan", one: Pass, logits: NDArray[np.float32]) -> None:
        """Record the scores (k, labels) of a pass that `next_pass` chose."""
        ...

    def evict(self) -> None:
        """Give the slot back; the next plan computes the session again from its own tokens."""
        ...


class SegmentRows(NamedTuple):
    """Label scores of tokens `first`..`first + len(logits)` of the plan's segment, in the segment's token numbers."""

    first: int
    logits: NDArray[np.float32]  # (k, labels)


class StandingRead(NamedTuple):
    """How an open segment's labels were read."""

    version: int | None
    """The context under which they were, if it is still known."""
    whole: bool
    """Whether they are those of closing now."""


@dataclass(slots=True, eq=False)
class OpenSegment:
    """An open segment: its tokens as they are now."""

    segment: Hashable
    tokens: NDArray[np.int32]
    version: int | None = None
    """The context under which its labels were read; None if they were not."""
    whole: bool = False
    """Whether its labels are those of closing now."""
    unread: bool = False
    """Whether its scores are known to nobody here, although its labels stand (`SessionEncoder.resume`)."""

    @property
    def count(self) -> int:
        """Tokens of the segment."""
        return len(self.tokens)


@dataclass(slots=True, eq=False)
class SegmentPlan:
    """One wish of one session; its counters hold once it has been run.

    At most one plan of a session is alive at a time: run it before asking the session for the next one.
    """

    session: PlanningSession
    owner: OpenSegment
    base: list[SlotSpan]
    """The closed context that the segment continues."""
    version: int | None
    keep: int
    wish: int
    read_from: int
    """Labels of earlier tokens stand whatever is computed."""
    first: int = 0
    """First token that has to be in the slot: later than 0 if the segment was re-anchored before `keep`."""
    stands: int = 0
    """Tokens whose scores are read anew although their labels stand: the first plan after `SessionEncoder.resume`."""
    closes: ClosedSegment | None = None
    """What the segment is once the plan has been run; None if it stays open."""
    joins: bool = True
    """Whether it then lies where the closed context wants it."""
    done: bool = False
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Tail work on the segment itself: token ranges of the segment, one a pass, end exclusive (replays left out)."""
    kind: Kind = "none"
    """`full`: a pass began at the window's start although tokens stood there; `local`: before the first new token."""
    appended: int = 0
    """Tokens that went through the prefix, replays included."""
    computed: int = 0
    """Tokens that went through the tail, replays included."""
    replayed: int = 0
    """Tail tokens of closed segments computed again after an eviction, a re-anchor or a switch."""
    _read: list[SegmentRows] = field(default_factory=list)

    def rows(self) -> list[SegmentRows]:
        """Give the scores to read anew: no element, or one contiguous `SegmentRows`; later passes win."""
        if len(self._read) < 2:
            return self._read
        first = min(rows.first for rows in self._read)
        end = max(rows.first + len(rows.logits) for rows in self._read)
        logits = np.empty((end - first, self._read[0].logits.shape[1]), np.float32)
        for rows in self._read:
            logits[rows.first - first : rows.first - first + len(rows.logits)] = rows.logits
        return [SegmentRows(first, logits)]

    def note(self, first: int, end: int, low: int, logits: NDArray[np.float32]) -> None:
        """Take the scores of the segment's tokens first..end, computed in a window that begins at token `low`."""
        self.ranges.append((first, end))
        kind: Kind = "append" if first >= self.keep else "full" if first == low else "local"
        if _FURTHER[kind] > _FURTHER[self.kind]:
            self.kind = kind
        skip = max(0, self.read_from - first)
        if skip < len(logits):
            self._read.append(SegmentRows(first + skip, logits[skip:]))
