"""Pages of other sites: which are allowed, what they are told, and how they open a WebSocket without a header."""

import json

import httpx
import pytest
import websockets

from consumers.common.settings import SettingError
from consumers.http.app import build_app
from consumers.http.guard.tickets import TICKET_SECONDS, Tickets
from consumers.http.live.model import LiveModel
from consumers.http.server import bind_socket, serve_http
from consumers.http.settings import HttpSettings
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, asking, make_context

PAGE = "http://localhost:3000"
OTHER_TOKEN = "another-token-of-24-chars"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def preflight(method: str = "POST") -> dict[str, str]:
    return {
        "origin": PAGE,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type,content-encoding",
    }


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_a_page_of_an_allowed_origin_may_ask_and_read_the_answer(token: str | None) -> None:
    async with served() as here:
        limits = {"allow_origins": ("https://other.example", PAGE)}
        context = make_context(worker=here.worker, gateway=here.desk, token=token, limits=limits)
        async with asking(context) as client:
            allowed = await client.options("/v1/label", headers=preflight())
            assert allowed.status_code == 200
            assert allowed.headers["access-control-allow-origin"] == PAGE
            assert "POST" in allowed.headers["access-control-allow-methods"]
            assert "authorization" in allowed.headers["access-control-allow-headers"]
            assert "access-control-allow-credentials" not in allowed.headers
            for headers, status in [({"origin": PAGE, **BEARER}, 200), ({"origin": PAGE}, 401 if token else 200)]:
                answer = await client.post("/v1/label", json={"text": "we met anna"}, headers=headers)
                assert answer.status_code == status
                assert answer.headers["access-control-allow-origin"] == PAGE  # a page may read an error too
                assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", ["http://localhost:3001", "https://localhost:3000", "null", "http://evil.example"])
async def test_any_other_origin_is_refused_as_before(origin: str) -> None:
    async with asking(make_context(token=TOKEN, limits={"allow_origins": (PAGE,)})) as client:
        answer = await client.post("/v1/label", headers={"origin": origin, **BEARER})
        assert (answer.status_code, answer.json()["error"]) == (403, "wrong_origin")
        assert "--allow-origin" in answer.json()["detail"]
        assert "access-control-allow-origin" not in answer.headers
        refused = await client.options("/v1/label", headers={**preflight(), "origin": origin})
        assert "access-control-allow-origin" not in refused.headers


async def test_without_the_setting_nothing_is_allowed() -> None:
    async with asking(make_context()) as client:
        answer = await client.options("/v1/label", headers=preflight())
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


async def test_all_origins_may_be_allowed_where_there_is_a_token() -> None:
    async with asking(make_context(token=TOKEN, limits={"allow_origins": ("*",)})) as client:
        answer = await client.post("/v1/label", headers={"origin": "https://any.example", **BEARER})
        assert answer.status_code == 404  # let in; there is nothing
        assert answer.headers["access-control-allow-origin"] == "*"
        assert (await client.options("/v1/label", headers=preflight())).status_code == 200


async def test_the_cookie_counts_for_our_own_pages_only() -> None:
    async with asking(make_context(token=TOKEN, limits={"allow_origins": (PAGE,)})) as client:
        await client.post("/login", data={"token": TOKEN}, headers={"origin": "http://localhost"})
        assert (await client.post("/v1/label", headers={"origin": "http://localhost"})).status_code == 404
        assert (await client.post("/v1/label", headers={"origin": PAGE})).status_code == 401


