"""GET /v1/stream: a WebSocket; messages in, revisions out, and no Kafka.

A frame is what a Kafka record's value is, in the format that the query names; `offset` in revisions is the number of
the frame that they answer. A frame that cannot be used is answered by an error and the next one goes on.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import IntEnum

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from consumers.common.settings import SettingError
from consumers.formats.base import Segments
from consumers.formats.decode import BadInput
from consumers.formats.reader import MessageReader
from consumers.formats.readers import NORMAL, make_reader
from consumers.http.api.caller import ClientHandle, ClientTooSlow, GatewayClosed, LabellingFailed, TooManySessions
from consumers.http.api.gateway import Gateway
from consumers.http.guard.problem import problem
from stream.engine.worker import WorkerFailed
from stream.messages.errors import InputError
from stream.messages.types import End, Message, Revision

log = structlog.get_logger()

Received = Callable[[str], Segments]
"""Returns the segments of a session as received, by the engine's name of the session."""

DEFAULT_SESSION = "stream"
"""The session of vendors' messages that name none."""
SEND_SECONDS = 20.0
"""How long a frame to the client may take; who does not read for so long is too slow."""


class CloseCode(IntEnum):
    """Why a connection was closed."""

    DONE = 1000
    STOPPING = 1001
    FAILED = 1011
    BAD_QUERY = 4400
    TOO_SLOW = 4408


class CloseFrame(msgspec.Struct, tag="end"):
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


def stream_routes(gateway: Gateway, received: Received, max_sessions: int) -> list[BaseRoute]:
    """Return the routes of `/v1/stream`.

    Args:
        gateway: submits messages and returns revisions.
        received: segments as received, by the engine's name of a session.
        max_sessions: open sessions of one connection.
    """

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        code, reason = CloseCode.DONE, ""
        try:
            async with gateway.client(sessions=max_sessions, shown=True) as caller:
                await StreamConnection(websocket, caller, *read_query(received, caller, websocket.query_params)).run()
        except WebSocketDisconnect:
            return
        except BadQuery as error:
            code, reason = CloseCode.BAD_QUERY, "the query cannot be met; the error before says why"
            await websocket.send_text(_encode(StreamError("bad_query", str(error), None)))
        except (ClientTooSlow, TimeoutError):
            code, reason = CloseCode.TOO_SLOW, "revisions were not read for too long; read while you send"
        except (GatewayClosed, WorkerFailed):
            code, reason = CloseCode.STOPPING, "the service stops; connect again, and send open segments anew"
        except Exception as error:
            log.error("a stream failed", error=type(error).__name__)
            code, reason = CloseCode.FAILED, "the stream failed; the service's log says why"
        await _close(websocket, code, reason)

    async def upgrade(request: Request) -> Response:
        return problem(426, "upgrade_required", "this is a WebSocket; connect with a client for such", _UPGRADE)

    return [WebSocketRoute("/v1/stream", stream), Route("/v1/stream", upgrade)]


_UPGRADE = {"upgrade": "websocket", "connection": "upgrade"}


def read_query(
    received: Received, caller: ClientHandle, query: Mapping[str, str]
) -> tuple[MessageReader, bytes | None]:
    """What the query says of frames: how they are read, and their session as a record's key would name it.

    Raises:
        BadQuery: there is no such format.
    """

    def segments(session: str) -> Segments:
        inside = caller.engine_id(session)
        return {} if inside is None else received(inside)

    session = query.get("session")
    key = None if session is None else session.encode("utf-8", "surrogatepass")
    try:
        return make_reader(query.get("format", NORMAL), segments, DEFAULT_SESSION), key
    except SettingError as error:
        raise BadQuery(error.detail) from None


class StreamConnection:
    """One connection: a task that listens, and one that tells what came of it."""

    def __init__(self, websocket: WebSocket, caller: ClientHandle, reader: MessageReader, key: bytes | None) -> None:
        self._websocket = websocket
        self._caller = caller
        self._reader = reader
        self._key = key
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
            messages = self._reader.read(value, self._key, frame)
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
            if isinstance(result, LabellingFailed):
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
        text: str | None = message.get("text")
        value: bytes = message["bytes"] if text is None else text.encode("utf-8", "surrogatepass")
        return value


def _encode(value: Revision | StreamError) -> str:
    return msgspec.json.encode(value).decode()


_END = msgspec.json.Decoder(CloseFrame)


def _is_end(value: bytes) -> bool:
    """Whether the client has said everything: an `end` that names no session."""
    if len(value) > 1024 or b'"end"' not in value:
        return False
    try:
        _END.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


async def _close(websocket: WebSocket, code: CloseCode, reason: str) -> None:
    if websocket.client_state is WebSocketState.CONNECTED and websocket.application_state is WebSocketState.CONNECTED:
        with suppress(RuntimeError, TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(SEND_SECONDS):
                await websocket.close(code, reason)
