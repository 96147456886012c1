"""The clients against a server on a socket: streams, breaks, the end, one-shot paths, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import hearken
from consumers.http.app import build_app
from consumers.http.server import bind_socket, serve_http
from hearken import AsyncClient, Client, Revision
from stream.redaction.policy import RedactionPolicy
from stream.sessions.redactor import Redactor
from tests.consumers.http.gateways import served, until
from tests.consumers.http.sites import TOKEN, make_context

PERSONS = RedactionPolicy(labels=frozenset({"person"}))


@asynccontextmanager
async def site(*, token: str | None = None, redact: bool = False, **limits: Any) -> AsyncIterator[str]:
    """Serve an engine without a model; gives the server's address."""
    engine = {"redactor": Redactor(PERSONS)} if redact else {}
    async with served(taggers=("fake",) if redact else ("fake", "speech"), **engine) as here:
        context = make_context(worker=here.worker, gateway=here.desk, token=token, limits=limits)
        taken = bind_socket(context.settings)
        assert taken is not None
        async with serve_http(build_app(context), taken, context.settings) as address:
            yield address


async def cut(client: AsyncClient) -> None:
    """Break the connection, as a network does."""
    await until(lambda: client._socket is not None)
    assert client._socket is not None
    client._socket.transport.abort()


def words(revision: Revision) -> list[tuple[str, str]]:
    return [(x.label, x.text) for x in revision.spans]


async def test_text_goes_in_and_revisions_come_until_the_end() -> None:
    async with site() as address, AsyncClient(address) as client:
        call = client.stream("call")
        assert await call.replace("anna") == 0
        assert await call.append(" rice") == 1
        assert await call.close() == 2
        assert await client.stream("other").replace("rome") == 3
        await client.end()
        got = [x async for x in client if x.tagger == "fake"]
        assert {(x.session, x.final) for x in got} >= {("call", True), ("other", True)}
        last = next(x for x in reversed(got) if x.session == "call")
        assert (words(last), last.offset) == ([("person", "anna rice")], 2)
        assert call.session.text == "anna rice" == call.session.settled_text()
        with pytest.raises(ValueError, match="was ended"):
            await call.replace("more")


async def test_a_stream_goes_on_over_breaks() -> None:
    async with site() as address, AsyncClient(address) as client:
        call = client.stream("call")
        await call.replace("rome", final=True)
        await until(lambda: bool(client.state.segment("call", "1").spans("fake")))
        for number, text in enumerate(["we met anna", "we met anna rice", "we met bob", "we met bob in paris"]):
            await cut(client)
            await call.replace(text)
            await until(lambda number=number: client.connections == number + 2)  # type: ignore[misc]
            await until(lambda: client.state.segment("call", "2").labels.get("fake") is not None)
        await client.end()
        got = [x async for x in client if x.tagger == "fake"]
        assert [x.rev for x in got] == [*range(1, len(got) + 1)]
        assert got[-1].final
        assert words(got[-1]) == [("person", "bob"), ("place", "paris")]
        assert sum(x.segment == "1" for x in got) == 1


async def test_a_burst_that_is_sent_again_does_not_wait_for_itself() -> None:
    """More segments than a server has in progress before its answers are read."""
    async with site() as address, AsyncClient(address) as client:
        for number in range(60):
            await client.stream(f"s{number}").replace("anna " * 40)
            await client.stream(f"s{number}").replace("bob " * 40, "other")
        await cut(client)
        await client.end()
        got = [x async for x in client]
        assert {x.session for x in got if x.final and x.tagger == "fake"} == {f"s{i}" for i in range(60)}
        assert client.connections == 2


async def test_a_refused_message_is_told_where_answers_are_read_and_the_others_go_on() -> None:
    async with site() as address, AsyncClient(address) as client:
        call = client.stream("call")
        await call.replace("anna")
        await call.delete("never")
        await call.replace("x" * 65_537, "long")
        with pytest.raises(hearken.ServerRefused, match=r"message 2: text_too_long") as refused:
            [x async for x in client]
        assert (refused.value.reason, refused.value.frame) == ("text_too_long", 2)
        await client.end()
        assert [x.final async for x in client if x.tagger == "fake"][-1]


