"""A server that others have filled: health is answered, memory stays flat, and who does not read is let go."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from structlog.testing import capture_logs

from consumers.http.app import build_app
from consumers.http.guard import websocket_protocol
from consumers.http.guard.open_connections import OpenConnections
from consumers.http.live.model import LiveModel
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.server import bind_socket, serve_http
from consumers.http.settings import SPARE_CONNECTIONS, HttpSettings
from tests.consumers.http.gateways import served, until
from tests.consumers.http.sites import TOKEN, make_context
from tests.consumers.http.test_body_encoding import refusals
from tests.consumers.http.test_traffic import requests
from tests.waiting import PATIENCE

PROBES = ("/healthz", "/readyz", "/metrics")
HALVES = [
    b"",
    b"GET / HTTP/1.1\r\nhost: local",
    b"GET /v1/label HTTP/1.1\r\nhost: localhost\r\n\r\nGET /",
    b"POST /v1/label HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{",
    b"POST /v1/label HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
]
"""What a client may send and then stop."""


@asynccontextmanager
async def listening(
    app: Any = None, traffic: HttpTraffic | None = None, token: str | None = None, **limits: Any
) -> AsyncIterator[tuple[str, HttpTraffic]]:
    traffic = traffic or HttpTraffic()
    async with served(taggers=["moderation"]) as here:
        parts = {"worker": here.worker, "gateway": here.desk, "live": LiveModel()}
        context = make_context(token=token, limits=limits, traffic=traffic, **parts)
        at = bind_socket(context.settings)
        assert at is not None
        async with serve_http(app or build_app(context), at, context.settings, traffic) as address:
            yield address, traffic


def host_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("http://").rpartition(":")
    return host, int(port)


class Crowd:
    """Connections that were opened and left as they are."""

    def __init__(self, address: str) -> None:
        self._at = host_port(address)
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self, said: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(*self._at)
        writer.write(said)
        self.writers.append(writer)
        return reader

    def leave(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


async def probe(address: str) -> None:
    """Ask for everything that watches over a service, each over a connection of its own."""
    async with asyncio.timeout(PATIENCE):
        for path in PROBES:
            async with httpx.AsyncClient(timeout=PATIENCE) as client:
                assert (await client.get(address + path)).status_code == 200, path


@pytest.mark.parametrize("half", HALVES)
async def test_half_open_sockets_do_not_keep_probes_out(half: bytes) -> None:
    async with listening(max_connections=40, address_connections=40) as (address, traffic):
        crowd = Crowd(address)
        for _ in range(300):
            await crowd.connect(half)
        await probe(address)
        assert traffic.open_connections["http"] <= 40 + SPARE_CONNECTIONS + 1
        assert refusals(traffic)["connections_full"] >= 300 - 40 - SPARE_CONNECTIONS - 1
        crowd.leave()
        await until(lambda: traffic.open_connections["http"] == 0)


async def test_580_half_open_sockets_of_all_kinds_do_not_keep_probes_out() -> None:
    async with listening() as (address, _):
        crowd = Crowd(address)
        for i in range(580):
            await crowd.connect(HALVES[i % len(HALVES)])
        await probe(address)
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.post(address + "/v1/label", json={"text": "we met anna"})
        assert answer.status_code == 200
        crowd.leave()


async def test_256_silent_websockets_do_not_keep_probes_out() -> None:
    handshake = (
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with listening(max_connections=300) as (address, traffic):
        crowd = Crowd(address)
        for i in range(256):
            path = ("/v1/stream", "/v1/live")[i % 2]
            reader = await crowd.connect(handshake.format(path=path).encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 101")
        assert traffic.open_connections["websocket"] == 256
        await probe(address)
        refused = await crowd.connect(handshake.format(path="/v1/stream").encode())
        assert (await refused.readline()).startswith(b"HTTP/1.1 429")  # of this address; others still have a place
        assert refusals(traffic)["address_busy"] == 1
        crowd.leave()
        await until(lambda: traffic.open_connections["websocket"] == 0)


async def test_a_stream_on_which_nothing_comes_is_closed() -> None:
    async with listening(idle_seconds=0.05) as (address, traffic):
        async with websockets.connect(address.replace("http", "ws") + "/v1/stream", proxy=None) as socket:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4410
        assert refusals(traffic) == {"idle": 1}


@pytest.mark.parametrize("path", ["/v1/label", "/v1alpha1/comments:analyze", "/login"])
async def test_who_goes_in_the_middle_of_a_request_is_no_error_of_the_service(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(token=TOKEN) as (address, traffic):
        reader, writer = await asyncio.open_connection(*host_port(address))
        head = f"POST {path}?key={TOKEN} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}content-length: 100\r\nexpect: 100-continue\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 100")  # the body is being waited for
        writer.transport.abort()
        await until(lambda: traffic.open_connections.total() == 0)
        await until(lambda: (path, "POST", "499") in requests(traffic))
    assert [x.getMessage() for x in caplog.records if x.levelname in ("WARNING", "ERROR")] == []


async def shout(websocket: WebSocket) -> None:
    """Send as much as the client takes, and more."""
    await websocket.accept()
    while True:
        await websocket.send_text("x" * 10_000)


async def listen(websocket: WebSocket) -> None:
    """Read what comes and answer nothing; pongs are the server's own."""
    await websocket.accept()
    while (await websocket.receive())["type"] == "websocket.receive":
        pass


