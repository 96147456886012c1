"""/v1/stream: what is said there is labelled as by `hearken tag`; bad frames and bad clients spoil nothing."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import websockets
from hypothesis import given
from structlog.testing import capture_logs

from consumers.formats.line_reader import LineReader
from consumers.formats.readers import NormalReader
from consumers.http.api import stream
from consumers.http.app import build_app
from consumers.http.server import bind_socket, serve_http
from consumers.runtime.tag_lines import TagRun
from stream.messages.caller_id import CallerId
from stream.messages.types import Delete, Message
from tests.consumers.fakes import fake_engine
from tests.consumers.http.gateways import Served, served, until
from tests.consumers.http.sites import make_context
from tests.consumers.http.sockets import Socket, connected
from tests.stream.engine.test_worker import Gated
from tests.stream.fake_tagger import VOCABULARY
from tests.stream.streams import ALL, Step, messages, steps

PATH = "/v1/stream"
END = {"type": "end"}


@asynccontextmanager
async def talking(here: Served, query: str = "", window: int = 1_000_000, **limits: Any) -> AsyncIterator[Socket]:
    app = build_app(make_context(worker=here.worker, gateway=here.desk, limits=limits))
    async with connected(app, PATH, query, window) as socket:
        yield socket


def update(text: str, session: str = "call", segment: str = "u", **more: Any) -> dict[str, Any]:
    return {"type": "update", "session": session, "segment": segment, "text": text, **more}


async def test_updates_go_in_and_revisions_come_out() -> None:
    async with served() as here, talking(here) as socket:
        await socket.send(update("anna"))
        first = await socket.get()
        assert (first["type"], first["session"], first["segment"]) == ("revision", "call", "u")
        assert (first["rev"], first["offset"], first["final"]) == (1, 0, False)
        assert [x["text"] for x in first["spans"]] == ["anna"]
        await socket.send(json.dumps(update(" rice", mode="append", final=True)).encode())
        second = await socket.get()
        assert (second["rev"], second["offset"], second["final"]) == (2, 1, True)
        assert [x["text"] for x in second["spans"]] == ["anna rice"]


async def test_the_end_closes_what_is_open_and_then_the_connection() -> None:
    async with served() as here, talking(here) as socket:
        await socket.send(update("anna"), update("rome", "other"), END)
        frames, closed = await socket.rest()
        assert {(x["session"], x["offset"]) for x in frames if x["final"]} == {("call", 2), ("other", 2)}
        assert closed.code == 1000


async def test_the_end_of_one_session_leaves_the_others() -> None:
    async with served() as here, talking(here) as socket:
        await socket.send(update("anna"), {"type": "end", "session": "call"}, update("rome", "other"), END)
        frames, closed = await socket.rest()
        assert [(x["session"], x["offset"]) for x in frames if x["final"]] == [("call", 1), ("other", 3)]
        assert closed.code == 1000


BAD: list[tuple[Any, str]] = [
    ("", "empty"),
    ("{", "invalid_json"),
    (b"\xff\xfe", "invalid_utf8"),
    ([1], "invalid_message"),
    ({"type": "end", "session": 7}, "invalid_message"),
    ({"type": "end", "session": "nobody"}, "unknown_session"),
    ({"type": "delete", "session": "call", "segment": "x"}, "unknown_segment"),
    (update("a secret", time=float("nan")), "invalid_message"),
    (update("a", session="x" * 257), "bad_id"),
    (update("a", session="fifth"), "too_many_sessions"),
]


async def test_bad_frames_are_named_by_their_number_and_the_next_goes_on() -> None:
    async with served() as here, talking(here, max_sessions=1) as socket:
        await socket.send(update("we met"), *(frame for frame, _ in BAD), update("we met anna", final=True), END)
        frames, closed = await socket.rest()
        errors = [x for x in frames if x["type"] == "error"]
        assert [(x["frame"], x["reason"]) for x in errors] == [(i, x) for i, (_, x) in enumerate(BAD, 1)]
        assert all(set(x) == {"type", "reason", "detail", "frame"} for x in errors)
        assert "secret" not in json.dumps(errors)
        assert [x["offset"] for x in frames if x["type"] == "revision"][-1] == len(BAD) + 1
        assert closed.code == 1000


async def test_a_fault_of_ours_is_told_and_others_go_on() -> None:
    async with served() as here, talking(here) as socket:
        await socket.send(update("poison secret"), update("anna", "other", final=True))
        frames = [await socket.get(), await socket.get()]
        error = next(x for x in frames if x["type"] == "error")
        assert (error["frame"], error["reason"]) == (0, "labelling_failed")
        assert "secret" not in json.dumps(error)
        assert next(x for x in frames if x["type"] == "revision")["session"] == "other"


async def test_who_goes_leaves_nothing_behind() -> None:
    async with served() as here:
        async with talking(here) as socket:
            await socket.send(update("anna"), update("rome", "other"))
            await socket.get()
        await until(lambda: not (here.engine.pending or here.engine.intake.session_count))
        assert not here.desk._clients


async def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SEND_SECONDS", 0.05)
    async with served() as here, talking(here, window=1) as socket:
        for number in range(300):
            await socket.send(update("anna", segment=str(number), final=True))
        await until(lambda: not here.desk._clients)
        assert socket.to_server.qsize() > 100  # it was not listened to any more
        async with talking(here) as other:
            await other.send(update("rome"))
            assert (await other.get())["spans"]
    assert here.desk._capacity._value == 256


async def test_a_client_that_does_not_read_is_told_why_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as here, talking(here, window=1) as socket:
        await socket.send(update("anna"), update("anna rice"), update("rome", "other"))
        await until(socket.to_client.full)
        (caller,) = here.desk._clients
        caller._results.put_nowait("slow")
        assert (await socket.rest())[1].code == 4408


async def test_a_service_that_stops_says_so() -> None:
    async with served() as here, talking(here) as socket:
        await socket.send(update("anna"))
        await socket.get()
        here.desk.close()
        frames, closed = await socket.rest()
        assert (frames, closed.code) == ([], 1001)


@pytest.mark.parametrize("query", ["format=nobody", "format="])
async def test_an_unknown_format_is_told_before_anything_is_taken(query: str) -> None:
    async with served() as here, talking(here, query) as socket:
        frames, closed = await socket.rest()
        assert closed.code == 4400
        assert len(closed.reason.encode()) <= 123
        assert frames[0]["reason"] == "bad_query"
        assert "deepgram" in frames[0]["detail"]


def deepgram(text: str, start: float = 0.0, final: bool = False) -> dict[str, Any]:
    words = [
        {"word": x, "start": start + i / 2, "end": start + i / 2 + 0.4, "confidence": 0.9}
        for i, x in enumerate(text.split())
    ]
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": start,
        "duration": 2.0,
        "is_final": final,
        "speech_final": final,
        "channel": {"alternatives": [{"transcript": text, "confidence": 0.9, "words": words}]},
        "metadata": {"request_id": "7c0f"},
    }


@pytest.mark.parametrize("query", ["format=deepgram", "format=auto"])
async def test_a_vendors_frames_are_read_as_they_come(query: str) -> None:
    script = [deepgram("we met"), deepgram("we met anna"), deepgram("we met anna", final=True), deepgram("rome", 2.0)]
    async with served() as here, talking(here, query) as socket:
        await socket.send(*script, END)
        frames, closed = await socket.rest()
        finals = [x for x in frames if x["final"]]
        assert [(x["session"], x["offset"]) for x in finals] == [("7c0f", 2), ("7c0f", 4)]
        (span,) = finals[0]["spans"]
        assert (span["text"], span["start_time"], span["end_time"]) == ("anna", 1.0, 1.4)
        assert closed.code == 1000


async def test_a_vendors_session_is_what_the_query_says_or_else_the_connection() -> None:
    partial, result = {"partial": "we met"}, {"text": "we met anna"}
    for query, session in [("format=vosk&session=call-17", "call-17"), ("format=vosk", "stream")]:
        async with served() as here, talking(here, query) as socket:
            await socket.send(partial, result)
            assert (await socket.get())["session"] == session


async def test_what_no_format_knows_is_an_error_that_says_what_to_do() -> None:
    async with served() as here, talking(here, "format=auto") as socket:
        await socket.send({"what": "is this"})
        error = await socket.get()
        assert (error["reason"], error["frame"]) == ("unknown_format", 0)
        assert "?format=" in error["detail"]


def tagged(lines: Iterable[bytes]) -> tuple[list[dict[str, Any]], str]:
    out, errors = io.BytesIO(), io.StringIO()
    engine = fake_engine(["ner"], "", coalesce=False)
    TagRun(engine, NormalReader(), False, out, errors).run(LineReader(io.BytesIO(b"\n".join(lines))))
    return [json.loads(line) for line in out.getvalue().splitlines()], errors.getvalue()


async def streamed(frames: Sequence[bytes], paced: bool) -> list[dict[str, Any]]:
    """What a connection says; if paced, each frame only once the one before is answered."""
    async with served(taggers=["ner"]) as here, talking(here, max_sessions=2) as socket:
        for frame in frames:
            await socket.send(frame)
            if paced:
                await until(lambda: not (socket.to_server.qsize() or here.worker.in_flight))
        await socket.send(END)
        found, closed = await socket.rest()
    assert closed.code == 1000
    return found


def ends(told: Sequence[Message]) -> list[bytes]:
    """The ends of the sessions that are open at last, as lines for `hearken tag`."""
    live: dict[str, None] = {}
    for message in told:
        live[message.session] = None
        if message.__struct_config__.tag == "end":
            del live[message.session]
    return [msgspec.json.encode({"type": "end", "session": session}) for session in live]


@given(steps(VOCABULARY, ALL))
def test_a_stream_says_what_tag_says(script: list[Step]) -> None:
    told = messages(script)
    lines = [msgspec.json.encode(x) for x in told]
    expected, errors = tagged([*lines, *ends(told)])
    assert not errors
    found = asyncio.run(streamed(lines, paced=True))
    for x in expected:
        x["offset"] = min(x["offset"], len(lines))  # the one frame that ends them all
    by_session = lambda x: x["session"]  # noqa: E731
    assert sorted(found, key=by_session) == sorted(expected, key=by_session)


@given(steps(VOCABULARY, ALL))
def test_whatever_is_coalesced_the_closings_are_those_of_tag(script: list[Step]) -> None:
    told = messages(script)
    lines = [msgspec.json.encode(x) for x in told]
    expected, _ = tagged([*lines, *ends(told)])
    found = asyncio.run(streamed(lines, paced=False))
    gone = {(x.session, x.segment) for x in told if isinstance(x, Delete)}
    assert _finals(found, gone) == _finals(expected, gone)


def _finals(revisions: Sequence[dict[str, Any]], gone: set[tuple[str, str]]) -> dict[tuple[str, str], list[Any]]:
    """Of each segment the last final revision, but for its numbers, which count what was told before.

    A segment that is deleted while its first update waits has none, so of the deleted ones only those with words count.
    """
    last = {(x["session"], x["segment"]): x for x in revisions if x["final"]}
    last = {key: x for key, x in last.items() if key not in gone or x["score"] is not None}
    keep = ("start", "end", "label", "text", "stability", "score")
    return {key: [x["score"], [{k: span[k] for k in keep} for span in x["spans"]]] for key, x in last.items()}


async def test_over_a_real_socket() -> None:
    labeller = Gated()
    labeller.gate.set()
    async with served(labeller) as here:
        context = make_context(worker=here.worker, gateway=here.desk, limits={"max_frame_bytes": 2000})
        at = bind_socket(context.settings)
        assert at is not None
        async with serve_http(build_app(context), at, context.settings) as address:
            url = address.replace("http", "ws") + PATH
            async with websockets.connect(url) as socket:
                await socket.send(json.dumps(update("anna")))
                assert json.loads(await socket.recv())["spans"]
                await socket.send(json.dumps(END))
                assert json.loads(await socket.recv())["final"]
                with pytest.raises(websockets.ConnectionClosedOK):
                    await socket.recv()
            async with websockets.connect(url) as socket:
                await socket.send(json.dumps(update("anna")))
                await socket.send("x" * 3000)
                await socket.send(b"\xff", text=True)
                await socket.send(json.dumps(update("anna met bob")))
                await socket.send(json.dumps(END))
                frames = [json.loads(x) async for x in socket]
                errors = [(x["reason"], x["frame"]) for x in frames if x["type"] == "error"]
                assert errors == [("too_large", 1), ("invalid_utf8", 2)]
                assert frames[-1]["final"]
                assert len(frames[-1]["spans"]) == 2


class Broken:
    """A reader with a fault."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error
        self._reader = NormalReader()

    def read(self, value: bytes, key: bytes | None, offset: int) -> list[Message]:
        if b"break" in value:
            raise self._error()
        return self._reader.read(value, key, offset)


