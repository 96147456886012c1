"""HTTP on one connection, for no longer than somebody asks something on it."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SILENCE = 30.0
"""Seconds that a connection may take to begin a request, or to bring its headers."""


class IdleTimeoutProtocol(H11Protocol):
    """Lets go of who connects and says nothing, or dribbles headers: enough of those would shut everybody else out.

    uvicorn closes connections that are idle between requests, but not those that have begun one, or none yet.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to look at it."""
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to look at any more."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        self._timer = self.loop.call_later(SILENCE, self._look, self.cycle)

    def _look(self, before: object) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # it has become a WebSocket
        if self.cycle is before and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self._look_later()
