"""How much anybody may ask at once: bytes of a body and the time it takes, and requests at work together.

Bytes of a WebSocket message are limited where they are put together (consumers/http/server.py), sessions of a
connection where they are opened (consumers/http/api/caller.py).
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumers.http.guard.auth import OPEN
from consumers.http.guard.problem import problem
from consumers.http.settings import HttpSettings


class LimitsMiddleware:
    """Turns away what is too much; health and metrics are answered even when everything else is full."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._settings = settings
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "http":
            receive = self._limit_body(scope, receive)
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            return await self._app(scope, receive, send)
        if self._at_work >= self._settings.max_connections:
            full = problem(503, "busy", "too many requests at once; come back later", {"retry-after": "1"})
            return await full(scope, receive, send)
        self._at_work += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._at_work -= 1

    def _limit_body(self, scope: Scope, receive: Receive) -> Receive:
        """A `receive` that refuses a body as soon as it is too large, whatever was announced, or takes too long."""
        most, seconds = self._settings.max_body_bytes, self._settings.body_seconds
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        until = asyncio.get_running_loop().time() + seconds
        size, whole = 0, False

        async def receive_some() -> Message:
            nonlocal size, whole
            if whole:
                return await receive()  # the body is here; what comes now is the end of the connection
            if announced.isdigit() and int(announced) > most:
                raise _too_large(most)
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"a body must arrive within {seconds:g} seconds", _CLOSE) from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > most:
                raise _too_large(most)
            return message

        return receive_some


_CLOSE = {"connection": "close"}


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"a body has at most {most} bytes; send less at once", _CLOSE)