async def give(request: Request) -> Response:
    return Response(b"x" * 30_000_000)


TALKERS = Starlette(routes=[WebSocketRoute("/shout", shout), WebSocketRoute("/listen", listen), Route("/give", give)])
HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PING = bytes([0x89, 0xFD]) + bytes(4) + bytes(125)


async def unread(address: str, said: bytes) -> asyncio.StreamWriter:
    """Connect with a small buffer and never read."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(asyncio.Protocol, *host_port(address))
    transport.pause_reading()
    writer = asyncio.StreamWriter(transport, asyncio.StreamReaderProtocol(asyncio.StreamReader()), None, loop)
    writer.write(said)
    assert protocol
    return writer


@pytest.mark.parametrize("said", [HANDSHAKE % b"/shout", b"GET /give HTTP/1.1\r\nhost: localhost\r\n\r\n"])
async def test_who_takes_nothing_of_what_is_sent_is_let_go(said: bytes) -> None:
    async with listening(TALKERS, send_seconds=0.2) as (address, traffic):
        writer = await unread(address, said)
        await until(lambda: refusals(traffic).get("not_read") == 1)
        await until(lambda: traffic.open_connections.total() == 0)
        writer.transport.abort()


@pytest.mark.parametrize(
    "frames", [PING, PING[:1] + b"\x80" + bytes(4), b"\x8a\x80" + bytes(4), b"\x00\x80" + bytes(4)]
)
async def test_who_sends_frames_without_end_that_bring_nothing_is_let_go(frames: bytes) -> None:
    async with listening(TALKERS) as (address, traffic):
        reader, writer = await asyncio.open_connection(*host_port(address))
        writer.write(HANDSHAKE % b"/listen")
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        writer.write(b"\x01\x80" + bytes(4) + frames * 50_000)
        await until(lambda: refusals(traffic) == {"too_many_frames": 1})
        await until(lambda: traffic.open_connections["websocket"] == 0)
        writer.transport.abort()


async def test_a_stream_of_refused_frames_leaves_others_their_turn() -> None:
    async with listening() as (address, _):
        turns, done = 0, asyncio.Event()

        async def count() -> None:
            nonlocal turns
            while not done.is_set():
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        async with websockets.connect(address.replace("http", "ws") + "/v1/stream", proxy=None) as socket:
            before = turns
            socket.transport.write((b"\x81\x81" + bytes(4) + b"{") * 2000)  # they arrive together
            for _ in range(2000):
                await socket.recv()
            assert turns - before > 1000
        done.set()
        await counting


async def test_a_stop_does_not_wait_for_who_does_not_read() -> None:
    with capture_logs() as logged:
        async with listening(TALKERS, send_seconds=3600.0, grace_seconds=100_000) as (address, traffic):
            writer = await unread(address, HANDSHAKE % b"/shout")
            other = await unread(address, b"GET /give HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await until(lambda: traffic.open_connections == {"http": 1, "websocket": 1})
            await asyncio.sleep(0.1)
        for x in (writer, other):
            x.transport.abort()
    assert {x["log_level"] for x in logged} <= {"info"}


async def test_pongs_that_nobody_reads_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_protocol, "IDLE_FRAMES", 1 << 40)
    async with listening(TALKERS, send_seconds=3600.0) as (address, traffic):
        writer = await unread(address, HANDSHAKE % b"/listen")
        await until(lambda: traffic.open_connections["websocket"] == 1)
        gc.collect()
        tracemalloc.start()
        try:
            sent, stuck = 0, 0
            while stuck < 20:  # until the server has stopped reading
                if writer.transport.get_write_buffer_size() < 1 << 16:
                    writer.write(PING * 1000)
                    sent, stuck = sent + 131_000, 0
                assert sent < 1 << 26, "the server reads without end"
                stuck += 1
                await asyncio.sleep(0.01)
            assert tracemalloc.get_traced_memory()[0] < 4 << 20
            assert traffic.open_connections["websocket"] == 1
            assert refusals(traffic) == {}
        finally:
            tracemalloc.stop()
            writer.transport.abort()


async def test_who_reads_late_gets_everything() -> None:
    async with (
        listening(TALKERS, send_seconds=3600.0) as (address, _),
        websockets.connect(address.replace("http", "ws") + "/listen", proxy=None) as socket,
    ):
        pongs = [await socket.ping() for _ in range(80)]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*pongs)


class FakeConnection:
    def __init__(self, ended: Callable[["FakeConnection"], None], is_active: bool = False) -> None:
        self.is_active = is_active
        self._ended = ended

    def evict(self) -> None:
        self._ended(self)


def test_the_longest_idle_connection_makes_room_and_none_with_a_request_in_progress() -> None:
    ended: list[FakeConnection] = []
    table = OpenConnections(HttpSettings(max_connections=2, address_connections=1000), HttpTraffic())
    limit = 2 + SPARE_CONNECTIONS
    crowd = [FakeConnection(ended.append, is_active=i < 2) for i in range(limit)]
    for i, connection in enumerate(crowd):
        table.add(connection, f"192.0.2.{i % 7}")
    assert ended == []
    table.mark_idle(crowd[2])  # it has just had an answer
    table.add(FakeConnection(ended.append), "192.0.2.9")
    table.add(FakeConnection(ended.append), "192.0.2.9")
    assert ended == [crowd[3], crowd[4]]
    crowd[0].is_active = False
    table.mark_idle(crowd[0])
    for _ in range(limit - 4):
        table.add(FakeConnection(ended.append), "192.0.2.9")
    assert crowd[2] in ended
    assert crowd[0] not in ended
    assert crowd[1] not in ended


def test_an_address_with_too_many_connections_ends_its_own() -> None:
    ended: list[FakeConnection] = []
    settings = HttpSettings(max_connections=1000, address_connections=2, trust_proxies=("198.51.100.1",))
    traffic = HttpTraffic()
    table = OpenConnections(settings, traffic)
    other, first = FakeConnection(ended.append), FakeConnection(ended.append)
    table.add(other, "192.0.2.1")
    table.add(first, "2001:db8::1")
    for i in range(2 + SPARE_CONNECTIONS):
        table.add(FakeConnection(ended.append), f"2001:db8::{i + 2:x}")
    assert ended == [first]
    for _ in range(500):
        table.add(FakeConnection(ended.append), "198.51.100.1")
    assert ended == [first]
    assert traffic.open_connections["http"] == 1 + 2 + SPARE_CONNECTIONS + 500
    table.remove(other)
    table.remove(other)
    assert traffic.open_connections["http"] == 2 + SPARE_CONNECTIONS + 500
