"""GET /v1/stream: a WebSocket that takes messages and returns revisions, without Kafka.

A frame holds what a Kafka record's value would hold, in the format that the query names. The `offset` of a revision is
the number of the frame that it answers. An invalid frame is answered by an error; later frames are not affected.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from consumers.common.redaction import hide_detail
from consumers.common.settings import SettingError
from consumers.formats.base import Segments
from consumers.formats.decode import BadInput, decode_json
from consumers.formats.ignored import IgnoredRecords
from consumers.formats.keys import describe_session, name_source
from consumers.formats.readers import NORMAL, ClosingReader, MessageReader, make_reader
from consumers.http.api.caller import ClientHandle, ClientTooSlow, GatewayClosed, LabellingFailed, TooManySessions
from consumers.http.api.gateway import Gateway
from consumers.http.guard.limits import caller_of
from consumers.http.guard.problem import problem
from consumers.http.guard.websocket_protocol import TOO_LARGE
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.settings import HttpSettings
from stream.engine.worker import WorkerFailed
from stream.messages.errors import InputError
from stream.messages.types import End, Message, Revision
from stream.redaction.messages import RedactedMessage
from stream.sentences.auto_close import WORDS_AFTER, AutoClose
from stream.sentences.split import PUNCTUATION

log = structlog.get_logger()

Received = Callable[[str], Segments]
"""Returns the segments of a session as received, by the engine's name of the session."""

DEFAULT_SESSION = "stream"
"""Session of vendor messages that do not name one."""
SEND_SECONDS = 20.0
"""Time limit of sending a frame; a client that does not read for this long is too slow."""


class CloseCode(IntEnum):
    """WebSocket close codes."""

    DONE = 1000
    STOPPING = 1001
    FAILED = 1011
    BAD_QUERY = 4400
    TOO_SLOW = 4408
    IDLE = 4410


class CloseFrame(msgspec.Struct, tag="end"):
    """The client's last frame: all its sessions end."""

    session: None = None


class StreamError(msgspec.Struct, tag="error"):
    """Error frame: a client's frame was invalid, or labelling failed on it."""

    reason: str
    detail: str
    frame: int | None
    """Number of the client's frame, from 0; null if the error concerns the connection."""


class BadQuery(ValueError):
    """The query names an unknown format, or asks for what the service cannot do."""


class StreamQuery(NamedTuple):
    """What the query of a connection asks for."""

    reader: MessageReader
    key: bytes | None
    """Session of all messages, encoded as a record's key."""
    auto_close: AutoClose | None
    """What closes the segments of `reader`."""


class StreamIdle(RuntimeError):
    """The client has sent no frame for too long."""


def stream_routes(
    gateway: Gateway,
    received: Received,
    settings: HttpSettings,
    traffic: HttpTraffic,
    taggers: Sequence[str],
    ignored: IgnoredRecords | None = None,
    redacts: bool = False,
) -> list[BaseRoute]:
    """Return the routes of `/v1/stream`.

    Args:
        received: returns the received segments by the engine's name of a session.
        settings: limits of one connection.
        traffic: counts the connections that are ended.
        taggers: names of the taggers that run.
        ignored: counts frames in which their format found nothing to label.
        redacts: whether the service makes a redacted stream.
    """

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        code, reason, group = CloseCode.DONE, "", caller_of(websocket).group
        try:
            async with gateway.client(sessions=settings.max_sessions, shown=True, group=group) as client:
                query = read_query(received, client, websocket.query_params, taggers, ignored, redacts)
                await StreamConnection(websocket, client, query, settings, redacts).run()
        except WebSocketDisconnect:
            return
        except BadQuery as error:
            code, reason = CloseCode.BAD_QUERY, "the query cannot be fulfilled; the error before says why"
            await websocket.send_text(_encode(StreamError("bad_query", str(error), None)))
        except StreamIdle:
            traffic.refuse("idle")
            code, reason = CloseCode.IDLE, "no frame came for too long; connect again when there is one"
        except (ClientTooSlow, TimeoutError):
            traffic.refuse("not_read")
            code, reason = CloseCode.TOO_SLOW, "revisions were not read for too long; read while you send"
        except (GatewayClosed, WorkerFailed):
            code, reason = CloseCode.STOPPING, "the service stops; connect again and resend open segments"
        except Exception as error:
            log.error("stream_failed", error=type(error).__name__)
            code, reason = CloseCode.FAILED, "the stream failed; the service's log says why"
        await _close(websocket, code, reason)

    async def upgrade(request: Request) -> Response:
        return problem(426, "upgrade_required", "this is a WebSocket; connect with a WebSocket client", _UPGRADE)

    return [WebSocketRoute("/v1/stream", stream), Route("/v1/stream", upgrade)]


