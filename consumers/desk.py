"""Callers who are no Kafka: their messages go to the worker that has Kafka's records too, their revisions come back.

A caller's sessions have names of their own in the engine, so they are nobody else's, and go when the caller goes. A
message holds one of its caller's places until what it caused was taken, so a caller that does not read is soon not
listened to; it holds one of the desk's places until it is answered, so callers together leave room for Kafka.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import msgspec

from consumers.tap import Tap
from stream.checks import MAX_ID, check_message
from stream.errors import InputError
from stream.messages import End, Message, Revision, Update
from stream.state import SessionState
from stream.worker import Batch, Worker

IN_FLIGHT = 256
"""Messages of all callers that the worker has at most."""
_MOST_WAITING = 4096
"""Results that may wait for a caller. Its places keep it from there unless many segments close at once."""


class DeskClosed(RuntimeError):
    """The service stops, or has stopped."""


class TooSlow(RuntimeError):
    """More results wait for a caller than are kept for it."""


class TooManySessions(ValueError):
    """A caller has as many sessions as it may."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Labelling failed on a message: a bug of ours. Its session was reset: texts stand, labels do not."""

    session: str
    segment: str
    offset: int


Result = Revision | Failed
_Mark = Literal["answered", "over", "closed", "slow"]


@dataclass(slots=True, eq=False)
class _Held:
    """One session of a caller."""

    caller: "Caller"
    name: str
    """As the caller knows it."""
    inside: str
    """As the engine does."""
    ended: bool = False
    at_work: int = 0
    """Its messages that are not answered."""


class Caller:
    """One connection or request; made by `Desk.caller`. One task submits, one reads the results."""

    def __init__(self, desk: "Desk", number: int, sessions: int, in_flight: int, shown: bool) -> None:
        self._desk = desk
        self.shown = shown
        self._prefix = f"{desk.prefix}/{number}"
        self._most_sessions = sessions
        self._places = asyncio.Semaphore(in_flight)
        self._held: dict[str, _Held] = {}
        self._named = 0
        self._results: asyncio.Queue[Result | _Mark] = asyncio.Queue()
        self._untaken = 0
        """Messages that hold a place."""
        self._finished = False

    async def submit(self, message: Message, offset: int) -> None:
        """Hand one message to the engine; waits while too many are on their way.

        Args:
            message: in normal form; its session is this caller's alone.
            offset: what revisions that answer it carry; must not fall.

        Raises:
            InputError: the message is bad; nothing was changed.
            TooManySessions: it would begin one more than the caller may have.
            WorkerFailed: the compute thread stopped.
        """
        check_message(message)
        await self._places.acquire()
        try:
            await self._submit(message, offset)
        except BaseException:
            self._places.release()
            raise
        self._untaken += 1

    def finish(self) -> None:
        """Nothing more will be submitted: `results` ends once all is answered and taken."""
        self._finished = True
        if not self._untaken:
            self._results.put_nowait("over")

    async def results(self) -> AsyncIterator[Result]:
        """What the messages caused, in order for each session and tagger.

        Raises:
            TooSlow: it was not read for too long; some is lost.
            DeskClosed: the service stops.
        """
        while True:
            item = await self._results.get()
            if isinstance(item, Revision | Failed):
                yield item
            elif item == "slow":
                raise TooSlow("results were not read for too long")
            elif item == "closed":
                raise DeskClosed("the service stops")
            elif item == "over" or self._is_last():
                return

    def inside(self, session: str) -> str | None:
        """The engine's name of a session; None if there is none of that name."""
        held = self._held.get(session)
        return held.inside if held else None

    @property
    def open_sessions(self) -> list[str]:
        """Sessions that have not ended."""
        return [name for name, held in self._held.items() if not held.ended]

    def _is_last(self) -> bool:
        """A message is done, and all that it caused was taken: give its place back."""
        self._untaken -= 1
        self._places.release()
        return self._finished and not self._untaken

    async def _submit(self, message: Message, offset: int) -> None:
        held = self._enter(message)
        try:
            await self._desk.submit(held, message, offset)
        except BaseException as error:
            if held.name not in self._held:
                self._desk.leave([held])
            if isinstance(error, InputError):
                raise InputError(error.reason, error.detail.replace(repr(held.inside), repr(held.name))) from None
            raise
        self._held[held.name] = held
        held.ended = isinstance(message, End)

    def _enter(self, message: Message) -> _Held:
        held = self._held.get(message.session)
        if not isinstance(message, Update):
            if held is None:
                raise InputError("unknown_session", f"there is no session {message.session!r}")
            return held
        if (held is None or held.ended) and len(self.open_sessions) >= self._most_sessions:
            raise TooManySessions(f"at most {self._most_sessions} sessions at once; end one, or use another connection")
        if held is not None:
            return held
        self._forget_ended()
        self._named += 1
        name = message.session
        return _Held(self, name, f"{self._prefix}/{self._named}/{name}"[:MAX_ID])

    def _forget_ended(self) -> None:
        """Of sessions that are over, as many are remembered as may be open: their `rev` goes on if they speak again."""
        over = [held for held in self._held.values() if held.ended and not held.at_work]
        for held in over[: max(0, len(over) - self._most_sessions + 1)]:
            self._desk.leave([held])
            del self._held[held.name]

    # what the desk tells

    def put(self, result: Result) -> None:
        """Something for the reader."""
        if self._results.qsize() < _MOST_WAITING:
            self._results.put_nowait(result)
            return
        while not self._results.empty():
            self._results.get_nowait()
        self._results.put_nowait("slow")

    def answered(self, held: _Held) -> None:
        """A message of it is done."""
        held.at_work -= 1
        self._results.put_nowait("answered")

    def close(self) -> None:
        """Nothing comes any more."""
        self._results.put_nowait("closed")

    def leave(self) -> None:
        """The caller has gone, and its sessions with it."""
        self._desk.leave(self._held.values())
        self._held.clear()


