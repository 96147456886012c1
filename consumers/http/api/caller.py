"""One client of the gateway, an HTTP request or a WebSocket: its sessions, its share of messages in flight, and the
queue of its results. Made by `consumers.http.api.gateway.Gateway`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from consumers.http.ops.request_traces import RequestSteps
from stream.messages.caller_id import CallerId
from stream.messages.errors import InputError
from stream.messages.types import End, Message, Revision, Update
from stream.messages.validation import MAX_ID, check_message
from stream.redaction.messages import RedactedDelete, RedactedEnd, RedactedMessage, RedactedUpdate

MAX_SUPERSEDED = 8192
"""Unanswered messages of one client beyond which updates count against its limit even if they supersede others."""
MAX_QUEUED_RESULTS = 4096
"""Results queued for one client. The limit on messages in flight keeps the queue shorter unless many segments close at
once.
"""


class GatewayClosed(RuntimeError):
    """The service is stopping or has stopped."""


class ClientTooSlow(RuntimeError):
    """A client did not read its results, and the queue is full."""


class TooManySessions(ValueError):
    """A client has reached its limit of open sessions."""


@dataclass(frozen=True, slots=True)
class LabellingFailed:
    """Labelling failed on a message, which is a fault of the service. The labels of its session were reset; its texts
    stand.
    """

    session: str
    segment: str
    offset: int


Result = Revision | RedactedMessage | LabellingFailed
_Mark = Literal["answered", "superseded", "over", "closed", "slow"]


@dataclass(slots=True, eq=False)
class ClientSession:
    """One session of a client."""

    client: "ClientHandle"
    name: str
    """Name that the client uses."""
    engine_id: str
    """Name that the engine uses."""
    ended: bool = False
    unanswered: list[tuple[int, bool]] = field(default_factory=list)
    """Offsets of the messages without an answer, in order, and whether they count against the limits in flight."""

    def take_answer(self, offset: int) -> bool:
        """Remove the first unanswered message with that offset; returns whether it counts against the limits."""
        index = next(i for i, (known, _) in enumerate(self.unanswered) if known == offset)
        return self.unanswered.pop(index)[1]


class Submitter(Protocol):
    """The part of the gateway that clients use."""

    def supersedes_waiting(self, session: ClientSession, message: Message) -> bool:
        """Tell whether a message of a session would take the place of an update that waits."""

    async def submit(self, session: ClientSession, message: Message, offset: int, takes_place: bool) -> None:
        """Submit a message under the engine's name of its session."""

    def forget(self, sessions: Iterable[ClientSession]) -> None:
        """Drop sessions, with all that is in flight of them."""


