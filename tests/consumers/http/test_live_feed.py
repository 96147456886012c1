"""The feed of the live page and its files, over a socket, without a browser."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from consumers.http.frontend import HttpFrontend
from consumers.http.live.model import LiveModel
from consumers.http.live.static_files import PAGE, PATHS
from consumers.http.server import bind_socket
from consumers.http.settings import HttpSettings
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from tests.consumers.fake_kafka import IN, FakeKafka
from tests.consumers.fakes import fake_engine
from tests.consumers.http.pages import TAGGERS, Stage, page_site
from tests.consumers.http.sites import TOKEN, asking, make_context
from tests.consumers.kafka.test_service import settings, update
from tests.waiting import PATIENCE


def feed(address: str) -> str:
    return address.replace("http", "ws") + "/v1/live"


async def read(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next frame of that kind."""
    async with asyncio.timeout(PATIENCE):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if frame["type"] == kind:
                return frame


async def watch(socket: ClientConnection, session: str | None) -> None:
    await socket.send(json.dumps({"type": "watch", "session": session}))


async def test_a_page_is_told_of_figures_sessions_and_the_one_it_watches() -> None:
    live = LiveModel(TAGGERS, {"ner": ("person",)})
    stage = Stage(live)
    stage.say("we met bob")
    async with page_site(live) as address, websockets.connect(feed(address)) as socket:
        stats = await read(socket, "stats")
        assert stats["taggers"] == list(TAGGERS)
        assert stats["labels"] == {"ner": ["person"], "claims": []}
        assert (stats["sessions"], stats["lag_messages"], stats["lag_seconds"]) == (1, None, None)
        assert set(stats) >= {"time", "words_per_second", "flips_per_word", "words_recomputed_per_word"}
        (listed,) = (await read(socket, "sessions"))["sessions"]
        assert (listed["session"], listed["words"], listed["spans"], listed["open"]) == ("call-17", 3, 0, True)
        await watch(socket, "call-17")
        assert (await read(socket, "session"))["segments"][0]["text"] == "we met bob"
        published = stage.label({"bob": "person"})
        revision = await read(socket, "revision")
        assert revision["rev"] == published.rev
        assert revision["spans"][0]["text"] == "bob"
        await watch(socket, None)
        await watch(socket, "other")
        assert await read(socket, "session") == {"type": "session", "session": "other", "segments": []}
        assert (await read(socket, "sessions"))["sessions"][0]["spans"] == 1  # it changed, so it is told again


async def test_a_page_that_falls_behind_is_sent_a_snapshot_and_nobody_waits() -> None:
    live = LiveModel(TAGGERS)
    stage = Stage(live)
    async with page_site(live) as address, websockets.connect(feed(address)) as socket:
        await watch(socket, "call-17")
        await read(socket, "session")
        for i in range(80):  # far more than may wait, and nothing is sent meanwhile: the loop is ours
            stage.say(f"{i} " + "x" * 50_000)
        frame = await read(socket, "session")
        assert frame["segments"][0]["text"].startswith("79 ")
        stage.say("short")
        assert (await read(socket, "text"))["text"] == "short"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("{", "invalid_json"),
        ('{"type":"watch"}', "invalid_message"),
        ('{"type":"watch","session":7}', "invalid_message"),
        ('{"type":"queue","tagger":"ner"}', "invalid_message"),
        ('{"type":"queue","tagger":"ner","threshold":1.01}', "invalid_message"),
        ('{"type":"other"}', "invalid_message"),
        ("", "empty"),
        ('{"type":"watch","session":"a","x":' + "[" * 100_000, "invalid_json"),
        (b"\x00", "invalid_json"),
        (b"\xff", "invalid_utf8"),
        ("x" * (1 << 21), "too_large"),
    ],
)
async def test_what_is_no_wish_to_watch_is_answered_and_the_next_frame_is_read(said: str | bytes, reason: str) -> None:
    live = LiveModel(TAGGERS)
    Stage(live).say("we met bob")
    async with page_site(live) as address, websockets.connect(feed(address)) as socket:
        await socket.send(said)
        answer = await read(socket, "error")
        assert answer["reason"] == reason
        assert answer["detail"]
        await socket.send(b'{"type":"watch","session":"call-17"}')  # a binary frame is as good as a text frame
        assert (await read(socket, "session"))["segments"][0]["text"] == "we met bob"


