"""Work in slices: long operations that several steps work on, while other sessions are served in between.

The session of such an operation hands out nothing else meanwhile, so results do not depend on where the slices end.
Callers take turns. Of one caller that operation is next which would end first if all shared alike: a short one
overtakes long ones, but only while they have more left than it has in all.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

from stream.engine.changes import Changes, changes_text
from stream.ingest.caller_shares import CallerShares
from stream.ingest.schedule import LONG_TOKENS
from stream.messages.caller_id import CallerId
from stream.sessions.active_session import ActiveSession
from stream.sessions.operations import Write
from stream.sessions.stats import EngineStats

TOKENS_PER_EXTRA_SLICE = 1024
"""A step that labels this many tokens works on one slice more for each caller with long texts, up to
`MAX_CALLERS_TOGETHER`: so these have a share under any load.
"""
MAX_CALLERS_TOGETHER = 4
_SLICE_TOKENS = 64
"""Estimate of the new tokens of one slice: half a window."""


def needs_slices(session: ActiveSession, write: Write) -> bool:
    """Tell whether a write is worked on in slices: it needs more than `LONG_TOKENS`, as far as is known beforehand."""
    labels, characters = session.labels, len(write.text)
    if labels.behind:
        return True
    if characters <= 4 * LONG_TOKENS or not changes_text(session.state, write):
        return False
    return write.cost > LONG_TOKENS or not labels.holds_segment(write.segment)


def _no_work() -> Generator[None, None, Changes]:
    yield
    return [], [], []


@dataclass(slots=True, eq=False)
class SlicedOperation:
    """A long write, and how far the work on it is."""

    write: Write
    stats: EngineStats = field(default_factory=EngineStats)
    """Counted when it is finished."""
    work: Generator[None, None, Changes] = field(default_factory=_no_work)
    """Yields after each slice."""
    ends: float = 0.0
    """Slices that its caller will have been given when it ends, if no other overtakes it."""

    @property
    def caller(self) -> CallerId:
        """Source of the write."""
        return self.write.caller


class SlicedWork:
    """The long operations in progress, at most one a session."""

    def __init__(self) -> None:
        self._operations: dict[str, SlicedOperation] = {}
        self._shares = CallerShares()
        self._given: dict[CallerId, float] = {}
        """Slices of each caller."""
        self.slices = 0
        """Number of slices so far."""

    def __len__(self) -> int:
        return len(self._operations)

    @property
    def callers(self) -> int:
        """Number of callers that have long operations in progress."""
        return len({x.caller for x in self._operations.values()})

    def count_slices(self, tokens: int) -> int:
        """Count the slices of a step that labels this many tokens too."""
        return 1 + tokens // TOKENS_PER_EXTRA_SLICE * min(self.callers, MAX_CALLERS_TOGETHER)

    def add(self, operation: SlicedOperation, tokens: int) -> None:
        """Add an operation of about this many tokens."""
        operation.ends = self._given.setdefault(operation.caller, 0.0) + tokens / _SLICE_TOKENS
        self._operations[operation.write.session] = operation

    def next(self) -> SlicedOperation:
        """Choose the operation that gets the next slice, and charge its caller for it."""
        callers = {x.caller for x in self._operations.values()}
        self._shares.update(callers)
        self._given = {caller: self._given[caller] for caller in callers}
        group, member = self._shares.group, self._shares.member
        chosen = min(self._operations.values(), key=lambda x: (group(x.caller.group), member(x.caller), x.ends))
        self._shares.charge(chosen.caller, 1)
        self._given[chosen.caller] += 1
        self.slices += 1
        return chosen

    def remove(self, session: str) -> SlicedOperation | None:
        """Remove the operation of a session, finished or not; None if it has none."""
        operation = self._operations.pop(session, None)
        if operation is not None:
            operation.work.close()
        return operation
