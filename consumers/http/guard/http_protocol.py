"""HTTP protocol of one connection: time limits for clients that do not send, and for clients that do not read."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from consumers.http.guard.open_connections import OpenConnections
from consumers.http.guard.write_watch import WriteWatch


class CorkedTransport:
    """Transport of a connection that writes once an iteration of the event loop: a short answer is one packet.

    uvicorn writes the head of an answer, its body and its end apart. Each is a call of the system that lets the compute
    thread go on, and then waits for it.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.inner = transport
        self._loop = loop
        self._waiting: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this iteration."""
        if not data:
            return
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(data)

    def flush(self) -> None:
        """Write what waits now."""
        if self._waiting:
            data, self._waiting = b"".join(self._waiting), []
            self.inner.write(data)

    def close(self) -> None:
        """Close when what was written is sent."""
        self.flush()
        self.inner.close()


class GuardedHttpProtocol(H11Protocol):
    """Ends connections that send no request, or headers too slowly, and those that do not take what is sent.

    uvicorn ends connections that are idle between requests, but not those before the first request or inside one.

    Args:
        connections: table of the open connections, which ends idle ones when there are too many.
    """

    def __init__(self, *args: Any, connections: OpenConnections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._table = connections
        self._timer: asyncio.TimerHandle | None = None
        self._closing_seen = False

    @property
    def is_active(self) -> bool:
        """Whether a request is in progress."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        """Start the timer."""
        super().connection_made(CorkedTransport(transport, self.loop))  # type: ignore[arg-type]  # it passes the rest on
        self._watch = WriteWatch(transport, self._table.settings.send_seconds, self._table.traffic)
        self._table.add(self, self.client[0] if self.client else "")
        self._schedule_check()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        super().connection_lost(exc)
        self._table.remove(self)
        self._watch.stop()
        if self._timer is not None:
            self._timer.cancel()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand the connection to the WebSocket protocol."""
        self._table.remove(self)
        self._watch.stop()
        corked: Any = self.transport
        corked.flush()
        self.transport = corked.inner
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._table.traffic.refuse("bad_request")
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """Note that the connection is idle."""
        self._table.mark_idle(self)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start to watch whether the client reads."""
        super().pause_writing()
        self._watch.start()

    def resume_writing(self) -> None:
        """Stop watching."""
        super().resume_writing()
        self._watch.stop()

    def shutdown(self) -> None:
        """Close when the request in progress is answered, because the server stops; at once if nobody reads."""
        super().shutdown()
        if self.flow.write_paused:
            self.transport.abort()

    def evict(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def _is_between_requests(self) -> bool:
        """Whether a response was the last thing that happened, so that the time of keep-alive counts."""
        return self.timeout_keep_alive_task is not None and not self.conn.trailing_data[0]

    def _schedule_check(self) -> None:
        self._timer = self.loop.call_later(self._table.settings.request_seconds, self._check, self.cycle)

    def _check(self, previous_cycle: object) -> None:
        if self.transport.get_protocol() is not self:
            return  # it has become a WebSocket
        if self.transport.is_closing():
            if self._closing_seen:  # the rest of an answer is not read
                self._table.traffic.refuse("not_read")
                return self.transport.abort()
            self._closing_seen = True
        elif self.cycle is previous_cycle and not self.is_active and not self._is_between_requests():
            self._table.traffic.refuse("no_request")
            self.transport.close()
        self._schedule_check()
