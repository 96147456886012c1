"""No side door: whatever a redacting service is told, no door gives out a part of a covered value."""

import asyncio
import io
import json
import re
from typing import Any

import pytest

from consumers.common.logs import configure_logging
from consumers.common.settings import Topics
from consumers.formats.line_reader import LineReader
from consumers.formats.readers import NormalReader, make_reader
from consumers.http.frontend import HttpFrontend
from consumers.http.settings import HttpSettings
from consumers.kafka.service.service import Service
from consumers.runtime.tag_lines import TagRun
from stream.engine.worker import Worker
from stream.redaction.policy import RedactionPolicy
from tests.consumers.fake_kafka import DEAD, IN, OUT, FakeKafka
from tests.consumers.fakes import fake_engine
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import asking, make_context
from tests.consumers.http.test_redact import redactor
from tests.consumers.http.test_stream import talking
from tests.consumers.kafka.test_crashes import REDACTED
from tests.consumers.kafka.test_service import FIRST, settings
from tests.waiting import PATIENCE

_SECRET = re.compile(r"\b(?:anna|rice|bob)\b")
"""Values that the tagger finds."""


def update(text: Any, segment: str = "s", **more: Any) -> bytes:
    return json.dumps({"type": "update", "session": "call", "segment": segment, "text": text, **more}).encode()


GOOD = [
    update("they met anna", words=[{"start": i, "end": i + 1} for i in range(3)], speaker="caller"),
    update("they met anna rice", words=[{"start": i, "end": i + 1} for i in range(4)]),
    update("They met Anna Rice.", final=True),
    update("They met Anna Rice, rice.", final=True),
    update("anna", "t"),
    json.dumps({"type": "delete", "session": "call", "segment": "t"}).encode(),
]
BAD = [
    b'{"type":"update","session":"call","segment":"s","text":"anna bob',
    update("anna bob", "x" * 300),
    update(["anna bob"]),
    update("anna bob", final="anna bob"),
    update("anna bob", mode="bob"),
    update("anna bob", words=[]),
    update("anna bob", time=float("nan")),
    update("anna bob " * 8000),
    b'{"type": "bob anna"}',
    b'{"type": "note", "text": "anna bob"}',
    b'{"type": "delete", "session": "call", "segment": "bob anna"}',
    b'{"type": "end", "session": "bob anna"}',
    b"anna bob",
    b'"anna bob"',
    b'["anna bob"]',
    b'"anna bob \xff"',
]
POISON = [update("anna poison bob", "p"), update("rice poison bob", "q", final=True)]
LAST = [update("they left then", "z", final=True), b'{"type": "end", "session": "call"}']


def assert_hidden(*seen: object) -> None:
    for one in seen:
        text = (one if isinstance(one, bytes) else str(one).encode()).decode("utf-8", "replace").lower()
        found = _SECRET.search(text)
        assert found is None, text[max(0, found.start() - 200) : found.end() + 50]


async def test_kafka_gives_out_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    kafka, stop = FakeKafka(), asyncio.Event()
    worker = Worker(fake_engine(["ner"], "", coalesce=False, redaction=RedactionPolicy()))
    front = HttpFrontend(HttpSettings(port=0, access_log=True), worker)
    topics = Topics(redacted=REDACTED)
    service = Service(settings(topics=topics), worker, kafka.clients(), observer=front.observer)
    task = asyncio.create_task(service.run(stop))
    values = [*GOOD, *BAD, *POISON, *LAST]
    for value in values:
        await kafka.append(IN, value, b"call")
    await kafka.until(lambda: kafka.committed.get(FIRST) == len(values))
    context = make_context(worker=worker, service=service, live=front.live, timings=front._timings)
    async with asking(context) as client:
        pages = [await client.get(path) for path in ("/metrics", "/healthz", "/readyz", "/openapi.json")]
    assert_hidden(*(x.text for x in pages), front.live.sessions(), front.live.snapshot("call"))
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await task
    told = capsys.readouterr()
    assert "dead_letter_written" in told.err
    assert_hidden(told.out, told.err)
    for topic in (OUT, REDACTED):
        records = kafka.records(topic)
        assert records
        assert_hidden(*(x for record in records for x in (record.key, record.value, record.headers)))
    letters = kafka.records(DEAD)
    assert len(letters) >= len(BAD) + len(POISON)
    assert_hidden(*(header for letter in letters for header in letter.headers))
    said = [json.loads(x.value or b"") for x in kafka.records(REDACTED)]
    assert [x["text"] for x in said if x["type"] == "update" and x["segment"] == "z"] == ["they left then"]
    assert not {x["segment"] for x in said if "segment" in x} & {"p", "q", "x"}


async def test_http_and_websockets_give_out_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    async with served(redactor=redactor()) as here:
        for query in ("output=redacted", "", "format=deepgram", "format=auto"):
            async with talking(here, query, max_sessions=4) as socket:
                await socket.send(*GOOD, *BAD, *POISON, *LAST, {"type": "end"})
                frames, _ = await socket.rest()
                assert frames
                assert_hidden(json.dumps(frames))
        async with asking(make_context(worker=here.worker, gateway=here.desk)) as client:
            for body in (*BAD, *POISON, b'{"text": "anna poison bob"}', b'{"text": "anna rice"}', b'{"text": ["bob"]}'):
                answer = await client.post("/v1/redact", content=body, headers={"content-type": "application/json"})
                assert_hidden(answer.text, answer.headers)
            labels = await client.post("/v1/label", json={"text": "anna rice"})
            assert_hidden(labels.text)
    told = capsys.readouterr()
    assert_hidden(told.out, told.err)


@pytest.mark.parametrize("format", ["normal", "deepgram", "auto"])
def test_tag_gives_out_nothing(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    engine = fake_engine(["ner"], "", coalesce=False, redaction=RedactionPolicy())
    out, errors = io.BytesIO(), io.StringIO()
    reader = NormalReader() if format == "normal" else make_reader(format, engine.intake.segments)
    run = TagRun(engine, reader, False, out, errors)
    run.run(LineReader(io.BytesIO(b"\n".join([*GOOD, *BAD, *POISON, *LAST]))))
    told = capsys.readouterr()
    assert_hidden(out.getvalue(), errors.getvalue(), told.out, told.err)
    if format == "normal":
        assert run.bad >= len(BAD) + len(POISON)
        said = [json.loads(x) for x in out.getvalue().splitlines()]
        assert [x["text"] for x in said if x.get("segment") == "z"] == ["they left then"]
        assert said[-1]["type"] == "end"
