"""The server on a real socket: its start and its end, and what it takes of a WebSocket."""

import asyncio
import socket

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from consumers.common.settings import SettingError
from consumers.http.guard.idle_timeout import IdleTimeoutProtocol
from consumers.http.server import bind_socket, serve_http
from consumers.http.settings import HttpSettings
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
def watched(monkeypatch: pytest.MonkeyPatch) -> list[IdleTimeoutProtocol]:
    """Connections that would be looked at later, each as often as it would."""
    seen: list[IdleTimeoutProtocol] = []
    monkeypatch.setattr(IdleTimeoutProtocol, "_schedule_check", lambda self: seen.append(self))
    return seen


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(PATIENCE):
        return not await reader.read()


async def test_who_connects_and_says_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.http.guard.idle_timeout.IDLE_SECONDS", 0.05)
    settings = HttpSettings(port=0)
    async with serve_http(APP, bound(settings), settings) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rsplit(":", 1)[1]))
        assert await ended(reader)
        writer.close()


async def test_who_dribbles_headers_is_let_go_however_often_he_asked_before(watched: list[IdleTimeoutProtocol]) -> None:
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


async def test_who_listens_to_a_websocket_or_waits_for_an_answer_is_not(watched: list[IdleTimeoutProtocol]) -> None:
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


async def test_a_message_that_is_too_large_ends_its_websocket() -> None:
    settings = HttpSettings(port=0, max_frame_bytes=100)
    async with serve_http(APP, bound(settings), settings) as address:
        async with websockets.connect(address.replace("http", "ws") + "/echo", proxy=None) as client:
            await client.send("x" * 100)
            assert await client.recv() == "x" * 100
            await client.send("x" * 101)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009  # message too big
