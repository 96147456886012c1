"""One who asks over HTTP: its sessions, its places, and what waits for it. Made by
`consumers.http.api.gateway.Desk`.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stream.messages.errors import InputError
from stream.messages.types import End, Message, Revision, Update
from stream.messages.validation import MAX_ID, check_message

if TYPE_CHECKING:
    from consumers.http.api.gateway import Gateway

_MOST_WAITING = 4096
"""Results that may wait for a caller. Its places keep it from there unless many segments close at once."""


class GatewayClosed(RuntimeError):
    """The service stops, or has stopped."""


class ClientTooSlow(RuntimeError):
    """More results wait for a caller than are kept for it."""


class TooManySessions(ValueError):
    """A caller has as many sessions as it may."""


@dataclass(frozen=True, slots=True)
class LabellingFailed:
    """Labelling failed on a message: a bug of ours. Its session was reset: texts stand, labels do not."""

    session: str
    segment: str
    offset: int


Result = Revision | LabellingFailed
_Mark = Literal["answered", "over", "closed", "slow"]


@dataclass(slots=True, eq=False)
class ClientSession:
    """One session of a caller."""

    caller: "ClientHandle"
    name: str
    """As the caller knows it."""
    inside: str
    """As the engine does."""
    ended: bool = False
    at_work: int = 0
    """Its messages that are not answered."""


class ClientHandle:
    """One connection or request; made by `Gateway.caller`. One task submits, one reads the results."""

    def __init__(self, desk: "Gateway", number: int, sessions: int, in_flight: int, shown: bool) -> None:
        self._desk = desk
        self.shown = shown
        self._prefix = f"{desk.prefix}/{number}"
        self._most_sessions = sessions
        self._places = asyncio.Semaphore(in_flight)
        self._held: dict[str, ClientSession] = {}
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
            if isinstance(item, Revision | LabellingFailed):
                yield item
            elif item == "slow":
                raise ClientTooSlow("results were not read for too long")
            elif item == "closed":
                raise GatewayClosed("the service stops")
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

    def _enter(self, message: Message) -> ClientSession:
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
        return ClientSession(self, name, f"{self._prefix}/{self._named}/{name}"[:MAX_ID])

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

    def answered(self, held: ClientSession) -> None:
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
