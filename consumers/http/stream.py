"""GET /v1/stream: a WebSocket; messages in, revisions out, and no Kafka.

A frame is what a Kafka record's value is, in the format that the query names; `offset` in revisions is the number of
the frame that they answer. A frame that cannot be used is answered by an error and the next one goes on.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Protocol

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from consumers.desk import Caller, DeskClosed, Failed, TooManySessions, TooSlow
from consumers.formats.base import Segments
from consumers.formats.reader import FormatReader
from consumers.formats.registry import AUTO, FORMATS, Detector
from consumers.http.context import Context
from consumers.http.problem import problem
from consumers.intake import BadInput
from stream.errors import InputError
from stream.messages import End, Message, Revision
from stream.worker import WorkerFailed

log = structlog.get_logger()

DEFAULT_SESSION = "stream"
"""The session of vendors' messages that name none."""
SEND_SECONDS = 20.0
"""How long a frame to the client may take; who does not read for so long is too slow."""


class Code(IntEnum):
    """Why a connection was closed."""

    DONE = 1000
    STOPPING = 1001
    FAILED = 1011
    BAD_QUERY = 4400
    TOO_SLOW = 4408


class Close(msgspec.Struct, tag="end"):
    """The client has said everything: all its sessions end."""

    session: None = None


class StreamError(msgspec.Struct, tag="error"):
    """A frame that could not be used, or that labelling failed on."""

    reason: str
    detail: str
    frame: int | None
    """Its number, from 0; null where it is about the connection."""


class BadQuery(ValueError):
    """A query that asks for something that there is not."""


def routes(context: Context) -> list[BaseRoute]:
    """The route of this file."""

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        code, reason = Code.DONE, ""
        try:
            most = context.settings.max_sessions
            async with context.desk.caller(sessions=most) as caller:
                await Conversation(websocket, caller, make_reader(context, caller, websocket)).run()
        except WebSocketDisconnect:
            return
        except BadQuery as error:
            code, reason = Code.BAD_QUERY, "the query cannot be met; the error before says why"
            await websocket.send_text(_encode(StreamError("bad_query", str(error), None)))
        except (TooSlow, TimeoutError):
            code, reason = Code.TOO_SLOW, "revisions were not read for too long; read while you send"
        except (DeskClosed, WorkerFailed):
            code, reason = Code.STOPPING, "the service stops; connect again, and send open segments anew"
        except Exception as error:
            log.error("a stream failed", error=type(error).__name__)
            code, reason = Code.FAILED, "the stream failed; the service's log says why"
        await _close(websocket, code, reason)

    async def upgrade(request: Request) -> Response:
        return problem(426, "upgrade_required", "this is a WebSocket; connect with a client for such", _UPGRADE)

    return [WebSocketRoute("/v1/stream", stream), Route("/v1/stream", upgrade)]


_UPGRADE = {"upgrade": "websocket", "connection": "upgrade"}


class Read(Protocol):
    """Makes messages of a frame."""

    def __call__(self, value: bytes, frame: int) -> Sequence[Message]:
        """Give them, or raise BadInput."""
        ...


def make_reader(context: Context, caller: Caller, websocket: WebSocket) -> Read:
    """What the query says of the frames' format, and of their session.

    Raises:
        BadQuery: there is no such format.
    """
    name, session = (websocket.query_params.get(x) for x in ("format", "session"))
    if name is not None and name != AUTO and name not in FORMATS:
        raise BadQuery(f"no such format; there are {', '.join(FORMATS)} and {AUTO}")
    key = None if session is None else session.encode("utf-8", "surrogatepass")
    detector = Detector()
    if name != AUTO:
        detector.decided = FORMATS[name or "normal"]

    def segments(session: str) -> Segments:
        inside = caller.inside(session)
        return {} if inside is None else context.worker.engine.segments(inside)

    def read(value: bytes, frame: int) -> Sequence[Message]:
        return FormatReader(detector.find(value), segments, DEFAULT_SESSION).read(value, key, frame)

    return read


class Conversation:
    """One connection: a task that listens, and one that tells what came of it."""

    def __init__(self, websocket: WebSocket, caller: Caller, read: Read) -> None:
        self._websocket = websocket
        self._caller = caller
        self._read = read
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Until the client ends it and all is told.

        Raises:
            WebSocketDisconnect: the client has gone.
            TooSlow, TimeoutError: it does not read.
            DeskClosed, WorkerFailed: the service stops.
        """
        listening, telling = asyncio.create_task(self._listen()), asyncio.create_task(self._tell())
        try:
            await asyncio.wait([listening, telling], return_when=asyncio.FIRST_EXCEPTION)
        finally:
            listening.cancel()
            telling.cancel()
            ends = await asyncio.gather(telling, listening, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end

    async def _listen(self) -> None:
        """Take frames until the client has said everything."""
        frame = 0
        while not _is_end(value := await self._receive()):
            await self._take(value, frame)
            frame += 1
        for session in self._caller.open_sessions:
            await self._submit(End(session=session), frame)
        self._caller.finish()

    async def _take(self, value: bytes, frame: int) -> None:
        try:
            messages = self._read(value, frame)
        except BadInput as error:
            return await self._complain(error.reason, error.detail, frame)
        for message in messages:
            await self._submit(message, frame)

    async def _submit(self, message: Message, frame: int) -> None:
        """Hand one message over; what is refused spoils no other."""
        try:
            await self._caller.submit(message, frame)
        except InputError as error:
            await self._complain(error.reason, error.detail, frame)
        except TooManySessions as error:
            await self._complain("too_many_sessions", str(error), frame)

    async def _tell(self) -> None:
        async for result in self._caller.results():
            if isinstance(result, Failed):
                await self._complain("labelling_failed", "a fault of the service; its log says why", result.offset)
            else:
                await self._send(result)

    async def _complain(self, reason: str, detail: str, frame: int) -> None:
        await self._send(StreamError(reason, detail.replace("--format", "?format="), frame))

    async def _send(self, value: Revision | StreamError) -> None:
        async with asyncio.timeout(SEND_SECONDS), self._sending:
            await self._websocket.send_text(_encode(value))

    async def _receive(self) -> bytes:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        return text.encode("utf-8", "surrogatepass") if text is not None else message["bytes"]


def _encode(value: Revision | StreamError) -> str:
    return msgspec.json.encode(value).decode()


_END = msgspec.json.Decoder(Close)


def _is_end(value: bytes) -> bool:
    """Whether the client has said everything: an `end` that names no session."""
    if len(value) > 1024 or b'"end"' not in value:
        return False
    try:
        _END.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


async def _close(websocket: WebSocket, code: Code, reason: str) -> None:
    if websocket.client_state is WebSocketState.CONNECTED and websocket.application_state is WebSocketState.CONNECTED:
        with suppress(RuntimeError, TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(SEND_SECONDS):
                await websocket.close(code, reason)
