"""Whatever characters a text has, it is labelled at every door, and offsets are those of the text received."""

import asyncio
import io
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consumers.formats.line_reader import LineReader
from consumers.formats.readers import NormalReader
from consumers.http.api.perspective_messages import NOT_BLANK
from consumers.http.api.perspective_text import Utf16
from consumers.kafka.service.service import Service
from consumers.recordings.jsonl import read_recording
from consumers.runtime.tag_lines import TagRun
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.engine.worker import Worker
from stream.labelling.hybrid import HybridLabeller
from stream.messages.types import Revision, Update
from tests.consumers.fake_kafka import DEAD, IN, FakeKafka
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import asking, make_context
from tests.consumers.http.test_stream import END, talking
from tests.consumers.kafka.test_service import FIRST, revisions
from tests.consumers.kafka.test_service import settings as service_settings
from tests.encoder.tokenizer.test_cleaning import INVISIBLE
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import final, tell
from tests.stream.hybrid import tiny_tagger
from tests.tiny import WORDS

NASTY = [
    *INVISIBLE,
    "\r",
    "\n",
    "\t",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
    "\u3000",
    "\x1b[1m",
    "\x1b[",
    '"',
    "\\",
    "{",
]
NASTY += [
    "😀",
    "👩\u200d💻",
    "*",
    "-",
    ".",
    "'s",
    "@",
    "!",
    "ѕ",
    "р",
    "ο",
    "ａ",
    "𝓪",
    "ﬁ",
    "中",
    "e\u0301",
    "NaN",
    "\\ud83d",
]
PIECES = st.one_of(
    st.sampled_from(["anna", "rice", "rome", *WORDS]), st.just(" "), st.sampled_from(NASTY), st.text(st.characters())
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)
few = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@cache
def hybrid() -> HybridLabeller:
    return HybridLabeller(tiny_tagger())


def engine() -> Engine:
    return Engine(hybrid(), Last(2))


def received(text: str) -> str:
    """The text as it is once it was written as JSON: pairs are joined, and halves are replaced."""
    joined = json.loads(json.dumps(text))
    return "".join("\ufffd" if "\ud800" <= x <= "\udfff" else x for x in joined)


def growing(text: str) -> list[bytes]:
    """Updates of a text that grows in three steps."""
    cuts = sorted({len(text) // 3, 2 * len(text) // 3, len(text)})
    fields = {"type": "update", "session": "s", "segment": "u"}
    return [json.dumps(fields | {"text": text[:cut], "final": cut == len(text)}).encode() for cut in cuts]


def check(found: Sequence[dict[str, Any]], lines: Sequence[bytes]) -> None:
    """Every span is that part of the text received, and the last ones are those of the text fed whole."""
    texts = [received(json.loads(line)["text"]) for line in lines]
    for revision in found:
        for span in revision["spans"]:
            assert texts[revision["offset"]][span["start"] : span["end"]] == span["text"]
    assert found[-1]["final"]
    offline: Revision = tell(engine(), final("u", texts[-1]))[-1]
    assert [(x["start"], x["end"], x["label"]) for x in found[-1]["spans"]] == [
        (x.start, x.end, x.label) for x in offline.spans
    ]


@few
@given(TEXTS)
@example("we met anna \ud83d\ude00 in rome")
@example("rice\u0007x \x1b[31mparis\x1b[0m \ufeff")
def test_a_file(text: str) -> None:
    lines, out, errors = growing(text), io.BytesIO(), io.StringIO()
    run = TagRun(engine(), NormalReader(), False, out, errors)
    run.run(LineReader(io.BytesIO(b"\n".join(lines))))
    assert errors.getvalue() == ""
    check([json.loads(line) for line in out.getvalue().decode().splitlines()], lines)


@few
@given(TEXTS)
def test_kafka(text: str) -> None:
    lines, kafka = growing(text), FakeKafka()

    async def serve() -> None:
        stop = asyncio.Event()
        service = Service(service_settings(), Worker(engine()), kafka.clients())
        task = asyncio.create_task(service.run(stop))
        for line in lines:
            await kafka.append(IN, line, b"s")
        await kafka.until(lambda: kafka.committed.get(FIRST) == len(lines))
        stop.set()
        await task

    asyncio.run(serve())
    assert not kafka.records(DEAD)
    check(revisions(kafka), lines)


@few
@given(TEXTS)
def test_a_websocket(text: str) -> None:
    lines = growing(text)

    async def talk() -> list[dict[str, Any]]:
        async with served(hybrid()) as here, talking(here) as socket:  # type: ignore[arg-type]
            await socket.send(*[line.decode() for line in lines], END)
            frames, _ = await socket.rest()
            return frames

    frames = asyncio.run(talk())
    assert {x["type"] for x in frames} == {"revision"}
    check(frames, lines)


async def post(path: str, body: dict[str, Any], labeller: Any) -> dict[str, Any]:
    async with served(labeller) as here, asking(make_context(worker=here.worker, gateway=here.desk)) as client:
        return (await client.post(path, content=json.dumps(body).encode())).json()


@few
@given(TEXTS)
def test_http(text: str) -> None:
    async def ask() -> tuple[dict[str, Any], dict[str, Any]]:
        labelled = await post("/v1/label", {"text": text}, hybrid())
        body: dict[str, Any] = {
            "comment": {"text": text},
            "requestedAttributes": {"TOXICITY": {}},
            "spanAnnotations": True,
        }
        body["languages"] = ["en"]  # whatever it looks like
        return labelled, await post("/v1alpha1/comments:analyze", body, FakeLabeller(names=["moderation"]))

    labelled, analysed = asyncio.run(ask())
    whole = received(text)
    (result,) = labelled["results"]
    offline = tell(engine(), final("u", whole))[-1]
    assert [(x["start"], x["end"], x["text"]) for x in result[offline.tagger]["spans"]] == [
        (x.start, x.end, whole[x.start : x.end]) for x in offline.spans
    ]
    if "error" in analysed:
        assert analysed["error"]["details"][0]["errorType"] == "COMMENT_EMPTY"
        assert not re.search(NOT_BLANK, whole)
        return
    units, fake = Utf16(whole), tell(Engine(FakeLabeller(names=["moderation"]), Last(3)), final("u", whole))[-1]
    spans = [(x["begin"], x["end"]) for x in analysed.get("wordSpans", ())]
    assert spans == [(units.at(x.start), units.at(x.end)) for x in fake.spans]


@few
@given(TEXTS)
def test_a_recording(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recorded.jsonl"
        path.write_bytes(b"\xef\xbb\xbf" + b"\n".join(growing(text)))
        *_, last = read_recording(path)
    assert isinstance(last.message, Update)
    assert last.message.text == received(text)


@pytest.mark.parametrize("sign", INVISIBLE, ids=ascii)
def test_nothing_invisible_hides_a_word(sign: str) -> None:
    whole, plain = received(f"we met ri{sign}ce in"), "we met rice in"
    for first, text in enumerate((whole, received(f"we met {sign}rice{sign} in"))):
        spans = tell(engine(), final("u", text))[-1].spans
        expected = tell(engine(), final("u", plain))[-1].spans
        assert [(x.label, x.text.replace(received(sign), "")) for x in spans] == [
            (x.label, x.text) for x in expected
        ], first