class ClientHandle:
    """One connection or request; made by `Gateway.client`. One task submits, another reads the results.

    Args:
        gateway: submits messages to the worker.
        caller: whose turn it is in the engine; `member` begins the engine's names of its sessions.
        sessions: limit of open sessions.
        in_flight: limit of messages whose results have not been read.
        shown: whether its messages are reported to observers (the live page).
    """

    def __init__(self, gateway: Submitter, caller: CallerId, sessions: int, in_flight: int, shown: bool) -> None:
        self._gateway = gateway
        self.shown = shown
        self.redacted = False
        """Whether its results are messages of the redacted stream instead of revisions."""
        self.steps: RequestSteps | None = None
        """Gets the times of the steps that answer its messages, if its request belongs to a trace."""
        self.caller = caller
        self._max_sessions = sessions
        self._capacity = asyncio.Semaphore(in_flight)
        self._sessions: dict[str, ClientSession] = {}
        self._sessions_made = 0
        self._results: asyncio.Queue[Result | _Mark] = asyncio.Queue()
        self._unread = 0
        """Messages whose results have not been read."""
        self._finished = False

    async def submit(self, message: Message, offset: int) -> None:
        """Submit one message to the engine; waits while too many are in flight.

        An update that supersedes a waiting one of its segment never waits: it takes the place of that one.

        Args:
            message: in normal form; its session belongs to this client alone.
            offset: `offset` of the revisions that answer it; must not decrease.

        Raises:
            InputError: the message is not valid; nothing was changed.
            TooManySessions: it would open a session beyond the limit.
            WorkerFailed: the compute thread stopped.
        """
        check_message(message)
        held = self._sessions.get(message.session)
        takes_place = (
            held is None or self._unread > MAX_SUPERSEDED or not self._gateway.supersedes_waiting(held, message)
        )
        if takes_place:
            await self._capacity.acquire()
        try:
            await self._submit(message, offset, takes_place)
        except BaseException:
            if takes_place:
                self._capacity.release()
            raise
        self._unread += 1

    def finish(self) -> None:
        """End the input: `results` ends when every message is answered and its results are read."""
        self._finished = True
        if not self._unread:
            self._results.put_nowait("over")

    async def results(self) -> AsyncIterator[Result]:
        """Yield the results of the messages, in order for each session and tagger.

        Raises:
            ClientTooSlow: results were not read for too long; some are lost.
            GatewayClosed: the service stops.
        """
        while True:
            item = await self._results.get()
            if isinstance(item, Revision | RedactedUpdate | RedactedDelete | RedactedEnd | LabellingFailed):
                yield item
            elif item == "slow":
                raise ClientTooSlow("results were not read for too long")
            elif item == "closed":
                raise GatewayClosed("the service stops")
            elif item == "over" or self._is_last(item == "answered"):
                return

    def engine_id(self, session: str) -> str | None:
        """Return the engine's name of a session; None if there is no such session."""
        held = self._sessions.get(session)
        return held.engine_id if held else None

    @property
    def open_sessions(self) -> list[str]:
        """Names of the sessions that have not ended."""
        return [name for name, held in self._sessions.items() if not held.ended]

    def _is_last(self, takes_place: bool = True) -> bool:
        """Release the capacity of a message whose results are all read; returns whether it was the last."""
        self._unread -= 1
        if takes_place:
            self._capacity.release()
        return self._finished and not self._unread

    async def _submit(self, message: Message, offset: int, takes_place: bool) -> None:
        held = self._find_session(message)
        try:
            await self._gateway.submit(held, message, offset, takes_place)
        except BaseException as error:
            if held.name not in self._sessions:
                self._gateway.forget([held])
            if isinstance(error, InputError):
                raise InputError(error.reason, error.detail.replace(repr(held.engine_id), repr(held.name))) from None
            raise
        self._sessions[held.name] = held
        held.ended = isinstance(message, End)

    def _find_session(self, message: Message) -> ClientSession:
        held = self._sessions.get(message.session)
        if not isinstance(message, Update):
            if held is None:
                raise InputError("unknown_session", f"there is no session {message.session!r}")
            return held
        if (held is None or held.ended) and len(self.open_sessions) >= self._max_sessions:
            raise TooManySessions(f"at most {self._max_sessions} sessions at once; end one, or use another connection")
        if held is not None:
            return held
        self._forget_ended()
        self._sessions_made += 1
        name = message.session
        return ClientSession(self, name, f"{self.caller.member}/{self._sessions_made}/{name}"[:MAX_ID])

    def _forget_ended(self) -> None:
        """Forget the oldest ended sessions beyond the limit; a remembered one continues its `rev` if it goes on."""
        over = [held for held in self._sessions.values() if held.ended and not held.unanswered]
        for held in over[: max(0, len(over) - self._max_sessions + 1)]:
            self._gateway.forget([held])
            del self._sessions[held.name]

    # called by the gateway

    def put(self, result: Result) -> None:
        """Queue a result; a full queue is emptied and ends with `ClientTooSlow`."""
        if self._results.qsize() < MAX_QUEUED_RESULTS:
            self._results.put_nowait(result)
            return
        while not self._results.empty():
            self._results.get_nowait()
        self._results.put_nowait("slow")

    def count_answer(self, takes_place: bool) -> None:
        """Count a message as answered; `takes_place` tells whether it counts against the limit in flight."""
        self._results.put_nowait("answered" if takes_place else "superseded")

    def close(self) -> None:
        """End `results`: the service stops."""
        self._results.put_nowait("closed")

    def leave(self) -> None:
        """Drop all sessions: the client has disconnected."""
        self._gateway.forget(self._sessions.values())
        self._sessions.clear()