async def test_pages_that_go_away_are_forgotten() -> None:
    live = LiveModel(TAGGERS)
    async with page_site(live) as address:
        async with websockets.connect(feed(address)) as socket:
            await read(socket, "stats")
            assert len(live._subscribers) == 1
        async with asyncio.timeout(PATIENCE):
            while live._subscribers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_the_page_is_files_of_ours_with_a_policy_that_allows_no_others() -> None:
    live = LiveModel(TAGGERS)
    async with asking(make_context(live=live)) as client:
        for path, name in [(PATHS.get(x, f"/page/{x}"), x) for x in PAGE]:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert answer.content == PAGE[name]
            assert answer.headers["cache-control"] == "no-cache"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
        for path in ("/", "/moderation"):
            assert (await client.get(path)).headers["content-type"] == "text/html; charset=utf-8"
        assert (await client.get("/page/page.js")).headers["content-type"] == "text/javascript; charset=utf-8"
        for path in ("/page/", "/page/index.html", "/page/../live.py", "/page/%2e%2e/live.py", "/page/page_files.py"):
            assert (await client.get(path)).status_code == 404


def test_the_page_has_nothing_inline_and_nothing_foreign() -> None:
    for name, content in PAGE.items():
        text = content.decode()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), name
        assert "https://" not in text, name
        for bad in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "@import", "url("):
            assert bad not in text, (name, bad)
    for name, script in (("index.html", "page.js"), ("moderation.html", "moderation.js")):
        page = PAGE[name].decode()
        assert "<style" not in page
        assert " style=" not in page
        assert not re.search(r"\son\w+\s*=|javascript:", page, re.IGNORECASE)
        assert page.count("<script") == page.count(f'<script type="module" src="page/{script}"></script>') == 1


async def test_no_page_where_nothing_is_told_to_it() -> None:
    async with asking(make_context()) as client:
        assert (await client.get("/")).status_code == 404


async def test_a_service_shows_what_goes_through_it_and_lets_go_what_goes_elsewhere() -> None:
    kafka, http, stop = FakeKafka(alone=False), HttpSettings(port=0), asyncio.Event()
    worker = Worker(fake_engine(["ner"], "", coalesce=True))
    front, at = HttpFrontend(http, worker), bind_socket(http)
    assert at is not None
    service = Service(settings(), worker, kafka.clients(), observer=front.observer)
    async with front.serve(at, service) as address, websockets.connect(feed(address)) as socket:
        assert (await read(socket, "stats"))["lag_messages"] is None  # there is not even a consumer yet
        await watch(socket, "a")
        running = asyncio.create_task(service.run(stop))
        await kafka.until(lambda: kafka.consumer is not None)
        assert kafka.consumer is not None
        await kafka.consumer.rebalance([0])
        await service.ready.wait()
        await kafka.append(IN, update("a", "we met"), b"a")
        await kafka.append(IN, update("a", "we met bob in rome", final=True), b"a")
        while (text := await read(socket, "text"))["text"] != "we met bob in rome":
            pass
        assert text["final"] is True
        while not (revision := await read(socket, "revision"))["final"]:
            pass
        assert [x["text"] for x in revision["spans"]] == ["bob", "rome"]
        while (stats := await read(socket, "stats"))["lag_messages"] != 0:
            pass
        assert (stats["words_recomputed_per_word"] or 0) > 0
        await kafka.consumer.rebalance([])
        while (await read(socket, "session"))["segments"]:
            pass
        assert front.live.sessions() == []
        stop.set()
        await running


async def test_streams_over_http_are_shown_and_end_when_they_go() -> None:
    worker = Worker(fake_engine(["ner"], "", coalesce=True))
    http = HttpSettings(port=0)
    front, at = HttpFrontend(http, worker), bind_socket(http)
    assert at is not None

    async def relay() -> None:
        async for batch in worker.results():
            front.observer.on_step(batch)

    relaying = asyncio.create_task(relay())
    async with front.serve(at) as address, websockets.connect(feed(address)) as socket:
        stream = await websockets.connect(address.replace("http", "ws") + "/v1/stream")
        await stream.send(update("call", "we met bob", final=True))
        while not (listed := (await read(socket, "sessions"))["sessions"]):
            pass
        assert listed[0]["session"].endswith("/call")
        await watch(socket, listed[0]["session"])
        while not (segments := (await read(socket, "session"))["segments"]):
            pass
        assert segments[0]["text"] == "we met bob"
        await stream.close()
        await read(socket, "ended")
    await worker.close()
    await relaying


async def test_with_a_token_neither_page_nor_feed_is_for_strangers() -> None:
    live = LiveModel(TAGGERS)
    async with page_site(live, token=TOKEN) as address:
        async with httpx.AsyncClient() as client:
            assert (await client.get(address + "/")).status_code == 401
            assert (await client.get(address + "/page/page.js")).status_code == 401
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(feed(address))
        bearer = {"authorization": f"Bearer {TOKEN}"}
        async with websockets.connect(feed(address), additional_headers=bearer) as socket:
            await read(socket, "stats")
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(feed(address), additional_headers=bearer, origin="http://elsewhere.example")  # type: ignore[arg-type]
