"""WebSocket protocol of one connection: a bad frame is handed on as bad, and a client that does not read is let go.

Three kinds of frames would end a connection in the libraries, and are messages here, so that the endpoint can answer
them and read on: text that is not UTF-8 (received as bytes), a message beyond the size limit (received empty, with the
key `TOO_LARGE`; its bytes are skipped as they arrive), and binary frames where text is expected.
"""

import asyncio
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Literal

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from consumers.http.guard.open_connections import OpenConnections
from consumers.http.guard.write_watch import WriteWatch

TOO_LARGE = "hearken.too_large"
"""Key of a received ASGI message that was beyond the size limit and is empty therefore."""
RECEIVE_BYTES = 1 << 14
"""Bytes that are read of one connection before others have their turn: parsing them takes milliseconds at most."""
IDLE_FRAMES = 5000
"""Fragments of a message a second that are read of one connection."""
CONTROL_COST = 50
"""A ping or pong counts as so many of these: a client needs one in some seconds, not a hundred in one."""
_END_SECONDS = 15.0
"""Time after which a connection that is to close is aborted: its client does not read the rest."""


class _SkippedFrame(Frame):
    """Frame whose payload was beyond the limit and was skipped."""


class _SkippingReader(StreamReader):
    """Reader that skips reads beyond a limit, which only payloads can be, and returns nothing for them."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.has_skipped = False

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        """Read `n` bytes, or skip them as they arrive if they are more than the limit."""
        if n <= self._limit:
            return (yield from super().read_exact(n))
        while n:
            taken = min(n, len(self.buffer))
            del self.buffer[:taken]
            n -= taken
            if n and self.eof:
                raise EOFError(f"stream ends {n} bytes before the end of a payload")
            if n:
                yield
        self.has_skipped = True
        return bytearray()


class _SkippingServer(ServerProtocol):
    """Parser of a connection that skips payloads beyond a limit instead of failing."""

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(max_size=None, **options)
        self.reader: _SkippingReader = _SkippingReader(limit)
        self.parser = self.parse()  # the one that exists is bound to the other reader
        next(self.parser)

    def recv_frame(self, frame: Frame) -> None:
        """Mark a frame whose payload was skipped."""
        if self.reader.has_skipped:
            self.reader.has_skipped = False
            frame = _SkippedFrame(frame.opcode, b"", frame.fin)
        super().recv_frame(frame)


class GuardedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection.

    Args:
        connections: settings and counts of the server.
    """

    def __init__(self, *args: Any, connections: OpenConnections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._table = connections
        self._limit = connections.settings.max_frame_bytes
        self.conn = _SkippingServer(self._limit, extensions=self.conn.available_extensions, logger=self.logger)
        self._message = bytearray()
        """Bytes of the message that is being received."""
        self._too_large = False
        self._end_timer: asyncio.TimerHandle | None = None
        self._idle_frames = 0
        """Frames of the current second that bring no message."""
        self._second = 0.0

    def connection_made(self, transport: Any) -> None:
        """Count the connection."""
        super().connection_made(transport)
        transport.max_size = RECEIVE_BYTES  # of asyncio's transports
        self._watch = WriteWatch(transport, self._table.settings.send_seconds, self._table.traffic)
        self._table.traffic.open_connections["websocket"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        super().connection_lost(exc)
        self._table.traffic.open_connections["websocket"] -= 1
        self._watch.stop()
        if self._end_timer is not None:
            self._end_timer.cancel()

    # Sending

    def pause_writing(self) -> None:
        """Stop reading while the client does not: each ping that is read adds a pong to what it does not take."""
        super().pause_writing()
        self.transport.pause_reading()
        self._watch.start()

    def resume_writing(self) -> None:
        """Read again, unless the endpoint has messages to handle first."""
        super().resume_writing()
        self._watch.stop()
        if not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Return the next message; reading stays paused while the client does not read."""
        message = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message

    async def send(self, message: Any) -> None:
        """Send a message of the endpoint; a refused upgrade is complete with its response."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def shutdown(self) -> None:
        """Close because the server stops; a client that does not read would not see why."""
        super().shutdown()
        if not self.writable.is_set():
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """End a connection that does not answer pings."""
        super().keepalive_timeout()
        self._end_later()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """End the connection after its endpoint has ended."""
        super().on_task_complete(task)
        self._end_later()

    def _end_later(self) -> None:
        if self._end_timer is None and not self.disconnected:
            self._end_timer = self.loop.call_later(_END_SECONDS, self.transport.abort)

    # Receiving

    def handle_connect(self, event: Any) -> None:
        """Begin the handshake, and count one that is not valid."""
        super().handle_connect(event)
        if self.response.status_code != 101:
            self._table.traffic.refuse("bad_request")

    def data_received(self, data: bytes) -> None:
        """Handle received bytes; the first ones are the whole request, and nothing follows one that is not valid."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self._table.traffic.refuse("bad_request")
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def handle_text(self, event: Frame) -> None:
        """Begin a text message."""
        self._begin(event, "text")

    def handle_bytes(self, event: Frame) -> None:
        """Begin a binary message."""
        self._begin(event, "bytes")

    def handle_ping(self) -> None:
        """Send the pong that answers a ping."""
        self._count_idle_frame(CONTROL_COST)
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Note an answer to a ping of the server."""
        self._count_idle_frame(CONTROL_COST)
        super().handle_pong(event)

    def _count_idle_frame(self, cost: int) -> None:
        """Count a frame that brings no message; close a connection on which there are too many of them."""
        now = self.loop.time()
        if now - self._second >= 1:
            self._second, self._idle_frames = now, 0
        self._idle_frames += cost
        if self._idle_frames > IDLE_FRAMES and not self.close_sent and not self.transport.is_closing():
            self._table.traffic.refuse("too_many_frames")
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1008})
            self.conn.fail(1008, "too many pings or fragments")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
            self._end_later()

    def handle_cont(self, event: Frame) -> None:
        """Continue a message, and queue it when it is complete."""
        if not event.fin:
            self._count_idle_frame(1)
        self._message += event.data
        if len(self._message) > self._limit or isinstance(event, _SkippedFrame):
            self._too_large = True
        if self._too_large:
            self._message.clear()
        if event.fin:
            self.send_receive_event_to_app()

    def _begin(self, event: Frame, kind: Literal["text", "bytes"]) -> None:
        self.curr_msg_data_type, self._too_large = kind, False
        self._message.clear()
        self.handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Queue a complete message for the endpoint, and read no further until it is taken."""
        data = bytes(self._message)
        self._message.clear()
        if self.close_sent:
            return
        message: dict[str, Any] = {"type": "websocket.receive", "bytes": data}
        if self._too_large:
            message[TOO_LARGE] = True
        elif self.curr_msg_data_type == "text":
            with suppress(UnicodeDecodeError):  # else the endpoint answers it
                message = {"type": "websocket.receive", "text": data.decode()}
        self.queue.put_nowait(message)  # type: ignore[arg-type]
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()
