"""One live session over the shared hybrid encoder: segments as token ranges (stub: signatures stand, bodies follow)."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["none", "append", "local", "full"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Label scores of tokens `first`..`first + len(logits)` of the plan's segment, in the segment's token numbers."""

    first: int
    logits: NDArray[np.float32]  # (k, labels)


class Plan:
    """One wish of one session; its counters hold once `run_plans` has returned.

    At most one plan of a session is alive at a time: run it before asking the session for the next one.
    """

    ranges: list[tuple[int, int]]
    """Tail work on the segment itself: token ranges of the segment, one a pass, end exclusive (replays left out)."""
    kind: Kind
    """`full`: a pass began at the window's start although tokens stood there; `local`: before the first new token."""
    appended: int
    """Tokens that went through the prefix, replays included."""
    computed: int
    """Tokens that went through the tail, replays included."""
    replayed: int
    """Tail tokens of other (closed) segments computed again after an eviction, re-anchor or switch."""


class SessionEncoder:
    """Segments of one session. Made by `SessionPool.open()`; token numbers are the segment's own, from 0."""

    def plan_update(self, segment: Hashable, tokens: NDArray[np.int32], keep: int, restart: int) -> Plan:
        """Plan the scores of an open segment (opened here if it is new).

        Args:
            segment: the segment's identity.
            tokens: (n,) all tokens of the segment as it stands now; not changed by the caller afterwards.
            keep: leading tokens that stand unchanged since the plan before of this segment (0 if it is new).
            restart: token from which the policy wants labels anew; clamped to the window's start and to what is
                new or invalid, so any number will do.
        """
        raise NotImplementedError

    def plan_append(self, segment: Hashable, tokens: NDArray[np.int32], restart: int) -> Plan:
        """Plan the scores of an open segment that grows by `tokens`, with bounded memory however long it grows."""
        raise NotImplementedError

    def plan_close(self, segment: Hashable) -> Plan:
        """Close an open segment with the tokens it has; the plan computes what makes its labels canonical."""
        raise NotImplementedError

    def plan_edit(self, segment: Hashable, tokens: NDArray[np.int32]) -> Plan:
        """Replace the tokens of a closed segment; all its labels are read anew, those of later segments stand."""
        raise NotImplementedError

    def delete(self, segment: Hashable) -> None:
        """Take an open or closed segment back; unknown segments are ignored."""
        raise NotImplementedError

    def evict(self) -> None:
        """Drop all that is cached; the next plan computes it again from the session's own tokens."""
        raise NotImplementedError

    def free(self) -> None:
        """Forget the session."""
        raise NotImplementedError


class SessionPool:
    """All sessions over one hybrid encoder, least recently used first; evicts when pages or slots run out."""

    def open(self) -> SessionEncoder:
        """Begin a session; it costs no slot or page before its first plan runs."""
        raise NotImplementedError


def run_plans(pool: SessionPool, plans: list[Plan]) -> list[list[Rows]]:
    """Run plans of different sessions packed: round r is the r-th pass of each.

    Returns:
        For each plan the scores to read anew: no element (nothing was computed) or one contiguous `Rows`.
    """
    raise NotImplementedError