_UPGRADE = {"upgrade": "websocket", "connection": "upgrade"}


def read_query(
    received: Received,
    client: ClientHandle,
    query: Mapping[str, str],
    taggers: Sequence[str],
    ignored: IgnoredRecords | None = None,
    redacts: bool = False,
) -> StreamQuery:
    """Read the query of a connection.

    The client gets the results that the query names; `redacts` tells whether the service makes a redacted stream.

    Raises:
        BadQuery: the format or the output is unknown, the session's name is none, there is no such output, or segments
            cannot be closed at sentence ends.
    """
    output = query.get("output", "revisions")
    if output not in ("revisions", "redacted"):
        raise BadQuery(f"{output!r} is no output: use revisions or redacted")
    if output == "redacted" and not redacts:
        raise BadQuery("the service redacts nothing; it is started with --redact LABELS for that")
    client.redacted = output == "redacted"

    def segments(session: str) -> Segments:
        engine_id = client.engine_id(session)
        return {} if engine_id is None else received(engine_id)

    session, name = query.get("session"), query.get("format", NORMAL)
    if session is not None and (wrong := describe_session(session)):
        raise BadQuery(f"session: {wrong}")
    key = None if session is None else session.encode("utf-8", "surrogatepass")
    auto_close = _read_auto_close(query.get("auto_close", "false"), name, taggers)
    if auto_close is not None and client.redacted:
        raise BadQuery("auto_close reads revisions, which output=redacted leaves out; leave one of them out")
    try:
        reader = make_reader(name, segments, DEFAULT_SESSION, ignored)
    except SettingError as error:
        raise BadQuery(error.detail) from None
    return StreamQuery(reader if auto_close is None else ClosingReader(reader, auto_close), key, auto_close)


def _read_auto_close(value: str, format: str, taggers: Sequence[str]) -> AutoClose | None:
    if value == "false":
        return None
    words = WORDS_AFTER if value == "true" else int(value) if re.fullmatch("[1-9][0-9]?", value) else None
    if words is None:
        raise BadQuery(f"auto_close={value!r} must be true, false, or a number of words from 1 to 99")
    if PUNCTUATION not in taggers:
        raise BadQuery(f"auto_close needs the tagger {PUNCTUATION}; the service has {', '.join(taggers)}")
    if format != NORMAL:
        raise BadQuery(f"auto_close is for messages in normal form; those of {format} close their segments themselves")
    return AutoClose(words)


