"""Last part of ingest: the schedule of operations. Sessions take turns by the arrival of their oldest operation."""

import heapq
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from stream.sessions.operations import DropSession, EndSession, Operation, Remove, Write

_ALL = 1 << 62


class _Waiting(NamedTuple):
    arrival: int
    operation: Operation
    since: float | None
    """When its message came; None if no message caused it."""


class Schedule:
    """One queue of operations for each session, handed out within a token budget.

    Args:
        coalesce: whether writes supersede each other, so that answers do not wait in order of their offsets.
    """

    def __init__(self, coalesce: bool) -> None:
        self._coalesce = coalesce
        self._queues: dict[str, deque[_Waiting]] = {}
        self._held: dict[str, list[Write]] = {}
        """Writes that wait for the update that overtook them; they are in no queue."""
        self._ready: list[tuple[int, str]] = []
        """Heap of (arrival of the session's oldest waiting operation, session); one entry for each queue."""
        self._arrivals = 0
        self.waiting = 0
        """Operations in the queues."""

    def add_operations(self, operations: Iterable[Operation], since: float | None) -> None:
        """Queue operations; `since` is when their message came, None if no message caused them."""
        for operation in operations:
            if isinstance(operation, Write) and operation.held:
                self._held.setdefault(operation.session, []).append(operation)
                continue
            queue = self._queues.get(operation.session)
            if queue is None:
                queue = self._queues[operation.session] = deque()
                heapq.heappush(self._ready, (self._arrivals, operation.session))
            queue.append(_Waiting(self._arrivals, operation, since))
            self._arrivals += 1
            self.waiting += 1

    def drop(self, session: str) -> None:
        """Replace all operations of a session by one that answers their messages and drops the session."""
        queue = self._queues.get(session, deque())
        operations = [*self._held.pop(session, ()), *(x.operation for x in queue)]
        self.waiting -= len(queue)
        queue.clear()
        self.add_operations([DropSession(session, [offset for x in operations for offset in _open_answers(x)])], None)

    def has_queue(self, session: str) -> bool:
        """Tell whether operations of a session wait."""
        return session in self._queues

    @property
    def waiting_since(self) -> float | None:
        """When the message of the next operation came; None if no operation waits, or no message caused it."""
        return self._queues[self._ready[0][1]][0].since if self._ready else None

    def take_operations(self, budget: int) -> list[Operation]:
        """Hand out waiting operations, oldest session first, while the token budget lasts.

        Each session gives the operations that cost nothing, up to and including the first one that does.
        """
        taken: list[Operation] = []
        left: list[tuple[int, str]] = []
        while self._ready and budget > 0:
            _, session = heapq.heappop(self._ready)
            queue = self._queues[session]
            cost = 0
            while queue and cost == 0:
                operation = queue.popleft().operation
                self.waiting -= 1
                cost = self._hand_out(operation, taken)
            budget -= cost
            if queue:
                left.append((queue[0].arrival, session))
            else:
                del self._queues[session]
        for entry in left:
            heapq.heappush(self._ready, entry)
        return taken

    def _hand_out(self, operation: Operation, taken: list[Operation]) -> int:
        cost = 0
        if isinstance(operation, Write):
            if operation.superseded:
                return 0
            operation.handed_out = True
            cost = operation.cost
        if isinstance(operation, Write | Remove | EndSession):
            operation.fully_applied_through = min(operation.offset, self._first_open_answer(operation.session) - 1)
        taken.append(operation)
        return cost

    def _first_open_answer(self, session: str) -> int:
        """Return the earliest message of a session that waits for its answer."""
        waiting = (x.operation.answers[0] for x in self._queues[session] if x.operation.answers)
        # Without coalescing the first one that waits is the earliest.
        first = min(waiting, default=_ALL) if self._coalesce else next(waiting, _ALL)
        if session in self._held:
            held = [x for x in self._held.pop(session) if not x.superseded]
            if held:
                self._held[session] = held
                first = min(first, *(x.answers[0] for x in held))
        return first


def _open_answers(operation: Operation) -> list[int]:
    """Return the messages that wait for this operation; those of a superseded write wait for the newer one."""
    superseded = isinstance(operation, Write) and operation.superseded
    return [] if superseded else operation.answers
