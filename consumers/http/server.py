"""The HTTP server: lives in the event loop of the service, and leaves signals to it."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from consumers.common.settings import SettingError
from consumers.http.guard.idle_timeout import IdleTimeoutProtocol
from consumers.http.settings import HttpSettings

log = structlog.get_logger()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the service's business: it finishes its work first, and stops this server last."""
        yield


def bind(settings: HttpSettings, must: bool = False) -> socket.socket | None:
    """Take the port, before anything that takes long; nobody can connect yet.

    None: it is taken by somebody else, nobody asked for this one, and it need not (`must`) be had.

    Raises:
        SettingError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(settings.host.strip("[]"), settings.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingError("http_host", f"{settings.host} is no address of this machine ({error.strerror})") from error
    family, kind, protocol, _, address = found[0]
    taken = socket.socket(family, kind, protocol)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE and not (settings.asked or must):
            log.warning("no HTTP: its port is taken; choose another with --http-port, or 'off'", port=settings.port)
            return None
        name = "http_host" if error.errno == errno.EADDRNOTAVAIL else "http_port"
        reason = os.strerror(error.errno or 0)
        raise SettingError(name, f"cannot listen at {settings.host}:{settings.port} ({reason})") from error
    return taken


@asynccontextmanager
async def serving(app: ASGIApp, at: socket.socket, settings: HttpSettings) -> AsyncIterator[str]:
    """Answer requests inside the block; gives the address, as `http://127.0.0.1:8477`."""
    config = uvicorn.Config(
        app,
        http=IdleTimeoutProtocol,
        ws="websockets-sansio",
        ws_max_size=settings.max_frame_bytes,
        # A client's pong waits behind all that it sent and that was not read yet, because much is at work.
        ws_ping_timeout=60.0,
        ws_per_message_deflate=False,  # on one machine or one network it costs more than it saves
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # The last fence, against connections that ask nothing; `limits` turns requests away in order.
        limit_concurrency=2 * settings.max_connections + 64,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    server = _Server(config)
    host, port = at.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    task = asyncio.create_task(server.serve([at]))
    listening = asyncio.create_task(server.listening.wait())
    await asyncio.wait([task, listening], return_when=asyncio.FIRST_COMPLETED)
    try:
        log.info("http", address=address, token=settings.token is not None)
        yield address
    finally:
        server.should_exit = True
        await task
