"""Light WebSocket client of /v1/stream: hundreds of sockets in one process that must not be what is measured."""

import asyncio
import base64
import os
import struct
from collections.abc import Callable

import msgspec

_MASKED = 0x80
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Answer(msgspec.Struct):
    """The fields of a revision or an error that are measured."""

    type: str
    segment: str = ""
    offset: int = -1
    final: bool = False
    spans: list[dict[str, object]] = []
    reason: str = ""
    detail: str = ""


_DECODER = msgspec.json.Decoder(Answer)


class StreamSocket(asyncio.Protocol):
    """One WebSocket; frames are masked with zeros, so that a payload is sent as it is.

    Args:
        on_answer: called with each revision and error.
    """

    def __init__(self, on_answer: Callable[[Answer], None]) -> None:
        self._on_answer = on_answer
        self._buffer = bytearray()
        self._opened = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the server has accepted the connection."""
        self.frames = 0
        """Number of frames sent."""
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.closed = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the service has closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Take bytes of the handshake and of frames."""
        self._buffer += data
        if not self._opened:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._buffer.startswith(b"HTTP/1.1 101"):
                status = bytes(self._buffer[: self._buffer.find(b"\r\n")]).decode("latin-1")
                self.ready.set_exception(ConnectionError(status))
                return
            del self._buffer[: end + 4]
            self._opened = True
            self.ready.set_result(None)
        while self._take_frame():
            pass

    def send(self, message: object) -> int:
        """Send a message; returns its number."""
        self._write(_TEXT, msgspec.json.encode(message))
        self.frames += 1
        return self.frames - 1

    def close(self) -> None:
        """Leave without a word."""
        self._transport.close()

    def _take_frame(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        size, start = buffer[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < 2 + width:
                return False
            size, start = int.from_bytes(buffer[2 : 2 + width], "big"), 2 + width
        if len(buffer) < start + size:
            return False
        kind, payload = buffer[0] & 15, bytes(buffer[start : start + size])
        del buffer[: start + size]
        if kind == _TEXT:
            self._on_answer(_DECODER.decode(payload))
        elif kind == _PING:
            self._write(_PONG, payload)
        elif kind == _CLOSE:
            self._transport.close()
        return True

    def _write(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        head = (
            bytes([_MASKED | size])
            if size < 126
            else struct.pack(">BH", _MASKED | 126, size)
            if size < 1 << 16
            else struct.pack(">BQ", _MASKED | 127, size)
        )
        self._transport.write(bytes([0x80 | kind]) + head + b"\0\0\0\0" + payload)


async def connect(port: int, on_answer: Callable[[Answer], None]) -> StreamSocket:
    """Open one socket.

    Raises:
        OSError: the service is not there, or refuses the connection.
    """
    _, socket = await asyncio.get_running_loop().create_connection(lambda: StreamSocket(on_answer), "127.0.0.1", port)
    async with asyncio.timeout(60):
        await socket.ready
    return socket
