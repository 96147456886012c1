"""Spans are exported over OTLP, and a missing OpenTelemetry is said with what to do."""

import asyncio
import http.server
import signal
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import websockets

from consumers.common.settings import SettingError
from consumers.common.tracing.spans import check_tracing, recording_spans
from consumers.common.tracing.trace_context import TraceContext
from tests.consumers.http.test_listen import start
from tests.waiting import PATIENCE

TRACE = "0af7651916cd43dd8448eb211c80319c"
EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Collect(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Collect) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()
        serving.join()


async def test_spans_are_exported_before_the_process_ends(
    collector: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, bodies = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    now = time.monotonic()
    async with recording_spans(True) as spans:
        assert spans is not None
        spans.record("a span", "consumer", TraceContext(f"00-{TRACE}-b7ad6b7169203331-01"), (now, now + 1))
        spans.record("not sampled", "consumer", TraceContext(f"00-{TRACE}-b7ad6b7169203331-00"), (now, now + 1))
    said = b"".join(bodies)
    assert b"a span" in said
    assert bytes.fromhex(TRACE) in said
    assert b"not sampled" not in said


async def test_a_process_exports_the_spans_of_its_requests_and_answers_with_their_trace(
    collector: tuple[str, list[bytes]],
) -> None:
    endpoint, bodies = collector
    trace = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=1"}
    process, address = await start("--http-port", "0", "--tracing", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.post("/v1/label", json={"text": "we met anna"}, headers=trace)
    assert {name: answer.headers[name] for name in trace} == trace
    socket = address.replace("http", "ws") + "/v1/stream"
    async with websockets.connect(socket, additional_headers=trace) as stream:
        assert stream.response is not None
        assert {name: stream.response.headers[name] for name in trace} == trace
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await process.communicate()
    said = b"".join(bodies)
    assert all(name in said for name in (b"POST /v1/label", b"receive", b"step", b"publish", b"GET /v1/stream"))
    assert b"anna" not in said


async def test_without_opentelemetry_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, EXPORTER, None)
    check_tracing(False)
    with pytest.raises(SettingError, match=r"--tracing.*pip install 'hearken\[otel\]'"):
        check_tracing(True)
    async with recording_spans(False) as spans:
        assert spans is None
