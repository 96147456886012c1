"""Limits of one address and one token: what is beyond them is told when to come back, and others do not notice."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from starlette.types import Message

from consumers.common.settings import SettingError
from consumers.http.app import build_app
from consumers.http.guard import limits as limits_module
from consumers.http.guard.limits import CallerLimits
from consumers.http.guard.open_connections import client_network
from consumers.http.guard.wrong_tokens import FREE_TRIES, MAX_ADDRESSES, WrongTokens
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.settings import HttpSettings
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, make_context
from tests.consumers.http.test_body_encoding import refusals
from tests.waiting import PATIENCE

OTHER_TOKEN = "another-token-of-24-chars"


def site(here: Any = None, token: str | None = None, **limits: Any) -> tuple[Any, HttpTraffic]:
    traffic = HttpTraffic()
    parts = {"worker": here.worker, "gateway": here.desk} if here else {}
    return build_app(make_context(token=token, limits=limits, traffic=traffic, **parts)), traffic


def client(app: Any, address: str = "192.0.2.1", token: str | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 1))
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


class Streams:
    """Streams that say nothing, by the ASGI scope, with an address each."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._tasks: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.Queue[Message]] = []

    async def connect(self, address: str, token: str | None = None) -> Message:
        """Give the server's first answer."""
        said: asyncio.Queue[Message] = asyncio.Queue()
        heard: asyncio.Queue[Message] = asyncio.Queue()
        heard.put_nowait({"type": "websocket.connect"})
        headers = [(b"host", b"localhost")]
        headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
        scope = {"type": "websocket", "path": "/v1/stream", "query_string": b"", "headers": headers, "subprotocols": []}
        scope |= {"client": (address, 1), "extensions": {"websocket.http.response": {}}, "scheme": "ws"}
        self._tasks.append(asyncio.create_task(self._app(scope, heard.get, said.put)))
        self._ends.append(heard)
        async with asyncio.timeout(PATIENCE):
            return await said.get()

    async def leave(self) -> None:
        for heard in self._ends:
            heard.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await asyncio.gather(*self._tasks)


async def test_one_address_cannot_take_all_places() -> None:
    async with served() as here:
        app, traffic = site(here, max_connections=5, address_connections=3)
        streams = Streams(app)
        for _ in range(3):
            assert (await streams.connect("192.0.2.1"))["type"] == "websocket.accept"
        refused = await streams.connect("192.0.2.1")
        assert refused["status"] == 429
        assert dict(refused["headers"])[b"retry-after"] == b"1"
        async with client(app) as same, client(app, "192.0.2.2") as other:
            assert (await same.post("/v1/label", json={"text": "a"})).json()["error"] == "address_busy"
            assert (await same.get("/healthz")).status_code == 200
            assert (await other.post("/v1/label", json={"text": "a"})).status_code == 200
        for _ in range(2):
            assert (await streams.connect("192.0.2.2"))["type"] == "websocket.accept"
        assert (await streams.connect("192.0.2.3"))["status"] == 503
        assert refusals(traffic) == {"address_busy": 2, "busy": 1}
        await streams.leave()
        async with client(app) as same:
            assert (await same.post("/v1/label", json={"text": "a"})).status_code == 200


async def test_one_token_cannot_take_the_places_of_the_other() -> None:
    async with served() as here:
        limits = {"more_tokens": (OTHER_TOKEN,), "max_connections": 4}
        app, traffic = site(here, TOKEN, **limits)
        streams = Streams(app)
        for i in range(2):
            assert (await streams.connect(f"192.0.2.{i}", OTHER_TOKEN))["type"] == "websocket.accept"
        assert (await streams.connect("192.0.2.9", OTHER_TOKEN))["status"] == 429
        assert (await streams.connect("192.0.2.9", TOKEN))["type"] == "websocket.accept"
        assert refusals(traffic) == {"token_busy": 1}
        await streams.leave()


async def test_a_single_token_has_all_places() -> None:
    assert HttpSettings(token=TOKEN, max_connections=7).token_limit == 7
    assert HttpSettings(token=TOKEN, more_tokens=(OTHER_TOKEN,), max_connections=7).token_limit == 3
    assert HttpSettings(token=TOKEN, more_tokens=(OTHER_TOKEN,), token_connections=6).token_limit == 6


