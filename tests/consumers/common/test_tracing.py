"""Spans are exported over OTLP, and a missing OpenTelemetry is said with what to do."""

import http.server
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from consumers.common.settings import SettingError
from consumers.common.tracing.spans import check_tracing, recording_spans
from consumers.common.tracing.trace_context import TraceContext

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


async def test_without_opentelemetry_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, EXPORTER, None)
    check_tracing(False)
    with pytest.raises(SettingError, match=r"--tracing.*pip install 'hearken\[otel\]'"):
        check_tracing(True)
    async with recording_spans(False) as spans:
        assert spans is None
