"""The answer to a request has the trace of the request, and spans say what took time, without any text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers.common.tracing.spans import SpanRecorder
from consumers.common.tracing.trace_context import TraceContext, read_trace_context
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import asking, make_context

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
STATE = "vendor=a,other=b"


async def test_an_answer_has_the_trace_of_its_request_and_spans_tell_of_it() -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with served() as here:
        context = make_context(worker=here.worker, gateway=here.desk, spans=SpanRecorder(provider.get_tracer("test")))
        async with asking(context) as client:
            trace = {"traceparent": PARENT, "tracestate": STATE}
            answer = await client.post("/v1/label", json={"text": "we met anna"}, headers=trace)
            refused = await client.post("/v1/label", json={"text": 1}, headers=trace)
            missing = await client.get("/secret-path", headers=trace)
            plain = await client.post("/v1/label", json={"text": "we met anna"})
    for each in (answer, refused, missing):
        assert (each.headers["traceparent"], each.headers["tracestate"]) == (PARENT, STATE)
    assert "traceparent" not in plain.headers
    spans = exporter.get_finished_spans()
    assert [x.name for x in spans] == ["POST /v1/label", "receive", "step", "publish", "POST /v1/label", "GET other"]
    request, *parts = spans[:4]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert {x.parent.span_id for x in parts if x.parent} == {request.context.span_id}
    ends = [request.start_time, *(x.end_time for x in parts)]
    assert ends == sorted(ends)  # type: ignore[type-var]
    assert [dict(x.attributes or {})["http.response.status_code"] for x in (spans[0], *spans[4:])] == [200, 422, 404]
    said = json.dumps([json.loads(x.to_json()) for x in spans])
    assert "anna" not in said
    assert "secret" not in said
    provider.shutdown()


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        PARENT.upper(),
        PARENT[:-1],
        PARENT + "-01",
        PARENT.replace(TRACE, "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        "ff" + PARENT[2:],
        PARENT + "\n",
    ],
)
def test_an_invalid_trace_is_none(parent: str) -> None:
    assert read_trace_context([("traceparent", parent.encode())]) in (None, TraceContext(PARENT))
    assert (read_trace_context([("traceparent", parent.encode())]) is None) == (parent != PARENT + "\n")


def test_later_versions_may_say_more() -> None:
    later = "01" + PARENT[2:] + "-more"
    assert read_trace_context([("traceparent", later.encode())]) == TraceContext(later)
    assert read_trace_context([("traceparent", PARENT.encode()), ("traceparent", PARENT.encode())]) is None
    states = [("tracestate", b"a=1"), ("traceparent", PARENT.encode()), ("tracestate", b"b=2"), ("tracestate", None)]
    assert read_trace_context(states) == TraceContext(PARENT, "a=1,b=2")


@given(value=st.binary(max_size=70), state=st.binary(max_size=20))
def test_whatever_is_passed_on_is_a_header(value: bytes, state: bytes) -> None:
    for parent in (value, PARENT.encode() + value):
        found = read_trace_context([("traceparent", parent), ("tracestate", state)])
        if found:
            assert all(x.isascii() and x.isprintable() for x in found.headers.values())
