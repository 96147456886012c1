"""Ingest: from messages, when they arrive, to operations that wait for the engine's step.

A message passes four parts in one direction. *Validation* refuses a bad message before anything has changed
(`check_message`, `check_in_session`). *Comparison* (`compare_message`) resolves it against the text as received, which
is ahead of the labels. *Coalescing* (`coalesce_operations`) lets it supersede an older update. The *schedule*
(`Schedule`) queues what is left.
"""

from collections.abc import Callable, Mapping
from threading import Lock

from stream.ingest.coalescing import coalesce_operations
from stream.ingest.comparison import DEFAULT_LIMITS, SegmentLimits, close_received, compare_message
from stream.ingest.received import ReceivedSegment, ReceivedSession, ReceivedSessions
from stream.ingest.schedule import Schedule, no_tokens
from stream.ingest.session_checks import check_in_session
from stream.messages.caller_id import NOBODY, CallerId
from stream.messages.types import End, Message
from stream.messages.validation import check_message
from stream.sessions.operations import AlreadyApplied, Operation, PurgeEnded, Restore
from stream.sessions.snapshot import SavedSession


class Intake:
    """Receives messages and hands out operations. Two threads may call its methods at the same time.

    Args:
        coalesce: whether a newer update of a segment supersedes one that waits.
        limits: of the segments of a session.
    """

    def __init__(self, coalesce: bool, limits: SegmentLimits = DEFAULT_LIMITS) -> None:
        self._coalesce = coalesce
        self._limits = limits
        self._lock = Lock()
        self._sessions = ReceivedSessions()
        self._schedule = Schedule(coalesce)

    def accept(self, message: Message, offset: int, now: float, caller: CallerId = NOBODY) -> bool:
        """Take a message of a caller.

        Returns:
            Whether it takes the place of an update that waited: no more operations wait than before.

        Raises:
            InputError: the message is bad; nothing was changed.
        """
        check_message(message)
        with self._lock:
            session = self._sessions.active.get(message.session)
            if session is not None:
                session.count_message(offset)
            if self._sessions.already_applied(message, offset):
                if session is not None:
                    self._sessions.mark_seen(message.session, session, now)  # repeated after a crash: it is in use
                self._schedule.add_operations([AlreadyApplied(message.session, [offset])], now, caller)
                return False
            check_in_session(message, session)
            if session is None:
                session = ReceivedSession(now, position=(offset, 0))
            compared = compare_message(message, session, offset, self._limits)
            if isinstance(message, End):
                self._sessions.mark_ended(message.session, now)
            else:
                self._sessions.mark_seen(message.session, session, now)
            session.caller = caller
            before, operations = self._schedule.waiting, coalesce_operations(compared, self._coalesce)
            self._schedule.add_operations(operations, now, caller)
            return self._schedule.waiting == before

    def expire(self, before: float, now: float) -> int:
        """End the sessions without a message since `before`; returns their number."""
        with self._lock:
            idle = self._sessions.idle_since(before)
            for name, session in idle.items():
                closings = close_received(name, session, session.offset, [])
                self._sessions.mark_ended(name, now)
                self._schedule.add_operations(coalesce_operations(closings, self._coalesce), None, session.caller)
            return len(idle)

    def purge_ended(self, before: float) -> None:
        """Forget what is remembered of sessions that ended at or before `before`."""
        with self._lock:
            for name in self._sessions.purge_ended(before):
                self._schedule.add_operations([PurgeEnded(name, [])], None, NOBODY)

    def drop(self, session: str) -> None:
        """Forget a session without closing it; its waiting messages are answered but not applied."""
        with self._lock:
            self._forget_session(session)

    def restore(self, session: str, saved: SavedSession, now: float) -> None:
        """Replace a session by a saved one."""
        with self._lock:
            self._forget_session(session)
            self._sessions.restore(session, saved, now)
            self._schedule.add_operations([Restore(session, [], saved)], None, NOBODY)

    def take_operations(self, budget: int, missing: Callable[[Operation], int] = no_tokens) -> list[Operation]:
        """Hand out waiting operations within a token budget (`Schedule.take_operations`)."""
        with self._lock:
            return self._schedule.take_operations(budget, missing)

    def block(self, session: str) -> None:
        """Let the operations of a session wait until `unblock`: one of them is worked on in slices."""
        with self._lock:
            self._schedule.block(session)

    def unblock(self, session: str) -> None:
        """Hand out the operations of a session again."""
        with self._lock:
            self._schedule.unblock(session)

    def supersedes_waiting(self, session: str, segment: str) -> bool:
        """Tell whether an update of a segment would now take the place of one that waits."""
        waiting = self.segments(session).get(segment)
        write = waiting.waiting if waiting and self._coalesce else None
        return write is not None and not write.handed_out

    @property
    def crowded(self) -> bool:
        """Whether operations wait that the last call of `take_operations` did not hand out."""
        return self._schedule.crowded

    @property
    def waiting_callers(self) -> int:
        """Number of callers that wait for their turn."""
        with self._lock:
            return self._schedule.waiting_callers

    @property
    def sessions(self) -> list[str]:
        """Names of the active sessions, including restored ones."""
        with self._lock:
            return list(self._sessions.active)

    @property
    def session_count(self) -> int:
        """Number of active sessions."""
        return len(self._sessions.active)

    def segments(self, session: str) -> Mapping[str, ReceivedSegment]:
        """Return the segments of a session as received, read only: open ones and the last closed ones.

        Empty if the session is not active.
        """
        received = self._sessions.active.get(session)
        if received is None:
            return {}
        if received.saved is not None:
            with self._lock:  # another thread must not decode them too, and replace what this one has changed
                return received.segments
        return received.segments

    @property
    def open_segment_count(self) -> int:
        """Number of open segments of all sessions."""
        with self._lock:
            return sum(session.open_count for session in self._sessions.active.values())

    @property
    def waiting(self) -> int:
        """Number of operations that wait."""
        return self._schedule.waiting

    @property
    def waiting_since(self) -> float | None:
        """When the message of the oldest operation was accepted; None if none waits, or no message caused it."""
        with self._lock:
            return self._schedule.waiting_since

    def _forget_session(self, session: str) -> None:
        if self._sessions.forget_session(session) or self._schedule.has_queue(session):
            self._schedule.drop(session)
