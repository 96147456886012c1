"""/v1/stream?auto_close: segments that never close are closed at sentence ends."""

import pytest

from tests.consumers.http.gateways import Served, served, until
from tests.consumers.http.sockets import Socket
from tests.consumers.http.test_stream import END, talking, update


def all_is_read(here: Served, socket: Socket) -> bool:
    """Whether every message that was sent is answered, and the answers are on their way to the client."""
    sessions = here.desk._sessions.values()
    return socket.to_server.empty() and all(not x.unanswered and x.client._results.empty() for x in sessions)


async def test_a_segment_that_never_closes_is_closed_at_sentence_ends() -> None:
    said = "anna left stop nobody saw bob ask then it rained and rained stop"
    words = said.split()
    async with served(taggers=("fake", "punctuation")) as here, talking(here, "auto_close=2") as socket:
        for i, word in enumerate(words):
            await socket.send(update(f" {word}" if i else word, mode="append"))
            await until(lambda: all_is_read(here, socket))  # so that an end is published before the next word
        await socket.send(END)
        frames, _ = await socket.rest()
        closed = [(x["segment"], x["offset"]) for x in frames if x["final"] and x["tagger"] == "punctuation"]
        assert closed == [("u", 5), ("u~2", 9), ("u~3", len(words))]
        assert [s["text"] for x in frames if x["final"] and x["tagger"] == "fake" for s in x["spans"]] == [
            "anna",
            "bob",
        ]


async def test_text_that_auto_close_has_closed_is_not_changed() -> None:
    async with served(taggers=("punctuation",)) as here, talking(here, "auto_close=1") as socket:
        for text in ("we met stop and", "we met stop and so", "we saw stop and so"):
            await socket.send(update(text))
            await until(lambda: all_is_read(here, socket))
        await socket.send(END)
        frames, _ = await socket.rest()
        (error,) = [x for x in frames if x["type"] == "error"]
        assert (error["reason"], error["frame"]) == ("bad_text", 2)
        assert "has closed the first 12 characters of segment 'u'" in error["detail"]


@pytest.mark.parametrize(
    ("query", "taggers", "detail"),
    [
        ("auto_close=maybe", ("punctuation",), "must be true, false, or a number of words"),
        ("auto_close=true", ("fake",), "needs the tagger punctuation; the service has fake"),
        ("auto_close=true&format=deepgram", ("punctuation",), "those of deepgram close their segments themselves"),
    ],
)
async def test_what_auto_close_cannot_do_is_told_at_once(query: str, taggers: tuple[str, ...], detail: str) -> None:
    async with served(taggers=taggers) as here, talking(here, query) as socket:
        frames, closed = await socket.rest()
        assert detail in frames[0]["detail"]
        assert closed.code == 4400
