"""Watch on the send buffer of a connection: a client that takes nothing for too long is disconnected."""

import asyncio

from consumers.http.ops.traffic import HttpTraffic


class WriteWatch:
    """Aborts a transport whose send buffer is full and does not shrink.

    Args:
        seconds: time in which the client must take something.
    """

    def __init__(self, transport: asyncio.Transport, seconds: float, traffic: HttpTraffic) -> None:
        self._transport = transport
        self._seconds = seconds
        self._traffic = traffic
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start to watch; the send buffer is full."""
        size = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._check, size)

    def stop(self) -> None:
        """Stop watching: the send buffer is free again, or the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self, size_before: int) -> None:
        if self._transport.get_write_buffer_size() < size_before:
            return self.start()
        self._traffic.refuse("not_read")
        self._transport.abort()
