"""A WebSocket client of an ASGI application in the same event loop: frames in and out, no socket, no thread."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.types import ASGIApp, Message

from tests.waiting import PATIENCE


class Closed(Exception):
    """The server has closed, with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Socket:
    """The client's end.

    Args:
        window: frames of the server that are taken before somebody asks for them; then the server waits.
    """

    def __init__(self, window: int = 1_000_000) -> None:
        self.to_server: asyncio.Queue[Message] = asyncio.Queue()
        self.to_client: asyncio.Queue[Message] = asyncio.Queue(window)

    async def send(self, *frames: Any) -> None:
        """Send frames: bytes and strings as they are, everything else as JSON."""
        for frame in frames:
            if isinstance(frame, bytes):
                await self.to_server.put({"type": "websocket.receive", "bytes": frame})
            else:
                text = frame if isinstance(frame, str) else json.dumps(frame)
                await self.to_server.put({"type": "websocket.receive", "text": text})

    async def get(self) -> dict[str, Any]:
        """Give the next frame; raises Closed at the end."""
        async with asyncio.timeout(PATIENCE):
            message = await self.to_client.get()
        if message["type"] == "websocket.close":
            raise Closed(message["code"], message["reason"])
        frame: dict[str, Any] = json.loads(message["text"])
        return frame

    async def rest(self) -> tuple[list[dict[str, Any]], Closed]:
        """Give all frames until the server closes."""
        frames: list[dict[str, Any]] = []
        try:
            while True:
                frames.append(await self.get())
        except Closed as closed:
            return frames, closed

    async def leave(self) -> None:
        """Go away without a word."""
        await self.to_server.put({"type": "websocket.disconnect", "code": 1006})


@asynccontextmanager
async def connected(app: ASGIApp, path: str, query: str = "", window: int = 1_000_000) -> AsyncIterator[Socket]:
    """Connect as a program on this machine does."""
    socket = Socket(window)
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "subprotocols": [],
        "root_path": "",
        "scheme": "ws",
        "extensions": {"websocket.http.response": {}},
    }
    await socket.to_server.put({"type": "websocket.connect"})
    task = asyncio.create_task(app(scope, socket.to_server.get, socket.to_client.put))  # type: ignore[arg-type]
    accepted = await socket.to_client.get()
    assert accepted["type"] == "websocket.accept", accepted
    try:
        yield socket
    finally:
        await socket.leave()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(PATIENCE):
                while not task.done():
                    with suppress(asyncio.QueueEmpty):
                        socket.to_client.get_nowait()
                    await asyncio.sleep(0)
                await task
