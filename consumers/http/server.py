"""The HTTP server: runs in the service's event loop and leaves signals to the service."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import structlog
import uvicorn
from starlette.types import ASGIApp

from consumers.common.settings import SettingError
from consumers.http.guard.http_protocol import GuardedHttpProtocol
from consumers.http.guard.open_connections import OpenConnections
from consumers.http.guard.websocket_protocol import GuardedWebSocketProtocol
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.settings import SPARE_CONNECTIONS, HttpSettings

OTHER_FILES = 256
"""Files that a process may need besides the connections of its HTTP clients."""

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
        """Leave signals to the service, which finishes its work first and stops this server last."""
        yield


def bind_socket(settings: HttpSettings, required: bool = False) -> socket.socket | None:
    """Bind the port before slow initialisation; nobody can connect yet.

    Returns:
        The bound socket; None if another process has the default port and it is not `required`.

    Raises:
        SettingError: the port cannot be bound, or so many connections are not allowed.
    """
    try:
        found = socket.getaddrinfo(settings.host.strip("[]"), settings.port, type=socket.SOCK_STREAM)
    except OSError as error:
        detail = f"{settings.host} is not an address of this machine ({error.strerror})"
        raise SettingError("http_host", detail) from error
    _allow_open_files(settings)
    family, kind, protocol, _, address = found[0]
    taken = socket.socket(family, kind, protocol)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE and not (settings.port_given or required):
            log.warning("http_port_taken", port=settings.port, hint="choose another --http-port, or off")
            return None
        name = "http_host" if error.errno == errno.EADDRNOTAVAIL else "http_port"
        reason = os.strerror(error.errno or 0)
        raise SettingError(name, f"cannot listen at {settings.host}:{settings.port} ({reason})") from error
    return taken


def _allow_open_files(settings: HttpSettings) -> None:
    """Raise this process' limit of open files to what its connections need; without a file none is accepted.

    Raises:
        SettingError: the system does not allow as many.
    """
    needed = settings.max_connections + SPARE_CONNECTIONS + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != hard < needed:
        detail = f"{settings.max_connections} connections need {needed} open files, and the limit is {hard} (ulimit -n)"
        raise SettingError("http_connections", detail)
    if resource.RLIM_INFINITY != soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


@asynccontextmanager
async def serve_http(
    app: ASGIApp, at: socket.socket, settings: HttpSettings, traffic: HttpTraffic | None = None
) -> AsyncIterator[str]:
    """Serve requests inside the block; yields the address, such as `http://127.0.0.1:8477`."""
    connections = OpenConnections(settings, traffic or HttpTraffic())
    config = uvicorn.Config(
        app,
        http=partial(GuardedHttpProtocol, connections=connections),  # type: ignore[arg-type]  # called as a class is
        ws=partial(GuardedWebSocketProtocol, connections=connections),  # type: ignore[arg-type]
        # A client's pong waits behind all its frames that were not read yet, when many messages are in flight.
        ws_ping_timeout=60.0,
        ws_per_message_deflate=False,  # on one machine or one network it costs more than it saves
        lifespan="off",
        log_config=None,
        log_level="error",  # it warns of every request that is not HTTP, which anybody can send at any rate
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    server = _Server(config)
    host, port = at.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    task = asyncio.create_task(server.serve([at]))
    listening = asyncio.create_task(server.listening.wait())
    await asyncio.wait([task, listening], return_when=asyncio.FIRST_COMPLETED)
    try:
        log.info("http_started", address=address, token=settings.token is not None)
        yield address
    finally:
        server.should_exit = True
        await task
