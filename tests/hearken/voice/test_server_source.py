"""Labels of a server for a voice pipeline: what answers belong to, and a server that is away."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from consumers.http.app import build_app
from consumers.http.server import serve_http
from hearken.messages import Revision, Update
from hearken.voice.labeller import LiveLabeller, SegmentLabels
from hearken.voice.server_source import CONNECT_SECONDS, ServerSource
from hearken.voice.sources import make_source
from hearken.voice.transcripts import Heard
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import make_context


@asynccontextmanager
async def server(listener: socket.socket) -> AsyncIterator[str]:
    async with served(taggers=["fake", "speech"]) as here:
        context = make_context(worker=here.worker, gateway=here.desk)
        async with serve_http(build_app(context), listener, context.settings) as address:
            try:
                yield address
            finally:
                here.desk.close()


def listen(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


async def test_labels_come_back_with_what_they_answer() -> None:
    found: list[SegmentLabels] = []
    errors: list[Exception] = []

    async def take(labels: SegmentLabels) -> None:
        found.append(labels)

    async def fail(error: Exception) -> None:
        errors.append(error)

    async with server(listen()) as address:
        source = make_source(address)
        assert isinstance(source, ServerSource)
        labeller = LiveLabeller(source, take, fail)
        for number, heard in enumerate(
            [
                Heard("interim", "we met anna", "a"),
                Heard("interim", "in rome", "b"),
                Heard("final", "We met Anna", "a"),
                Heard("final", "x" * 70_000, "c"),  # too long for the service
                Heard("final", "anna", "a"),
            ]
        ):
            labeller.hear(Heard(heard.kind, heard.text, heard.speaker, source=number))
            await asyncio.sleep(0.02)
        assert await labeller.finish(10)
        await labeller.drop()
        assert await source.redact("we met anna") == "we [PERSON] [PERSON]"
        await source.close()
    finals = {(x.heard.speaker, x.heard.source, x.revision.tagger) for x in found if x.revision.final}
    assert finals == {(speaker, n, t) for speaker, n in (("a", 2), ("a", 4), ("b", None)) for t in ("fake", "speech")}
    for each in found:
        assert all(each.text[x.start : x.end] == x.text for x in each.revision.spans)
    assert len(errors) == 1
    assert "text_too_long" in str(errors[0])


async def test_a_server_that_is_away_is_tried_now_and_then() -> None:
    now = 100.0
    listener = listen()
    port = listener.getsockname()[1]
    listener.close()
    source = ServerSource(f"http://127.0.0.1:{port}", clock=lambda: now)
    said: list[Revision] = []

    async def take(revision: Revision) -> None:
        said.append(revision)

    message = Update(session="s", segment="1", text="we met anna", final=True)
    first: list[BaseException] = []
    for _ in range(3):
        with pytest.raises(ConnectionError) as caught:
            await source.send(message, take)
        first.append(caught.value)
    assert len({id(x) for x in first}) == 1  # one attempt
    with pytest.raises(ConnectionError):
        await source.redact("anna")
    await source.flush()
    now += CONNECT_SECONDS
    async with server(listen(port)):
        await source.send(message, take)
        async with asyncio.timeout(10):
            await source.flush()
        await source.end("s")
        await source.close()
    assert {x.tagger for x in said} >= {"fake"}


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="address"):
        ServerSource("localhost:8477")
