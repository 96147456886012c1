"""Headers of revisions as CloudEvents, and spans of the records of a trace."""

import json
from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers.common.tracing.spans import SpanRecorder
from consumers.kafka.in_flight import InFlightRecord, OffsetTracker
from consumers.kafka.output.revision_headers import HeaderMaker
from consumers.kafka.service.service import Service
from consumers.kafka.service.span_observer import SpanObserver
from stream.engine.worker import Worker
from stream.messages.types import Revision
from stream.redaction.messages import RedactedEnd
from tests.consumers.fake_kafka import IN, OUT, FakeKafka, FakeRecord
from tests.consumers.fakes import fake_engine
from tests.consumers.kafka.test_service import FIRST, running, settings, update

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def exported() -> Iterator[tuple[SpanRecorder, InMemorySpanExporter]]:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield SpanRecorder(provider.get_tracer("test")), exporter
    provider.shutdown()


def cause(timestamp: int) -> InFlightRecord:
    return InFlightRecord(OffsetTracker(), FakeRecord(IN, 3, 7, b"a", b"x", [("other", b"1")], timestamp))


def test_a_revision_is_a_cloud_event() -> None:
    maker = HeaderMaker("my group", TopicPartition(IN, 3), cloudevents=True)
    revision = Revision(tagger="ner", session="a/b", segment="s", rev=5, offset=7, final=False, spans=())
    headers = dict(maker.of_revision(revision, cause(1_700_000_000_123)))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"ner/5/7/a/b",
        "ce_source": b"/hearken/my%20group/" + IN.encode() + b"/3",
        "ce_type": b"hearken.revision",
        "content-type": b"application/json",
        "ce_time": b"2023-11-14T22:13:20.123Z",
    }
    end = RedactedEnd(session="a", rev=5, offset=7)
    assert dict(maker.of_redacted(end, None))["ce_type"] == b"hearken.redacted.end"
    assert dict(maker.of_redacted(end, None))["ce_id"] == b"redacted/5/7/a"


@pytest.mark.parametrize("timestamp", [-1, 1 << 62])
def test_a_record_without_a_time_gives_none(timestamp: int) -> None:
    maker = HeaderMaker("g", TopicPartition(IN, 3), cloudevents=True)
    end = RedactedEnd(session="a", rev=1, offset=7)
    assert "ce_time" not in dict(maker.of_redacted(end, cause(timestamp)))
    assert HeaderMaker("g", TopicPartition(IN, 3), cloudevents=False).of_redacted(end, cause(5)) == []


async def test_the_spans_of_a_record_say_where_and_when_and_nothing_of_its_text(
    exported: tuple[SpanRecorder, InMemorySpanExporter],
) -> None:
    spans, exporter = exported
    kafka = FakeKafka()
    observer = SpanObserver(spans, "hearken", OUT)
    worker = Worker(fake_engine(["ner"], "", coalesce=True))
    async with running(Service(settings(), worker, kafka.clients(), observer=observer)):
        await kafka.append(
            IN, update("secret-name", "anna"), b"secret-name", headers=[("traceparent", PARENT.encode())]
        )
        await kafka.append(IN, update("b", "anna"), b"b")
        await kafka.append(IN, update("c", "anna"), b"c", headers=[("traceparent", b"nonsense")])
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert sorted(found) == [f"publish {OUT}", f"receive {IN}", "step"]
    receive = found[f"receive {IN}"]
    assert f"{receive.context.trace_id:032x}" == TRACE
    assert receive.parent is not None
    assert f"{receive.parent.span_id:016x}" == PARENT.split("-")[2]
    assert {x.parent.span_id for x in found.values() if x is not receive and x.parent} == {receive.context.span_id}
    assert receive.attributes is not None
    assert receive.attributes["messaging.kafka.offset"] == 0
    times = [found[x] for x in (f"receive {IN}", "step", f"publish {OUT}")]
    assert all(x.start_time <= x.end_time for x in times)  # type: ignore[operator]
    assert [x.start_time for x in times] == sorted(x.start_time for x in times)  # type: ignore[type-var]
    said = json.dumps([json.loads(x.to_json()) for x in found.values()])
    assert "anna" not in said
    assert "secret-name" not in said