@pytest.mark.parametrize(
    "error", [KeyError, RecursionError, UnicodeEncodeError, OverflowError, MemoryError, ValueError]
)
async def test_a_fault_of_a_reader_is_answered_and_nothing_else_is_lost(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_error() -> Exception:
        return error("utf-8", "", 0, 1, "secret") if error is UnicodeEncodeError else error("secret")

    monkeypatch.setattr(stream, "make_reader", lambda *_: Broken(make_error))
    with capture_logs() as logged:
        async with served() as here, talking(here) as socket:
            await socket.send(update("anna"), "break", update("anna met bob"), END)
            frames, closed = await socket.rest()
    assert [(x["reason"], x["frame"]) for x in frames if x["type"] == "error"] == [("internal", 1)]
    assert "secret" not in json.dumps(frames)
    (final,) = (x for x in frames if x.get("final"))
    assert [x["text"] for x in final["spans"]] == ["anna", "bob"]
    assert closed.code == 1000
    assert [x["frame"] for x in logged if x["event"] == "frame_failed"] == [1]


async def test_a_fault_with_one_message_is_answered_and_the_next_is_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as here, talking(here) as socket:
        enqueue = here.worker.enqueue

        def enqueue_some(message: Message, offset: int, caller: CallerId) -> bool:
            if offset == 1:
                raise ZeroDivisionError
            return enqueue(message, offset, caller)

        monkeypatch.setattr(here.worker, "enqueue", enqueue_some)
        await socket.send(update("anna"), update("rome", "other"), update("anna met bob"), END)
        frames, closed = await socket.rest()
        assert [(x["reason"], x["frame"]) for x in frames if x["type"] == "error"] == [("internal", 1)]
        assert [x["text"] for x in frames[-1]["spans"]] == ["anna", "bob"]
        assert closed.code == 1000


BAD_FRAMES: list[tuple[str | bytes, str]] = [
    ("", "empty"),
    (b"", "empty"),
    ("{", "invalid_json"),
    ("[" * 100_000, "invalid_message"),
    ('{"type":"update","session":"a","segment":"u","text":"x","more":' + "[" * 100_000, "invalid_json"),
    (b"\xff\xfe", "invalid_utf8"),
    (b"\x00\x01", "invalid_json"),
    ("7", "invalid_message"),
    ("null", "invalid_message"),
    ('{"type":"dance"}', "invalid_message"),
    ('{"type":"update","session":"a"}', "invalid_message"),
    ('{"type":"update","session":7,"segment":"u","text":"x"}', "invalid_message"),
    ('{"type":"delete","session":"a","segment":"never"}', "unknown_session"),
    ("x" * (1 << 21), "too_large"),
]


@pytest.mark.parametrize("query", ["", "format=auto", "format=deepgram", "format=vosk"])
async def test_whatever_comes_the_next_frame_is_read(query: str) -> None:
    async with served() as here, talking(here, query) as socket:
        for said, _ in BAD_FRAMES:
            await socket.send(said)
        await socket.send(END)
        frames, closed = await socket.rest()
        assert closed.code == 1000
        if not query:
            assert [(x["reason"], x["frame"]) for x in frames] == [(x, i) for i, (_, x) in enumerate(BAD_FRAMES)]
        assert not {"internal", "labelling_failed"} & {x.get("reason") for x in frames}


async def test_bad_frames_between_good_ones_change_nothing() -> None:
    good = [update("anna"), update("anna met"), update("anna met bob", final=True)]
    async with served() as here, talking(here) as socket:
        for frame in good:
            for said, _ in BAD_FRAMES[:-1]:
                await socket.send(said)
            await socket.send(frame, {**frame, "unheard_of": [{"a": None}] * 10})
        await socket.send(END)
        frames, closed = await socket.rest()
        finals = [x for x in frames if x.get("final")]
        assert [x["text"] for x in finals[0]["spans"]] == ["anna", "bob"]
        assert closed.code == 1000
