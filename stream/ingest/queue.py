"""What was received and not yet labelled: texts as their sources wrote them, and operations that wait in order.

Messages are checked and resolved here, when they arrive, against the text as received (labels lag behind it). So a
bad message is refused before anything changed, and labelling never meets one.
"""

import heapq
from collections import deque
from collections.abc import Mapping
from itertools import takewhile
from threading import Lock

from stream.ingest.received import ReceivedSegment, ReceivedSession, restore_source
from stream.messages.errors import InputError
from stream.messages.types import Delete, End, Message, Update
from stream.messages.validation import check_message, check_text
from stream.messages.word_times import Times, retime
from stream.sessions.operations import (
    AlreadyApplied,
    DropSession,
    EndSession,
    Operation,
    PurgeEnded,
    Remove,
    Restore,
    Write,
)
from stream.sessions.session import REMEMBERED_SEGMENTS, close_segment
from stream.sessions.snapshot import SavedSession

MAX_OPEN = 64
"""Open segments of one session."""
_ALL = 1 << 62


class Intake:
    """Receives messages and hands out operations; its methods may be called from two threads."""

    def __init__(self, coalesce: bool, remembered: int = REMEMBERED_SEGMENTS) -> None:
        self._coalesce = coalesce
        self._remembered = remembered
        self._lock = Lock()
        self._sources: dict[str, ReceivedSession] = {}
        self._ended: dict[str, tuple[float, int]] = {}
        """Sessions that are over and remembered: since when, and the last message that was in them when restored."""
        self._queues: dict[str, deque[tuple[int, Operation, float | None]]] = {}
        self._ready: list[tuple[int, str]] = []
        """Heap of (arrival of the session's oldest waiting operation, session); one entry a session that waits."""
        self._arrivals = 0
        self._now: float | None = None
        """When the message that is being queued came; None: it is no message, nobody waits for it."""
        self.waiting = 0
        """Operations not handed out yet."""

    def accept(self, message: Message, offset: int, now: float) -> None:
        """Take a message.

        Raises:
            InputError: it is bad; nothing was changed.
        """
        check_message(message)
        with self._lock:
            self._now = now
            source = self._sources.get(message.session)
            if source is not None:
                source.count(offset)
            if self._has(source, message, offset):
                if source is not None:
                    self._touch(message.session, source, source.offset, now)  # told again, after a crash: it is alive
                self._queue(AlreadyApplied(message.session, [offset]))
            elif isinstance(message, Update):
                self._update(message, offset, now)
            elif source is None:
                raise InputError("unknown_session", f"there is no session {message.session!r}")
            elif isinstance(message, End):
                self._end(message.session, source, offset, [offset], now)
            else:
                self._delete(message, source, offset, now)

    def expire(self, before: float, now: float) -> int:
        """End the sessions that heard nothing since `before`; returns how many."""
        with self._lock:
            self._now = None
            idle = list(takewhile(lambda item: item[1].seen <= before, self._sources.items()))
            for name, source in idle:
                self._end(name, source, source.offset, [], now)
            return len(idle)

    def bury(self, before: float) -> None:
        """Forget what is remembered of sessions that are over since `before`."""
        with self._lock:
            self._now = None
            for name in [name for name, _ in takewhile(lambda item: item[1][0] <= before, self._ended.items())]:
                del self._ended[name]
                self._queue(PurgeEnded(name, []))

    def drop(self, session: str) -> None:
        """Forget a session without closing it; what waits of it is answered and not done."""
        with self._lock:
            self._now = None
            self._drop(session)

    def restore(self, session: str, saved: SavedSession, now: float) -> None:
        """Know a session as it was kept, and nothing else of it."""
        with self._lock:
            self._now = None
            self._drop(session)
            if saved.ended:
                self._ended[session] = now, saved.offset
            else:
                self._sources[session] = restore_source(saved, now)
            self._queue(Restore(session, [], saved))

    def sessions(self) -> list[str]:
        """Sessions that are not over."""
        with self._lock:
            return list(self._sources)

    def segments(self, session: str) -> Mapping[str, ReceivedSegment]:
        """Segments of a session as received, to look at: the open ones and the last closed ones; none if it is over."""
        source = self._sources.get(session)
        return source.segments if source else {}

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._sources)

    def open_segments(self) -> int:
        """How many segments are open, of all sessions."""
        with self._lock:
            return sum(len(source.opened()) for source in self._sources.values())

    @property
    def waiting_since(self) -> float | None:
        """When the message that is next was accepted; None: none waits, or what is next is no message."""
        with self._lock:
            return self._queues[self._ready[0][1]][0][2] if self._ready else None

    def take(self, budget: int) -> list[Operation]:
        """Hand out waiting operations, oldest session first, while the budget lasts.

        Of each session: those that cost nothing, up to and with the first that is to be computed. The lock is not
        held while the caller works.
        """
        with self._lock:
            taken: list[Operation] = []
            again: list[tuple[int, str]] = []
            while self._ready and budget > 0:
                _, session = heapq.heappop(self._ready)
                queue = self._queues[session]
                cost = 0
                while queue and cost == 0:
                    operation = queue.popleft()[1]
                    self.waiting -= 1
                    cost = self._hand_out(operation, taken)
                budget -= cost
                if queue:
                    again.append((queue[0][0], session))
                else:
                    del self._queues[session]
            for entry in again:
                heapq.heappush(self._ready, entry)
        return taken

    def _hand_out(self, operation: Operation, taken: list[Operation]) -> int:
        cost = 0
        if isinstance(operation, Write):
            source = self._sources.get(operation.session)
            heard = source.segments.get(operation.segment) if source else None
            if heard and heard.waiting is operation:
                heard.waiting = None
            if operation.superseded:
                return 0
            cost = operation.cost
        if isinstance(operation, Write | Remove | EndSession):
            operation.floor = self._floor(operation)
        taken.append(operation)
        return cost

    def _floor(self, operation: Write | Remove | EndSession) -> int:
        """Below which nothing of the session waits any more, of the messages up to the operation's own."""
        waiting = (x.answers[0] - 1 for _, x, _ in self._queues[operation.session] if x.answers)
        # Without coalescing the first that waits is the earliest.
        first = min(waiting, default=_ALL) if self._coalesce else next(waiting, _ALL)
        source = self._sources.get(operation.session)
        held = min((x.answers[0] - 1 for x in source.held), default=_ALL) if source and source.held else _ALL
        return min(operation.offset, first, held)

    def _has(self, source: ReceivedSession | None, message: Message, offset: int) -> bool:
        if source is not None:
            return source.has(message, offset)
        return message.session in self._ended and offset <= self._ended[message.session][1]

    def _drop(self, session: str) -> None:
        source = self._sources.pop(session, None)
        known = source or self._ended.pop(session, None) or session in self._queues
        if not known:
            return
        queue = self._queues.get(session, deque())
        answers = [offset for operation in source.held for offset in operation.answers] if source else []
        answers += [offset for _, operation, _ in queue for offset in _answers(operation)]
        self.waiting -= len(queue)
        queue.clear()
        self._queue(DropSession(session, answers))

    def _update(self, update: Update, offset: int, now: float) -> None:
        source = self._sources.get(update.session) or ReceivedSession(now, place=(offset, 0))
        heard = source.segments.get(update.segment) or ReceivedSegment(opened=source.place)
        text = heard.text + update.text if update.mode == "append" else update.text
        check_text(text)
        if update.segment not in source.segments and len(source.opened()) >= MAX_OPEN:
            raise InputError("too_many_segments", f"session {update.session!r} has {MAX_OPEN} open segments")
        times = retime(heard.text, heard.times, text, update)
        is_repeat = heard.text == text and heard.times == times and update.segment in source.segments
        is_repeat = is_repeat and (heard.closed or not update.final) and not _tells_who(update, heard)
        source.segments[update.segment] = heard
        self._touch(update.session, source, source.offset if is_repeat else offset, now)
        self._write(update, source, heard, text, times, offset)

    def _write(
        self, update: Update, source: ReceivedSession, heard: ReceivedSegment, text: str, times: Times, offset: int
    ) -> None:
        closing = update.final and not heard.closed
        cost = _cost(heard.text, text, closing or heard.closed) if closing or text != heard.text else 0
        final = update.final or heard.closed
        heard.speaker, heard.channel = update.speaker or heard.speaker, update.channel or heard.channel
        operation = _write(update.session, [offset], update.segment, heard, text, times, final, offset, cost)
        self._supersede(source, heard, operation)
        heard.text, heard.times = text, times
        if closing:
            close_segment(source.segments, update.segment, self._remembered)
        if source.was_overtaken(heard, operation):
            operation.held = True
            source.held.append(operation)
            return
        if offset >= source.reached:
            heard.saved = None
        self._queue(operation)

    def _supersede(self, source: ReceivedSession, heard: ReceivedSegment, operation: Write) -> None:
        old = heard.waiting
        if old is not None and not old.final and (self._coalesce or old.held):
            if old.held:
                source.held.remove(old)
            old.superseded = True
            operation.answers = [*old.answers, *operation.answers]
            operation.cost = max(operation.cost, old.cost)
        heard.waiting = operation

    def _delete(self, message: Delete, source: ReceivedSession, offset: int, now: float) -> None:
        if message.segment not in source.segments:
            raise InputError("unknown_segment", f"session {message.session!r} has no segment {message.segment!r}")
        self._touch(message.session, source, offset, now)
        held = source.segments.pop(message.segment).waiting
        answers = [offset]
        if held is not None and held.held:
            source.held.remove(held)
            answers = [*held.answers, offset]
        self._queue(Remove(message.session, answers, message.segment, offset))

    def _end(self, session: str, source: ReceivedSession, offset: int, answers: list[int], now: float) -> None:
        for name in source.opened():
            heard = source.segments[name]
            cost = _cost(heard.text, heard.text, True)
            closing = _write(session, [], name, heard, heard.text, heard.times, True, offset, cost)
            self._supersede(source, heard, closing)
            self._queue(closing)
        self._queue(EndSession(session, answers, offset))
        del self._sources[session]
        self._ended[session] = now, -1

    def _touch(self, session: str, source: ReceivedSession, offset: int, now: float) -> None:
        source.seen, source.offset = now, offset
        self._ended.pop(session, None)
        self._sources.pop(session, None)
        self._sources[session] = source  # last: the sessions stand in order of `seen`

    def _queue(self, operation: Operation) -> None:
        queue = self._queues.get(operation.session)
        if queue is None:
            queue = self._queues[operation.session] = deque()
            heapq.heappush(self._ready, (self._arrivals, operation.session))
        queue.append((self._arrivals, operation, self._now))
        self._arrivals += 1
        self.waiting += 1


def _tells_who(update: Update, heard: ReceivedSegment) -> bool:
    """Whether an update names another speaker or channel than is known. One that names none leaves them."""
    return update.speaker not in (None, heard.speaker) or update.channel not in (None, heard.channel)


def _answers(operation: Operation) -> list[int]:
    is_void = isinstance(operation, Write) and operation.superseded  # a newer one has taken its answers over
    return [] if is_void else operation.answers


def _write(
    session: str,
    answers: list[int],
    segment: str,
    heard: ReceivedSegment,
    text: str,
    times: Times,
    final: bool,
    offset: int,
    cost: int,
) -> Write:
    return Write(
        session, answers, segment, text, times, final, offset, heard.speaker, heard.channel, heard.opened, cost
    )


def _cost(before: str, text: str, whole: bool) -> int:
    """About a token for four characters that are new, or of the whole text if it is computed whole or rewritten."""
    new = len(text) if whole or not text.startswith(before) else len(text) - len(before)
    return 1 + new // 4
