"""Last part of ingest: the schedule of operations. Callers take turns, and the sessions of each caller."""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from stream.ingest.caller_shares import CallerShares
from stream.messages.caller_id import NOBODY, CallerId
from stream.sessions.operations import DropSession, EndSession, Operation, Remove, Write

LONG_TOKENS = 768
"""Estimated tokens beyond which an operation is worked on in slices, outside of the token budget of a step."""
_ALL = 1 << 62


@dataclass(slots=True, eq=False)
class _Waiting:
    operation: Operation
    since: float | None
    """When its message came, or that of the first update that it supersedes; None if no message caused it."""
    gone: bool = False
    """Whether it does not wait any more, or waits for another operation of its session."""


@dataclass(slots=True, eq=False)
class _Queue:
    session: str
    caller: CallerId
    operations: OrderedDict[int, _Waiting] = field(default_factory=OrderedDict)
    """By arrival."""


def no_tokens(operation: Operation) -> int:
    """Give the tokens that an operation's session lacks, where none lacks any."""
    return 0


class Schedule:
    """One queue of operations for each session, handed out within a token budget.

    While all that waits fits into the budget, all is handed out. Otherwise the group of callers that was given the
    fewest tokens is next, then the member of it that was, then the session of that member that has waited longest.

    Args:
        coalesce: whether writes supersede each other, so that answers do not wait in order of their offsets.
    """

    def __init__(self, coalesce: bool) -> None:
        self._coalesce = coalesce
        self._queues: dict[str, _Queue] = {}
        self._held: dict[str, list[Write]] = {}
        """Writes that wait for the update that overtook them; they are in no queue."""
        self._ready: dict[str, dict[str, OrderedDict[str, _Queue]]] = {}
        """Queues that may be served, by group, member and session, those that have waited longest first."""
        self._blocked: set[str] = set()
        self._ages: deque[_Waiting] = deque()
        """Operations in order of arrival; those that are gone are removed when they are first."""
        self._shares = CallerShares()
        self._crowded = False
        """Whether the last step did not take all that waited."""
        self._arrivals = 0
        self._cost = 0
        self.waiting = 0
        """Operations in the queues."""

    @property
    def crowded(self) -> bool:
        """Whether the last step did not take all that waited."""
        return self._crowded

    @property
    def waiting_callers(self) -> int:
        """Number of callers with an operation that may be handed out."""
        return sum(len(members) for members in list(self._ready.values()))

    def add_operations(self, operations: Iterable[Operation], since: float | None, caller: CallerId) -> None:
        """Queue operations of one session.

        Args:
            operations: a write takes the place in the order of age of the one that it supersedes.
            since: when their message came; None if no message caused them.
            caller: whose turn it is when they are handed out, unless others of the session wait.
        """
        for operation in operations:
            waiting = None
            if isinstance(operation, Write):
                operation.caller = caller
                waiting = self._take_superseded(operation)
                if operation.held:
                    if waiting is not None:
                        waiting.gone = True
                    self._held.setdefault(operation.session, []).append(operation)
                    continue
                operation.place = self._arrivals
                self._cost += _budgeted(operation.cost)
            queue = self._queues.get(operation.session)
            if queue is None:
                queue = self._queues[operation.session] = _Queue(operation.session, caller)
                if operation.session not in self._blocked:
                    self._make_ready(queue)
            if waiting is None:
                waiting = _Waiting(operation, since)
                if operation.session not in self._blocked:
                    self._ages.append(waiting)
            waiting.operation = operation
            queue.operations[self._arrivals] = waiting
            self._arrivals += 1
            self.waiting += 1

    def block(self, session: str) -> None:
        """Hand out no operation of a session before `unblock`, except that it is dropped."""
        self._blocked.add(session)
        if queue := self._queues.get(session):
            self._remove_ready(queue)
            for waiting in queue.operations.values():
                waiting.gone = True

    def unblock(self, session: str) -> None:
        """Hand out the operations of a session again."""
        if session in self._blocked:
            self._blocked.discard(session)
            if queue := self._queues.get(session):
                self._make_ready(queue)

    def drop(self, session: str) -> None:
        """Replace all operations of a session by one that answers their messages and drops the session."""
        held = self._held.pop(session, [])
        queue = self._queues.pop(session, None)
        operations: list[Operation] = [*held]
        if queue is not None:
            if session not in self._blocked:
                self._remove_ready(queue)
            operations += self._clear(queue)
        self._blocked.discard(session)
        answers = [offset for x in operations for offset in _open_answers(x)]
        caller = NOBODY if queue is None else queue.caller
        self.add_operations([DropSession(session, answers)], None, caller)

    def has_queue(self, session: str) -> bool:
        """Tell whether operations of a session wait or are worked on."""
        return session in self._queues or session in self._blocked

    @property
    def waiting_since(self) -> float | None:
        """When the message of the oldest operation came; None if none waits for its turn, or no message caused it."""
        while self._ages and self._ages[0].gone:
            self._ages.popleft()
        return self._ages[0].since if self._ages else None

    def take_operations(self, budget: int, missing: Callable[[Operation], int] = no_tokens) -> list[Operation]:
        """Hand out waiting operations, while the token budget lasts; at least one.

        Each session gives the operations that cost nothing, up to and including the first one that does.

        Args:
            budget: tokens; a long operation counts as one, because it is worked on in slices.
            missing: gives the tokens that have to be computed for an operation beyond its own cost.
        """
        taken: list[Operation] = []
        left: list[_Queue] = []
        crowded = self._crowded or self._cost > budget
        for queue, charge in self._take_turns() if crowded else self._take_in_order():
            cost = self._serve(queue, taken)
            if cost:
                cost += _budgeted(missing(taken[-1]))
            charge(queue.caller, cost)
            if queue.operations:
                left.append(queue)
            else:
                del self._queues[queue.session]
            budget -= cost
            if budget <= 0:
                break
        self._crowded = bool(self._ready)
        for queue in left:
            self._make_ready(queue)
        return taken

    def _take_in_order(self) -> Iterator[tuple[_Queue, Callable[[CallerId, float], None]]]:
        """Yield queues that are ready, and remove them."""
        while self._ready:
            group, members = next(iter(self._ready.items()))
            while members:
                member, queues = next(iter(members.items()))
                while queues:
                    _, queue = queues.popitem(last=False)
                    if not queues:
                        del members[member]
                    if not members:
                        del self._ready[group]
                    yield queue, _charge_nobody

    def _take_turns(self) -> Iterator[tuple[_Queue, Callable[[CallerId, float], None]]]:
        """Yield queues that are ready, and remove them: of the caller that was given least."""
        shares = self._shares
        shares.update(CallerId(group, member) for group, members in self._ready.items() for member in members)
        groups = [(shares.group(group), number, group) for number, group in enumerate(self._ready)]
        heapq.heapify(groups)
        turns: dict[str, list[tuple[float, int, str]]] = {}
        while groups:
            _, number, group = groups[0]
            members = self._ready[group]
            if group not in turns:
                turns[group] = [(shares.member(CallerId(group, x)), place, x) for place, x in enumerate(members)]
                heapq.heapify(turns[group])
            _, place, member = turns[group][0]
            queues = members[member]
            _, queue = queues.popitem(last=False)
            if not queues:
                del members[member]
            if not members:
                del self._ready[group]
            yield queue, shares.charge
            if queues:
                heapq.heapreplace(turns[group], (shares.member(CallerId(group, member)), place, member))
            else:
                heapq.heappop(turns[group])
            if members:
                heapq.heapreplace(groups, (shares.group(group), number, group))
            else:
                heapq.heappop(groups)

    def _serve(self, queue: _Queue, taken: list[Operation]) -> int:
        """Hand out the operations of a session up to the first one with a cost; returns its cost."""
        cost = 0
        while queue.operations and cost == 0:
            _, waiting = queue.operations.popitem(last=False)
            waiting.gone = True
            self.waiting -= 1
            cost = self._hand_out(waiting.operation, queue)
            taken.append(waiting.operation)
        return cost

    def _hand_out(self, operation: Operation, queue: _Queue) -> int:
        cost = 0
        if isinstance(operation, Write):
            operation.handed_out = True
            cost = _budgeted(operation.cost)
            self._cost -= cost
        if isinstance(operation, Write | Remove | EndSession):
            operation.fully_applied_through = min(operation.offset, self._first_open_answer(queue) - 1)
        return cost

    def _first_open_answer(self, queue: _Queue) -> int:
        """Return the earliest message of a session that waits for its answer."""
        waiting = (x.operation.answers[0] for x in queue.operations.values() if x.operation.answers)
        # Without coalescing the first one that waits is the earliest.
        first = min(waiting, default=_ALL) if self._coalesce else next(waiting, _ALL)
        if queue.session in self._held:
            held = [x for x in self._held.pop(queue.session) if not x.superseded]
            if held:
                self._held[queue.session] = held
                first = min(first, *(x.answers[0] for x in held))
        return first

    def _take_superseded(self, operation: Write) -> _Waiting | None:
        """Remove the write that a newer one superseded from the queue; None if it is in none."""
        old, operation.supersedes = operation.supersedes, None
        if old is None or old.held:
            return None
        queue = self._queues[old.session]
        self.waiting -= 1
        self._cost -= _budgeted(old.cost)
        return queue.operations.pop(old.place)

    def _clear(self, queue: _Queue) -> list[Operation]:
        operations = [x.operation for x in queue.operations.values()]
        for waiting in queue.operations.values():
            waiting.gone = True
        self._cost -= sum(_budgeted(x.cost) for x in operations if isinstance(x, Write))
        self.waiting -= len(operations)
        return operations

    def _make_ready(self, queue: _Queue) -> None:
        group, member = queue.caller
        self._ready.setdefault(group, {}).setdefault(member, OrderedDict())[queue.session] = queue

    def _remove_ready(self, queue: _Queue) -> None:
        group, member = queue.caller
        members = self._ready[group]
        del members[member][queue.session]
        if not members[member]:
            del members[member]
        if not members:
            del self._ready[group]


def _budgeted(cost: int) -> int:
    """Give the tokens that an operation takes of a step's budget."""
    return cost if cost <= LONG_TOKENS else 1


def _charge_nobody(caller: CallerId, cost: float) -> None:
    """Charge nothing: nobody had to wait."""


def _open_answers(operation: Operation) -> list[int]:
    """Return the messages that wait for this operation; those of a superseded write wait for the newer one."""
    superseded = isinstance(operation, Write) and operation.superseded
    return [] if superseded else operation.answers
