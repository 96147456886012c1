"""No side door: whatever a redacting service is told, no door gives out a part of a covered value."""

import asyncio
import io
import json
import logging
import re
import sys
import threading
import traceback
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers.cli.main import main
from consumers.common import logs
from consumers.common.logs import configure_logging
from consumers.common.settings import Topics
from consumers.common.tracing.spans import SpanRecorder
from consumers.formats.line_reader import LineReader
from consumers.formats.readers import NormalReader, make_reader
from consumers.http.frontend import HttpFrontend
from consumers.http.settings import HttpSettings
from consumers.kafka.service.observer import ServiceObservers
from consumers.kafka.service.service import Service
from consumers.kafka.service.span_observer import SpanObserver
from consumers.runtime import engine_factory
from consumers.runtime.tag_lines import TagRun
from stream.engine.worker import Worker, WorkerFailed
from stream.messages.types import Update
from stream.redaction.policy import RedactionPolicy
from tests.consumers.fake_kafka import DEAD, IN, OUT, FakeKafka
from tests.consumers.fakes import fake_engine
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import asking, make_context
from tests.consumers.http.test_redact import redactor
from tests.consumers.http.test_stream import talking
from tests.consumers.kafka.test_crashes import REDACTED
from tests.consumers.kafka.test_revision_headers import PARENT
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
    provider, exported = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    spans = SpanObserver(SpanRecorder(provider.get_tracer("test")), "hearken", OUT)
    observer = ServiceObservers([front.observer, spans])
    service = Service(settings(topics=topics), worker, kafka.clients(), observer=observer)
    task = asyncio.create_task(service.run(stop))
    values = [*GOOD, *BAD, *POISON, *LAST]
    for value in values:
        await kafka.append(IN, value, b"call", headers=[("traceparent", PARENT.encode())])
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
    assert exported.get_finished_spans()
    assert_hidden(*(x.to_json() for x in exported.get_finished_spans()))
    provider.shutdown()
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


SAID = "anna bob"


async def read(worker: Worker) -> None:
    async for _ in worker.results():
        pass


@pytest.fixture
def own_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command sets for its process is undone."""
    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(logs, "_hide_session", None)


@pytest.mark.usefixtures("own_hooks")
@pytest.mark.parametrize("command", ["tag", "listen --http-port 0", "serve --broker localhost:1 --http-port off"])
def test_a_crash_gives_out_nothing(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(*_: object) -> None:
        raise ValueError(SAID) from KeyError(SAID)

    monkeypatch.setattr(engine_factory, "build_engine", crash)
    monkeypatch.setattr(engine_factory, "check_engine", lambda _: None)
    ids = ["--redact-ids", "--redact-key", "a key of the test"]
    with pytest.raises(ValueError, match="anna") as crashed:
        main([*command.split(), "--redact", "person", *ids])
    sys.excepthook(crashed.type, crashed.value, crashed.tb)
    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()
    error = (crashed.type, crashed.value, crashed.tb)
    logging.getLogger("asyncio").error("a task failed\nfuture: <Task exception=%r>", crashed.value, exc_info=error)
    structlog.get_logger().warning("dead_letter_written", session="anna")
    told = capsys.readouterr()
    assert_hidden(told.out, told.err)
    assert told.err.count("in crash") >= 3
    assert "a task failed" in told.err
    assert '"session"' in told.err


async def test_a_worker_that_fails_gives_out_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(fake_engine(["ner"], "", coalesce=False, redaction=RedactionPolicy()))

    def crash(*_: object) -> None:
        raise ValueError(SAID)

    monkeypatch.setattr(worker.engine, "step", crash)
    await worker.submit(Update(session="s", segment="a", text="anna"), 0)
    with pytest.raises(WorkerFailed, match="ValueError at") as failed:
        await read(worker)
    told = "".join(traceback.format_exception(failed.value))
    assert_hidden(told.replace('session="s", segment="a", text="anna"', ""))