async def test_texts_that_wait_are_limited_by_address() -> None:
    async with served() as here:
        app, traffic = site(here, address_texts=10)
        async with client(app) as same, client(app, "192.0.2.2") as other:
            refused = await same.post("/v1/label", json={"texts": ["anna"] * 11})
            assert (refused.status_code, refused.json()["error"]) == (429, "too_many_texts")
            assert refused.headers["retry-after"]
            for asking in (same, same, other):
                assert (await asking.post("/v1/label", json={"texts": ["anna"] * 10})).status_code == 200
        assert refusals(traffic) == {"too_many_texts": 1}


async def test_the_rate_is_of_one_address() -> None:
    app, traffic = site(requests_per_second=0.001)
    async with client(app) as same, client(app, "192.0.2.2") as other:
        answers = [await same.get("/nothing") for _ in range(10)]
        assert [x.status_code for x in answers] == [404] + [429] * 9
        assert {x.json()["error"] for x in answers[1:]} == {"too_many_requests"}
        assert (await other.get("/nothing")).status_code == 404
        assert (await same.get("/healthz")).status_code == 200
    assert refusals(traffic) == {"too_many_requests": 9}


async def test_who_was_too_fast_may_go_on_later() -> None:
    limits = CallerLimits(HttpSettings(requests_per_second=0.001), HttpTraffic())
    caller = limits.identify({"client": ("192.0.2.1", 1)})
    assert await limits.refuse_rate(caller) is None
    assert await limits.refuse_rate(caller) is not None
    limits._rates[caller.address]._last_check -= 1001  # as if so many seconds had gone by
    assert await limits.refuse_rate(caller) is None


async def test_strangers_take_no_places_and_have_a_rate_too() -> None:
    app, traffic = site(token=TOKEN, max_connections=1, requests_per_second=0.001)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        entered.set()
        await leave.wait()
        yield b"token=x"

    async with client(app) as stranger, client(app, "192.0.2.2", TOKEN) as other:
        slow = asyncio.create_task(stranger.post("/login", content=body()))
        await entered.wait()
        assert (await other.get("/nothing")).status_code == 404
        leave.set()
        assert (await slow).status_code == 401
        for path in ("/login", "/$discovery/rest"):
            assert (await stranger.get(path)).status_code == 429
        assert (await stranger.get("/metrics")).status_code == 200
    assert refusals(traffic) == {"wrong_token": 1, "too_many_requests": 2}


async def test_a_login_is_short() -> None:
    app, traffic = site(token=TOKEN)
    async with client(app) as stranger:
        for content in (b"token=" + b"x" * 5000, gzip.compress(b"token=" + b"x" * 1_000_000)):
            headers = {"content-encoding": "gzip"} if content[0] == 0x1F else {}
            refused = await stranger.post("/login", content=content, headers=headers)
            assert refused.status_code == 413
    assert refusals(traffic)["too_large"] == 2


async def test_the_rate_is_of_one_token_where_there_are_several() -> None:
    app, _ = site(token=TOKEN, more_tokens=(OTHER_TOKEN,), requests_per_second=0.001)
    async with AsyncExitStack() as stack:
        first, second, third = [
            await stack.enter_async_context(client(app, f"192.0.2.{i}", token))
            for i, token in enumerate((TOKEN, TOKEN, OTHER_TOKEN))
        ]
        assert (await first.get("/nothing")).status_code == 404
        limited = await second.get("/nothing")
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "1000")
        assert (await third.get("/nothing")).status_code == 404


async def test_no_rate_no_limit() -> None:
    app, _ = site(requests_per_second=0.0)
    async with client(app) as same:
        assert {(await same.get("/nothing")).status_code for _ in range(50)} == {404}


async def test_rates_of_few_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "MAX_RATES", 10)
    limits = CallerLimits(HttpSettings(), HttpTraffic())
    for i in range(100):
        caller = limits.identify({"client": (f"192.0.2.{i}", 1)})
        assert await limits.refuse_rate(caller) is None
    assert len(limits._rates) == 10


async def test_a_trusted_proxy_says_whose_request_it_is() -> None:
    async with served() as here:
        for proxies, status in [((), 429), (("192.0.2.0/24",), 200)]:
            app, _ = site(here, requests_per_second=0.001, trust_proxies=proxies)
            async with client(app) as proxy:
                for i, expected in enumerate((200, status)):
                    headers = {"x-forwarded-for": f"198.51.100.{i}"}
                    answer = await proxy.post("/v1/label", json={"text": "a"}, headers=headers)
                    assert answer.status_code == expected
    with pytest.raises(SettingError, match="--trust-proxy"):
        HttpSettings(trust_proxies=("ingress",))