@pytest.mark.parametrize(
    "origin",
    [
        "localhost:3000",
        "http://localhost:3000/",
        "HTTP://LOCALHOST",
        "http://localhost:80",
        "https://a:443",
        "http://a b",
        "",
        "http://u@h",
        "*",
        "null",
    ],
)
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(SettingError, match="--allow-origin"):
        HttpSettings(allow_origins=(origin,))


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/live"])
async def test_a_page_opens_a_websocket_with_a_ticket_once(path: str) -> None:
    async with served() as here:
        limits = {"allow_origins": (PAGE,)}
        context = make_context(worker=here.worker, gateway=here.desk, live=LiveModel(), token=TOKEN, limits=limits)
        at = bind_socket(context.settings)
        assert at is not None
        async with (
            serve_http(build_app(context), at, context.settings) as address,
            httpx.AsyncClient(base_url=address) as client,
        ):
            assert (await client.post("/v1/ticket", headers={"origin": PAGE})).status_code == 401
            given = await client.post("/v1/ticket", headers={"origin": PAGE, **BEARER})
            assert given.json().keys() == {"ticket", "seconds"}
            assert given.headers["cache-control"] == "no-store"
            assert TOKEN not in given.text
            url = f"{address.replace('http', 'ws')}{path}?ticket={given.json()['ticket']}"
            async with websockets.connect(url, origin=PAGE, proxy=None) as socket:  # type: ignore[arg-type]
                await socket.send("{")
                while json.loads(await socket.recv())["type"] != "error":
                    pass
            for wrong in (url, url[:-1] + "x", url.partition("?")[0]):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await websockets.connect(wrong, origin=PAGE, proxy=None)  # type: ignore[arg-type]
                assert refused.value.response.status_code == 401
            ticket = (await client.post("/v1/ticket", headers=BEARER)).json()["ticket"]
            assert (await client.post(f"/v1/label?ticket={ticket}", json={"text": "a"})).status_code == 401


async def test_without_a_token_a_page_of_an_allowed_origin_needs_no_ticket_and_may_have_one() -> None:
    context = make_context(live=LiveModel(), limits={"allow_origins": (PAGE,)})
    at = bind_socket(context.settings)
    assert at is not None
    async with (
        serve_http(build_app(context), at, context.settings) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        ticket = (await client.post("/v1/ticket", headers={"origin": PAGE})).json()["ticket"]
        url = address.replace("http", "ws") + "/v1/live"
        for query in ("", f"?ticket={ticket}"):
            async with websockets.connect(url + query, origin=PAGE, proxy=None) as socket:  # type: ignore[arg-type]
                assert json.loads(await socket.recv())["type"] == "stats"
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"{url}?ticket={ticket}", origin="http://evil.example", proxy=None)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403


def test_a_ticket_ends_is_used_once_and_cannot_be_made_up() -> None:
    now = [1000.0]
    tickets = Tickets([TOKEN, OTHER_TOKEN], lambda: now[0])
    first, second, late = (tickets.make(number).ticket for number in (0, 1, 0))
    assert tickets.redeem(first) == 0
    assert tickets.redeem(second) == 1
    assert tickets.redeem(first) is None
    now[0] += TICKET_SECONDS + 1
    assert tickets.redeem(late) is None
    until, nonce, signature = tickets.make().ticket.split(".")
    made_up = [f"{until}.{nonce}.", f"{int(until) + 1}.{nonce}.{signature}", f"{until}..{signature}"]
    made_up += [f"\u0661.{nonce}.{signature}", f"{until}.{nonce}.\ud800"]
    for bad in ("", ".", "..", until, "9" * 5000, *made_up):
        assert tickets.redeem(bad) is None, bad
    assert tickets.redeem(f"{until}.{nonce}.{signature}") == 0
    elsewhere = Tickets([TOKEN], lambda: now[0])
    assert elsewhere.redeem(tickets.make().ticket) == 0  # another instance with the same token
    assert elsewhere.redeem(tickets.make(1).ticket) is None
    assert Tickets([], lambda: now[0]).redeem(Tickets([], lambda: now[0]).make().ticket) is None


def test_used_tickets_are_forgotten_when_they_end() -> None:
    now = [1000.0]
    tickets = Tickets([TOKEN], lambda: now[0])
    for _ in range(100):
        assert tickets.redeem(tickets.make().ticket) == 0
        now[0] += TICKET_SECONDS / 2
    assert len(tickets._used) <= 4