async def test_answers_may_be_handed_over_at_once() -> None:
    got: list[Any] = []
    async with site() as address, AsyncClient(address, on_answer=got.append) as client:
        await client.stream().replace("poison")
        await until(lambda: bool(got))
        assert (got[0].reason, got[0].frame) == ("labelling_failed", 0)


async def test_the_redacted_stream_of_a_server() -> None:
    async with site(redact=True) as address, AsyncClient(address, output="redacted") as client:
        call = client.stream("call")
        await call.replace("we met anna", final=True)
        await until(lambda: call.session.redacted_text == "we met [PERSON]")
        await cut(client)
        await call.replace("bob said", final=True)
        await client.end()
        texts = [x.text async for x in client.redacted() if isinstance(x, hearken.RedactedUpdate) and x.final]
        assert texts == ["we met [PERSON]", "[PERSON] said"]
        assert await client.redact("anna in rome", labels=["person", "place"], style="numbered") == (
            "[PERSON_1] in [PLACE_1]"
        )


async def test_a_server_that_redacts_nothing_gives_no_redacted_stream() -> None:
    async with site() as address, AsyncClient(address, output="redacted") as client:
        with pytest.raises(hearken.ServerRefused, match="--redact LABELS"):
            [x async for x in client.redacted()]
        with pytest.raises(hearken.ServerRefused, match="--redact LABELS"):
            await client.stream().replace("anna")


async def test_a_token_is_needed_and_sent() -> None:
    async with site(token=TOKEN) as address:
        with pytest.raises(hearken.ServerRefused, match="token"):
            await AsyncClient(address).connect()
        with pytest.raises(hearken.ServerRefused, match="token"):
            await AsyncClient(address).label("anna")
        async with AsyncClient(address, token=TOKEN) as client:
            segment = await client.label("we met anna", taggers=["fake"])
            assert [(x.label, x.text) for x in segment.spans()] == [("person", "anna")]
            assert (segment.settled(), segment.labels.keys()) == (11, {"fake"})
            with pytest.raises(hearken.ServerRefused, match="unknown_tagger"):
                await client.label("anna", taggers=["nre"])


async def test_an_idle_connection_is_made_again_with_the_next_message() -> None:
    async with site(idle_seconds=0.05) as address, AsyncClient(address) as client:
        await client.stream().replace("anna", final=True)
        await until(lambda: not client._wanted.is_set())
        assert client.connections == 1
        await client.stream().replace("rome", "2", final=True)
        await until(lambda: client.state.segment("stream", "2").final and client.connections > 1)
        await until(lambda: bool(client.state.segment("stream", "2").spans("fake")))


async def test_a_server_that_is_gone_is_named() -> None:
    taken = bind_socket(make_context().settings)
    assert taken is not None
    with taken:
        port = taken.getsockname()[1]
    client = AsyncClient(f"http://127.0.0.1:{port}", reconnect_seconds=0.0)
    with pytest.raises(hearken.ServerUnreachable, match=str(port)):
        await client.connect()
    with pytest.raises(hearken.ServerUnreachable, match=str(port)):
        await client.label("anna")
    with pytest.raises(ValueError, match="is not connected"):
        await client.stream().replace("anna")
    with pytest.raises(ValueError, match="no address of a server"):
        AsyncClient("localhost:8477")


async def test_the_client_without_asyncio() -> None:
    def use(address: str) -> list[tuple[str, int, bool]]:
        with Client(address) as client:
            call = client.stream("call")
            call.replace("we met anna")
            assert call.append(" rice", final=True) == 1
            assert [x.text for x in client.label("rome").spans()] == ["rome"]
            client.end()
            got = [(x.spans[-1].text, x.offset, x.final) for x in client if x.tagger == "fake"]
            assert call.session.text == "we met anna rice"
        with pytest.raises(ValueError, match="is closed"):
            client.label("anna")
        return got

    async with site() as address:
        assert (await asyncio.to_thread(use, address))[-1] == ("anna rice", 1, True)
