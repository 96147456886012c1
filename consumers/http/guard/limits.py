"""Request limits: body size, time to receive a body, and requests in flight.

The size of a WebSocket message is limited in consumers/http/server.py, the sessions of a connection in
consumers/http/api/caller.py.
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumers.http.guard.auth import PUBLIC_PATHS
from consumers.http.guard.problem import problem
from consumers.http.settings import HttpSettings


class LimitsMiddleware:
    """Refuses requests beyond the limits; health and metrics are answered even when the limit is reached."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._settings = settings
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            receive = self._limit_body(scope, receive)
        if scope["type"] not in ("http", "websocket") or scope["path"] in PUBLIC_PATHS:
            return await self._app(scope, receive, send)
        if self._in_flight >= self._settings.max_connections:
            full = problem(503, "busy", "too many requests at once; try again later", {"retry-after": "1"})
            return await full(scope, receive, send)
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1

    def _limit_body(self, scope: Scope, receive: Receive) -> Receive:
        """Wrap `receive`: refuse a body that is too large, whatever its content-length says, or too slow."""
        limit, seconds = self._settings.max_body_bytes, self._settings.body_seconds
        content_length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        until = asyncio.get_running_loop().time() + seconds
        size, complete = 0, False

        async def receive_some() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()  # the body is complete; the next message is the disconnect
            if content_length.isdigit() and int(content_length) > limit:
                raise _too_large(limit)
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"a body must arrive within {seconds:g} seconds", _CLOSE) from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > limit:
                raise _too_large(limit)
            return message

        return receive_some


_CLOSE = {"connection": "close"}


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"a body has at limit {limit} bytes; send less at once", _CLOSE)
