"""Gateway for in-process clients (HTTP, WebSocket): submits their messages to the shared worker and routes revisions
back.

A client's sessions have names of their own in the engine, so that no other client reaches them, and are dropped when it
disconnects. A message counts against its client's limit until its results are read, so that a client which does not
read cannot send; it counts against the gateway's limit until it is answered, so that clients together leave capacity
for Kafka.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec

from consumers.http.api.caller import ClientHandle, ClientSession, GatewayClosed, LabellingFailed
from consumers.http.ops.request_traces import CURRENT_STEPS
from consumers.kafka.service.observer import ServiceObserver
from stream.engine.worker import StepBatch, Worker
from stream.messages.caller_id import CallerId
from stream.messages.types import End, Message, Update
from stream.redaction.messages import RedactedMessage
from stream.sessions.snapshot import SessionState

IN_FLIGHT = 768
"""Limit of messages in flight of all clients together: three of each of as many connections as there are at most (one
that is being labelled, one that closes a segment, and one of the next segment).
"""


def replace_session(message: RedactedMessage, name: str) -> RedactedMessage:
    """Return a message under the name that its client uses of the session."""
    return msgspec.structs.replace(message, session=name)


def _ignore(message: Message) -> None:
    pass


class Gateway(ServiceObserver):
    """Submits messages of clients to the worker and returns their revisions.

    Args:
        worker: the reader of its results calls `on_step` with each batch.
        heard: called with each accepted message, under the engine's session name, and with an `End` for each open
            session of a client that disconnects.
        in_flight: limit of messages in flight of all clients together.
    """

    def __init__(self, worker: Worker, heard: Callable[[Message], None] = _ignore, in_flight: int = IN_FLIGHT) -> None:
        self.prefix = f"http-{secrets.token_hex(4)}"
        """Prefix of the sessions' names; random, so that no session of Kafka has such a name."""
        self._worker = worker
        self._on_message = heard
        self._capacity = asyncio.Semaphore(in_flight)
        self._sessions: dict[str, ClientSession] = {}
        self._clients: set[ClientHandle] = set()
        self._clients_made = 0
        self._closed = False

    @asynccontextmanager
    async def client(
        self, *, sessions: int, in_flight: int = 64, shown: bool = False, group: str = ""
    ) -> AsyncIterator[ClientHandle]:
        """Serve a client inside the block.

        Args:
            group: clients that share one caller's part of the work.
            sessions: limit of its open sessions.
            in_flight: limit of its messages whose results have not been read.
            shown: whether its messages are reported (`heard`).

        Raises:
            GatewayClosed: the service stops.
        """
        if self._closed:
            raise GatewayClosed("the service stops")
        self._clients_made += 1
        caller = CallerId(group, f"{self.prefix}/{self._clients_made}")
        client = ClientHandle(self, caller, sessions, in_flight, shown)
        client.steps = CURRENT_STEPS.get()
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.discard(client)
            client.leave()

    def on_step(self, batch: StepBatch) -> None:
        """Give clients their results of a step. Results of other sessions are ignored. Never waits."""
        result = batch.result
        for revision in result.revisions:
            if (held := self._sessions.get(revision.session)) and not held.client.redacted:
                held.client.put(msgspec.structs.replace(revision, session=held.name))
        for output in result.redacted:
            held, redactor = self._sessions.get(output.session), self._worker.engine.redactor
            if redactor is not None and held is not None and held.client.redacted:
                held.client.put(replace_session(output.message, redactor.hide_name(held.name)))
        for failure in result.failures:
            if failure.segment and (held := self._sessions.get(failure.session)):
                held.client.put(LabellingFailed(held.name, failure.segment, failure.offset))
        for answer in result.answered:
            if held := self._sessions.get(answer.session):
                takes_place = held.take_answer(answer.offset)
                if held.client.steps:
                    held.client.steps.add_step(batch.ended_at - batch.step_seconds, batch.ended_at)
                if takes_place:
                    self._capacity.release()
                held.client.count_answer(takes_place)
        for session, value in {x.session: x.value for x in result.entries if x.value is not None}.items():
            held = self._sessions.get(session)
            if held and not held.unanswered:  # otherwise the session has been reopened
                held.ended = isinstance(value, SessionState) and value.ended

    def close(self) -> None:
        """End the results of all clients and refuse new messages. May be called twice."""
        self._closed = True
        for client in self._clients:
            client.close()

    def supersedes_waiting(self, session: ClientSession, message: Message) -> bool:
        """Tell whether a message of a session would take the place of an update that waits."""
        intake = self._worker.engine.intake
        return isinstance(message, Update) and intake.supersedes_waiting(session.engine_id, message.segment)

    async def submit(self, session: ClientSession, message: Message, offset: int, takes_place: bool) -> None:
        """Submit a message under the engine's name of its session.

        Args:
            session, message, offset: the message; its offset is not below those before.
            takes_place: whether it counts against the limit; it waits while too many do.

        Raises:
            GatewayClosed: the service stops.
        """
        if self._closed:
            raise GatewayClosed("the service stops")
        if takes_place:
            await self._capacity.acquire()
        self._sessions[session.engine_id] = session
        session.unanswered.append((offset, takes_place))
        message = msgspec.structs.replace(message, session=session.engine_id)
        try:
            self._worker.enqueue(message, offset, session.client.caller)
        except BaseException:
            session.unanswered.pop()
            if takes_place:
                self._capacity.release()
            raise
        self._worker.wake()
        if session.client.shown:
            self._on_message(message)

    def forget(self, sessions: Iterable[ClientSession]) -> None:
        """Drop sessions, with all that is in flight of them."""
        for held in sessions:
            if self._sessions.pop(held.engine_id, None):
                self._worker.engine.drop(held.engine_id)
                if held.client.shown and not held.ended:
                    self._on_message(End(session=held.engine_id))
                for _, takes_place in held.unanswered:
                    if takes_place:
                        self._capacity.release()
                held.unanswered.clear()
