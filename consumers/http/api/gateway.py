"""Callers who are no Kafka: their messages go to the worker that has Kafka's records too, their revisions come back.

A caller's sessions have names of their own in the engine, so they are nobody else's, and go when the caller goes. A
message holds one of its caller's places until what it caused was taken, so a caller that does not read is soon not
listened to; it holds one of the desk's places until it is answered, so callers together leave room for Kafka.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec

from consumers.http.api.caller import ClientHandle, ClientSession, GatewayClosed, LabellingFailed
from consumers.kafka.service.observer import ServiceObserver
from stream.engine.worker import StepBatch, Worker
from stream.messages.types import End, Message
from stream.sessions.snapshot import SessionState

IN_FLIGHT = 256
"""Messages of all callers that the worker has at most."""


def _tell_nobody(message: Message) -> None:
    pass


class Gateway(ServiceObserver):
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
        self._held: dict[str, ClientSession] = {}
        self._callers: set[ClientHandle] = set()
        self._calls = 0
        self._closed = False

    @asynccontextmanager
    async def caller(self, *, sessions: int, in_flight: int = 64, shown: bool = False) -> AsyncIterator[ClientHandle]:
        """Serve a caller inside the block.

        Args:
            sessions: that it may have open at once.
            in_flight: messages that it may have on their way before it must take what the first ones caused.
            shown: others may look on (`heard`).

        Raises:
            DeskClosed: the service stops.
        """
        if self._closed:
            raise GatewayClosed("the service stops")
        self._calls += 1
        caller = ClientHandle(self, self._calls, sessions, in_flight, shown)
        self._callers.add(caller)
        try:
            yield caller
        finally:
            self._callers.discard(caller)
            caller.leave()

    def on_step(self, batch: StepBatch) -> None:
        """Give callers what a step did for them; what is nobody's here is left alone. Never waits."""
        result = batch.result
        for revision in result.revisions:
            if held := self._held.get(revision.session):
                held.caller.put(msgspec.structs.replace(revision, session=held.name))
        for failure in result.failures:
            if failure.segment and (held := self._held.get(failure.session)):
                held.caller.put(LabellingFailed(held.name, failure.segment, failure.offset))
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

    async def submit(self, held: ClientSession, message: Message, offset: int) -> None:
        """Hand a message over under its session's inner name."""
        if self._closed:
            raise GatewayClosed("the service stops")
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

    def leave(self, sessions: Iterable[ClientSession]) -> None:
        """Forget sessions, whatever waits of them."""
        for held in sessions:
            if self._held.pop(held.inside, None):
                self._worker.engine.drop(held.inside)
                if held.caller.shown and not held.ended:
                    self._tell_heard(End(session=held.inside))
                for _ in range(held.at_work):
                    self._places.release()
                held.at_work = 0
