"""HTTP protocol of one connection with a time limit for requests that do not arrive."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE_SECONDS = 30.0
"""Seconds that a connection may take to begin a request, or to complete its headers."""


class IdleTimeoutProtocol(H11Protocol):
    """Closes connections that send no request, or headers too slowly: enough of those would exhaust the server.

    uvicorn closes connections that are idle between requests, but not those before the first request or inside one.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer."""
        super().connection_made(transport)
        self._schedule_check()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _schedule_check(self) -> None:
        self._timer = self.loop.call_later(IDLE_SECONDS, self._check, self.cycle)

    def _check(self, previous_cycle: object) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # it has become a WebSocket
        if self.cycle is previous_cycle and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self._schedule_check()
