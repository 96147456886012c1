"""The server on a real socket: its start and its end, and what it takes of a WebSocket."""

import asyncio
import resource
import socket
import tracemalloc

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from consumers.common.settings import SettingError
from consumers.http.guard import websocket_protocol
from consumers.http.guard.http_protocol import GuardedHttpProtocol
from consumers.http.guard.websocket_protocol import TOO_LARGE
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.server import OTHER_FILES, bind_socket, serve_http
from consumers.http.settings import SPARE_CONNECTIONS, HttpSettings
from tests.consumers.http.test_body_encoding import refusals
from tests.waiting import PATIENCE


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


APP = Starlette(routes=[Route("/", hello), WebSocketRoute("/echo", echo)])


def bound(settings: HttpSettings) -> socket.socket:
    taken = bind_socket(settings)
    assert taken is not None
    return taken


async def test_it_answers_while_the_block_runs_and_not_after() -> None:
    settings = HttpSettings(port=0)
    async with serve_http(APP, bound(settings), settings) as address, httpx.AsyncClient() as client:
        answer = await client.get(address)
        assert answer.text == "hello"
        assert "server" not in answer.headers
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(address)


async def test_a_port_that_is_taken_is_an_error_only_if_it_was_asked_for() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingError, match=f"--http-port .*127.0.0.1:{port}"):
            bind_socket(HttpSettings(port=port))
        assert bind_socket(HttpSettings(port=port, port_given=False)) is None


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(SettingError, match=r"--http-host .*192\.0\.2\.1"):
        bind_socket(HttpSettings(host="192.0.2.1", port=0, token="a-token-of-24-characters"))


async def test_open_websockets_are_closed_at_the_end() -> None:
    settings = HttpSettings(port=0)
    async with serve_http(APP, bound(settings), settings) as address:
        client = await websockets.connect(address.replace("http", "ws") + "/echo", proxy=None)
        await client.send("anna")
        assert await client.recv() == "anna"
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012  # service restart


async def test_a_request_that_does_not_end_is_cut_off() -> None:
    entered = asyncio.Event()

    async def hang(request: Request) -> PlainTextResponse:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    settings = HttpSettings(port=0, grace_seconds=0)
    app = Starlette(routes=[Route("/", hang)])
    async with httpx.AsyncClient() as client:
        async with serve_http(app, bound(settings), settings) as address:
            asking = asyncio.create_task(client.get(address, timeout=PATIENCE))
            await entered.wait()
        assert (await asking).status_code == 500


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[GuardedHttpProtocol]:
    """Connections that would be looked at later, each as often as it would."""
    seen: list[GuardedHttpProtocol] = []
    monkeypatch.setattr(GuardedHttpProtocol, "_schedule_check", lambda self: seen.append(self))
    return seen


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(PATIENCE):
        return not await reader.read()


async def test_who_connects_and_says_nothing_is_let_go() -> None:
    settings = HttpSettings(port=0, request_seconds=0.05)
    async with serve_http(APP, bound(settings), settings) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rsplit(":", 1)[1]))
        assert await ended(reader)
        writer.close()


async def test_who_dribbles_headers_is_let_go_however_often_he_asked_before(watched: list[GuardedHttpProtocol]) -> None:
    settings = HttpSettings(port=0)
    async with serve_http(APP, bound(settings), settings) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rsplit(":", 1)[1]))
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\nGET / HTTP/1.1\r\nx-never-done: ")
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        (protocol,) = watched
        protocol._check(None)  # it has asked something since
        assert not protocol.transport.is_closing()
        protocol._check(protocol.cycle)
        assert await ended(reader)
        writer.close()


async def test_between_two_requests_a_connection_has_the_time_of_keep_alive(watched: list[GuardedHttpProtocol]) -> None:
    settings = HttpSettings(port=0)
    async with serve_http(APP, bound(settings), settings) as address, httpx.AsyncClient() as client:
        assert (await client.get(address)).text == "hello"
        (protocol,) = watched
        protocol._check(protocol.cycle)
        assert (await client.get(address)).text == "hello"
        assert len({id(x) for x in watched}) == 1, "it is the same connection"
        assert protocol.timeout_keep_alive == settings.keep_alive_seconds