async def test_wrong_tokens_make_their_address_wait_longer_and_longer() -> None:
    app, traffic = site(token=TOKEN)
    async with client(app, token="wrong") as guessing, client(app, "192.0.2.2", TOKEN) as other:
        answers = [await guessing.get("/nothing") for _ in range(FREE_TRIES + 3)]
        assert [x.status_code for x in answers] == [401] * FREE_TRIES + [429] * 3
        assert answers[-1].json()["error"] == "wait_after_wrong_tokens"
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (await guessing.get("/nothing", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 429
        assert (await guessing.get("/readyz")).status_code == 200
        assert (await guessing.post("/login", data={"token": TOKEN})).status_code == 429
        assert (await guessing.post("/v1alpha1/comments:analyze?key=wrong")).status_code == 429
        assert (await other.get("/nothing")).status_code == 404
    assert refusals(traffic) == {"wrong_token": FREE_TRIES, "wait_after_wrong_tokens": 6}


async def test_the_login_counts_as_well() -> None:
    app, _ = site(token=TOKEN)
    async with client(app) as guessing:
        answers = [await guessing.post("/login", data={"token": "wrong"}) for _ in range(FREE_TRIES + 2)]
        assert [x.status_code for x in answers] == [401] * FREE_TRIES + [429] * 2
        assert answers[-1].headers["retry-after"]


async def test_who_shows_no_token_does_not_wait_for_one() -> None:
    app, _ = site(token=TOKEN)
    async with client(app) as visitor:
        assert {(await visitor.get("/nothing")).status_code for _ in range(20)} == {401}
        assert (await visitor.get("/nothing", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 404


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


def test_the_wait_doubles_is_bounded_and_is_forgotten(clock: list[float]) -> None:
    wrong = WrongTokens(lambda: clock[0])
    assert [wrong.reject("a") for _ in range(FREE_TRIES)] == [0] * FREE_TRIES
    waits = []
    for _ in range(12):
        waits.append(wrong.reject("a"))
        assert wrong.seconds_to_wait("a") == waits[-1]
        clock[0] += waits[-1]
        assert wrong.seconds_to_wait("a") == 0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    clock[0] += 3601
    assert wrong.reject("a") == 0


def test_a_right_token_ends_the_wait_and_protects_those_behind_the_same_address(clock: list[float]) -> None:
    wrong = WrongTokens(lambda: clock[0])
    wrong.accept("proxy")
    for _ in range(50):
        wrong.reject("proxy")
    assert wrong.seconds_to_wait("proxy") == 0
    clock[0] += 3601
    wrong.reject("proxy")
    for _ in range(50):
        wrong.reject("proxy")
    assert wrong.seconds_to_wait("proxy") > 0


def test_addresses_are_forgotten_when_there_are_many() -> None:
    wrong = WrongTokens()
    for i in range(MAX_ADDRESSES + 100):
        wrong.reject(str(i))
        wrong.accept(f"good {i}")
    assert len(wrong._failures) == len(wrong._accepted) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert client_network(address) == network


def test_several_tokens_are_read_one_a_line(tmp_path: Any) -> None:
    from consumers.http.settings import read_http_settings

    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n\n  {OTHER_TOKEN}  \n")
    settings = read_http_settings("0.0.0.0", "80", file)
    assert settings is not None
    assert settings.tokens == (TOKEN, OTHER_TOKEN)
    assert OTHER_TOKEN not in repr(settings)
    for text in ("", "\n", f"{TOKEN}\nshort", f"{TOKEN}\ntwo words in one line"):
        file.write_text(text)
        with pytest.raises(SettingError, match="--http-token-file"):
            read_http_settings("0.0.0.0", "80", file)


@pytest.mark.parametrize(
    ("name", "value", "flag"),
    [
        ("max_connections", 0, "--http-connections"),
        ("address_connections", 0, "--http-address-connections"),
        ("token_connections", 0, "--http-token-connections"),
        ("address_texts", -1, "--http-address-texts"),
        ("requests_per_second", -1.0, "--http-rate"),
        ("requests_per_second", float("nan"), "--http-rate"),
        ("request_seconds", 0.0, "--http-request-seconds"),
        ("idle_seconds", float("inf"), "--http-idle-seconds"),
    ],
)
def test_a_limit_that_is_none_is_refused(name: str, value: float, flag: str) -> None:
    with pytest.raises(SettingError, match=flag):
        HttpSettings(**{name: value})