def _tell_nobody(message: Message) -> None:
    pass


class Desk(Tap):
    """Where callers hand in messages for the worker.

    Args:
        worker: whoever reads its results tells of each batch (`stepped`).
        heard: is told of messages that were taken, by their inner names, and of the end of sessions whose caller goes.
        in_flight: messages of all callers that the worker has at most.
    """

    def __init__(
        self, worker: Worker, heard: Callable[[Message], None] = _tell_nobody, in_flight: int = IN_FLIGHT
    ) -> None:
        self.prefix = f"http-{secrets.token_hex(4)}"
        """Of all sessions here; not to be guessed, so that no session of Kafka has such a name."""
        self._worker = worker
        self._tell_heard = heard
        self._places = asyncio.Semaphore(in_flight)
        self._held: dict[str, _Held] = {}
        self._callers: set[Caller] = set()
        self._calls = 0
        self._closed = False

    @asynccontextmanager
    async def caller(self, *, sessions: int, in_flight: int = 64, shown: bool = False) -> AsyncIterator[Caller]:
        """Serve a caller inside the block.

        Args:
            sessions: that it may have open at once.
            in_flight: messages that it may have on their way before it must take what the first ones caused.
            shown: others may look on (`heard`).

        Raises:
            DeskClosed: the service stops.
        """
        if self._closed:
            raise DeskClosed("the service stops")
        self._calls += 1
        caller = Caller(self, self._calls, sessions, in_flight, shown)
        self._callers.add(caller)
        try:
            yield caller
        finally:
            self._callers.discard(caller)
            caller.leave()

    def stepped(self, batch: Batch) -> None:
        """Give callers what a step did for them; what is nobody's here is left alone. Never waits."""
        result = batch.result
        for revision in result.revisions:
            if held := self._held.get(revision.session):
                held.caller.put(msgspec.structs.replace(revision, session=held.name))
        for failure in result.failures:
            if failure.segment and (held := self._held.get(failure.session)):
                held.caller.put(Failed(held.name, failure.segment, failure.offset))
        for answer in result.answered:
            if held := self._held.get(answer.session):
                self._places.release()
                held.caller.answered(held)
        for session, value in {x.session: x.value for x in result.entries if x.value is not None}.items():
            held = self._held.get(session)
            if held and not held.at_work:  # else it speaks again already
                held.ended = isinstance(value, SessionState) and value.ended

    def close(self) -> None:
        """End what callers wait for; nobody is served any more. May be called twice."""
        self._closed = True
        for caller in self._callers:
            caller.close()

    # for callers

    async def submit(self, held: _Held, message: Message, offset: int) -> None:
        """Hand a message over under its session's inner name."""
        if self._closed:
            raise DeskClosed("the service stops")
        await self._places.acquire()
        self._held[held.inside] = held
        held.at_work += 1
        message = msgspec.structs.replace(message, session=held.inside)
        try:
            await self._worker.submit(message, offset)
        except BaseException:
            held.at_work -= 1
            self._places.release()
            raise
        if held.caller.shown:
            self._tell_heard(message)

    def leave(self, sessions: Iterable[_Held]) -> None:
        """Forget sessions, whatever waits of them."""
        for held in sessions:
            if self._held.pop(held.inside, None):
                self._worker.engine.drop(held.inside)
                if held.caller.shown and not held.ended:
                    self._tell_heard(End(session=held.inside))
                for _ in range(held.at_work):
                    self._places.release()
                held.at_work = 0