async def test_an_answer_whose_rest_nobody_takes_is_given_up(watched: list[GuardedHttpProtocol]) -> None:
    async def give(request: Request) -> PlainTextResponse:
        return PlainTextResponse("x" * 30_000_000, headers={"connection": "close"})

    settings, traffic = HttpSettings(port=0, send_seconds=3600), HttpTraffic()
    app = Starlette(routes=[Route("/", give)])
    async with asyncio.timeout(PATIENCE), serve_http(app, bound(settings), settings, traffic) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rsplit(":", 1)[1]), limit=1000)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        (protocol,) = watched
        while not protocol.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        protocol._check(protocol.cycle)
        assert traffic.open_connections["http"] == 1, "it has some time to take the rest"
        protocol._check(protocol.cycle)
        while traffic.open_connections["http"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.close()


UPGRADE = b"GET /echo HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01 this is TLS\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        UPGRADE + b"\r\n",
        UPGRADE + b"sec-websocket-version: 12\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        UPGRADE + b"sec-websocket-version: 13\r\nsec-websocket-key: short\r\n\r\n",
        UPGRADE + b"x: " + b"x" * 10_000 + b"\r\n\r\n",
        UPGRADE + b"".join(b"x-%d: x\r\n" % i for i in range(300)) + b"\r\n",
    ],
)
async def test_what_is_no_request_is_answered_counted_and_not_logged(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    settings, traffic = HttpSettings(port=0), HttpTraffic()
    async with asyncio.timeout(PATIENCE), serve_http(APP, bound(settings), settings, traffic) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rsplit(":", 1)[1]))
        writer.write(said)
        assert (await reader.read()).split(b" ")[1] in (b"400", b"426")
        writer.close()
        async with httpx.AsyncClient() as client:
            assert (await client.get(address)).text == "hello"
    assert refusals(traffic) == {"bad_request": 1}
    assert complaints(caplog) == []


def test_connections_for_which_there_are_no_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, now = [], [256, 4096]

    def change(_: int, wanted: tuple[int, int]) -> None:
        limits.append(wanted)

    monkeypatch.setattr("resource.getrlimit", lambda _: tuple(now))
    monkeypatch.setattr("resource.setrlimit", change)
    with bound(HttpSettings(port=0, max_connections=2000)):
        assert limits == [(2000 + SPARE_CONNECTIONS + OTHER_FILES, 4096)]
    with pytest.raises(SettingError, match=r"--http-connections .*4096 \(ulimit -n\)"):
        bind_socket(HttpSettings(port=0, max_connections=4000))
    now[:] = [1 << 20, resource.RLIM_INFINITY]
    with bound(HttpSettings(port=0, max_connections=4000)):
        assert len(limits) == 1


async def test_who_listens_to_a_websocket_or_waits_for_an_answer_is_not(watched: list[GuardedHttpProtocol]) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> PlainTextResponse:
        entered.set()
        await leave.wait()
        return PlainTextResponse("late")

    settings = HttpSettings(port=0)
    app = Starlette(routes=[Route("/", wait), WebSocketRoute("/echo", echo)])
    async with (
        asyncio.timeout(PATIENCE),
        serve_http(app, bound(settings), settings) as address,
        httpx.AsyncClient() as client,
    ):
        asking = asyncio.create_task(client.get(address, timeout=PATIENCE))
        await entered.wait()
        async with websockets.connect(address.replace("http", "ws") + "/echo", proxy=None) as connected:
            for protocol in watched[:]:
                protocol._check(protocol.cycle)
            await connected.send("anna")
            assert await connected.recv() == "anna"
        leave.set()
        assert (await asking).text == "late"
    assert len(watched) == 3  # the connection of the request is looked at again