class StreamConnection:
    """One WebSocket connection, served by two tasks: one reads frames, the other sends results."""

    def __init__(
        self,
        websocket: WebSocket,
        client: ClientHandle,
        query: StreamQuery,
        settings: HttpSettings,
        redacts: bool = False,
    ) -> None:
        self._settings = settings
        self._websocket = websocket
        self._client = client
        self._reader, self._key, self._auto_close = query
        self._redacts = redacts
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Serve the connection until the client has ended it and all results are sent.

        Raises:
            WebSocketDisconnect: the client has disconnected.
            ClientTooSlow, TimeoutError: the client does not read.
            StreamIdle: the client does not send.
            GatewayClosed, WorkerFailed: the service stops.
        """
        reading, sending = asyncio.create_task(self._read_frames()), asyncio.create_task(self._send_results())
        try:
            await asyncio.wait([reading, sending], return_when=asyncio.FIRST_EXCEPTION)
        finally:
            reading.cancel()
            sending.cancel()
            ends = await asyncio.gather(sending, reading, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end

    async def _read_frames(self) -> None:
        """Read frames until the client's last one, then end its open sessions."""
        frame = 0
        while (value := await self._receive()) is None or not _is_close_frame(value):
            await self._handle_frame(value, frame)
            frame += 1
            await asyncio.sleep(0)  # a frame that was refused has waited for nothing; others have their turn now
        for session in self._client.open_sessions:
            await self._submit(End(session=session), frame)
        self._client.finish()

    async def _handle_frame(self, value: bytes | None, frame: int) -> None:
        """Read one frame (None: it was too large) and submit its messages; whatever is wrong with it is answered."""
        if value is None:
            detail = f"a frame has at most {self._settings.max_frame_bytes} bytes; this one was skipped"
            return await self._send_error("too_large", detail, frame)
        try:
            messages = self._reader.read(value, self._key, frame)
        except (BadInput, InputError) as error:
            return await self._send_error(error.reason, error.detail, frame)
        except Exception:
            return await self._send_fault(frame)
        for message in messages:
            await self._submit(message, frame)

    async def _submit(self, message: Message, frame: int) -> None:
        """Submit one message; a refused message does not affect others."""
        try:
            await self._client.submit(message, frame)
        except InputError as error:
            await self._send_error(error.reason, error.detail, frame)
        except TooManySessions as error:
            if self._auto_close is not None:
                self._auto_close.drop_session(message.session)
            await self._send_error("too_many_sessions", str(error), frame)
        except (GatewayClosed, WorkerFailed):
            raise
        except Exception:
            await self._send_fault(frame)

    async def _send_fault(self, frame: int) -> None:
        """Answer a frame on which the service itself failed, and log why; the connection goes on."""
        log.error("frame_failed", frame=frame, exc_info=True)
        await self._send_error("internal", "a fault of the service with this frame; its log says why", frame)

    async def _send_results(self) -> None:
        async for result in self._client.results():
            if isinstance(result, LabellingFailed):
                await self._send_error("labelling_failed", "a fault of the service; its log says why", result.offset)
            else:
                if self._auto_close is not None and isinstance(result, Revision):
                    self._auto_close.see(result)
                await self._send(result)

    async def _send_error(self, reason: str, detail: str, frame: int) -> None:
        if self._redacts:
            detail = hide_detail(reason, detail)
        else:
            detail = name_source(re.sub("--format ?", "?format=", detail), "the session of the query")
        await self._send(StreamError(reason, detail, frame))

    async def _send(self, value: Revision | RedactedMessage | StreamError) -> None:
        async with asyncio.timeout(SEND_SECONDS), self._sending:
            await self._websocket.send_text(_encode(value))

    async def _receive(self) -> bytes | None:
        """Return the next frame; None if it was too large."""
        try:
            async with asyncio.timeout(self._settings.idle_seconds):
                message = await self._websocket.receive()
        except TimeoutError:
            raise StreamIdle from None
        if message.get(TOO_LARGE):
            return None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text: str | None = message.get("text")
        value: bytes = message["bytes"] if text is None else text.encode("utf-8", "surrogatepass")
        return value


def _encode(value: Revision | RedactedMessage | StreamError) -> str:
    return msgspec.json.encode(value).decode()


_CLOSE_FRAME_DECODER = msgspec.json.Decoder(CloseFrame)


def _is_close_frame(value: bytes) -> bool:
    """Whether this is the client's last frame: an `end` without a session."""
    if len(value) > 1024 or b'"end"' not in value:
        return False
    try:
        decode_json(value, _CLOSE_FRAME_DECODER)
    except BadInput:
        return False
    return True


async def _close(websocket: WebSocket, code: CloseCode, reason: str) -> None:
    if websocket.client_state is WebSocketState.CONNECTED and websocket.application_state is WebSocketState.CONNECTED:
        with suppress(RuntimeError, TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(SEND_SECONDS):
                await websocket.close(code, reason)