async def repeat(websocket: WebSocket) -> None:
    """Say of each message what arrived."""
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        said = "too large" if message.get(TOO_LARGE) else message.get("text", message.get("bytes"))
        await websocket.send_text(repr(said))


async def test_frames_that_libraries_would_hang_up_on_reach_the_endpoint_and_so_do_the_next_ones() -> None:
    settings = HttpSettings(port=0, max_frame_bytes=100)
    app = Starlette(routes=[WebSocketRoute("/", repeat)])
    async with (
        asyncio.timeout(PATIENCE),
        serve_http(app, bound(settings), settings) as address,
        websockets.connect(address.replace("http", "ws"), proxy=None) as client,
    ):
        for sent, said in [
            ("x" * 100, repr("x" * 100)),
            ("x" * 101, "'too large'"),
            (b"y" * 3_000_000, "'too large'"),
            (["x" * 60, "x" * 40], repr("x" * 100)),
            (["x" * 60, "x" * 41], "'too large'"),
            (["x" * 200, "y"], "'too large'"),
            (["y", "x" * 200, "y"], "'too large'"),
            ([b"1", b"2"], repr(b"12")),
            ("", "''"),
        ]:
            await client.send(sent)
            assert await client.recv() == said
        await client.send(b"caf\xff", text=True)
        assert await client.recv() == repr(b"caf\xff")
        await client.send("next")
        assert await client.recv() == "'next'"


async def test_a_huge_frame_is_skipped_while_it_arrives() -> None:
    settings = HttpSettings(port=0, max_frame_bytes=1000)
    app = Starlette(routes=[WebSocketRoute("/", repeat)])
    async with (
        asyncio.timeout(PATIENCE),
        serve_http(app, bound(settings), settings) as address,
        websockets.connect(address.replace("http", "ws"), proxy=None) as client,
    ):
        peaks = []
        tracemalloc.start()
        try:
            for size in (20_000_000, 40_000_000):
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                header = bytes([0x82, 0xFF]) + size.to_bytes(8, "big") + bytes(4)
                client.transport.write(header)
                for _ in range(size // 1_000_000):
                    client.transport.write(bytes(1_000_000))
                    while client.transport.get_write_buffer_size():  # noqa: ASYNC110
                        await asyncio.sleep(0)
                assert await client.recv() == "'too large'"
                peaks.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
        assert max(peaks) < 10_000_000
        await client.send("next")
        assert await client.recv() == "'next'"


async def test_empty_fragments_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_protocol, "IDLE_FRAMES", 1_000_000)
    settings = HttpSettings(port=0)
    app = Starlette(routes=[WebSocketRoute("/", repeat)])
    async with (
        asyncio.timeout(PATIENCE),
        serve_http(app, bound(settings), settings) as address,
        websockets.connect(address.replace("http", "ws"), proxy=None) as client,
    ):
        client.transport.write(bytes([0x01, 0x80]) + bytes(4))
        empty = (bytes([0x00, 0x80]) + bytes(4)) * 10_000
        for _ in range(10):
            client.transport.write(empty)
        client.transport.write(bytes([0x80, 0x81]) + bytes(4) + b"x")
        assert await client.recv() == "'x'"


def complaints(server_log: pytest.LogCaptureFixture) -> list[str]:
    return [x.getMessage() for x in server_log.records if x.levelname in ("ERROR", "CRITICAL", "WARNING")]


async def test_a_refused_upgrade_is_no_error_of_the_service(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("not you", 403))

    settings = HttpSettings(port=0)
    app = Starlette(routes=[WebSocketRoute("/", refuse), WebSocketRoute("/echo", echo)])
    async with asyncio.timeout(PATIENCE), serve_http(app, bound(settings), settings) as address:
        url = address.replace("http", "ws")
        for _ in range(2):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(url, proxy=None)
            assert refused.value.response.status_code == 403
            assert refused.value.response.body == b"not you"
        async with websockets.connect(url + "/echo", proxy=None) as client:
            await client.send("anna")
            assert await client.recv() == "anna"
    assert complaints(caplog) == []
