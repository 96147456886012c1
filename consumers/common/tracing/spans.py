"""Spans of OpenTelemetry: what the service did with a request or record that belongs to a trace.

A span has places and times, never text, and no id of a session, which may be personal data.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import structlog

from consumers.common.settings import SettingError
from consumers.common.tracing.trace_context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

log = structlog.get_logger()

FLUSH_SECONDS = 5.0
"""Time that the end of the process waits for spans that are not exported yet."""

SpanKind = Literal["internal", "server", "consumer", "producer"]
Attributes = Mapping[str, str | int]


class SpanRecorder:
    """Records spans that have ended.

    Args:
        tracer: of OpenTelemetry. Whether a trace is recorded is for its sampler, by default as `traceparent` says.
    """

    def __init__(self, tracer: "Tracer") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._in_context = trace.set_span_in_context
        self._extract = TraceContextTextMapPropagator().extract
        self._kinds = {kind.name.lower(): kind for kind in trace.SpanKind}

    def record(
        self,
        name: str,
        kind: SpanKind,
        parent: "TraceContext | Span",
        times: tuple[float, float],
        attributes: Attributes | None = None,
    ) -> "Span":
        """Record a span; returns it, so that others can be its children.

        Args:
            name: what was done, to which topic or route.
            kind: its role.
            parent: the trace of the request or record, or another span.
            times: begin and end, in seconds of the monotonic clock.
            attributes: places, without text.
        """
        shift = time.time_ns() - time.monotonic_ns()
        began, ended = (int(seconds * 1e9) + shift for seconds in times)
        context = self._extract(parent.headers) if isinstance(parent, TraceContext) else self._in_context(parent)
        span = self._tracer.start_span(name, context, self._kinds[kind], attributes, start_time=began)
        span.end(max(began, ended))
        return span


@asynccontextmanager
async def recording_spans(wanted: bool) -> AsyncIterator[SpanRecorder | None]:
    """Give a recorder that exports over OTLP inside the block, or None if spans are not `wanted`.

    The exporter is configured by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`).

    Raises:
        SettingError: OpenTelemetry is not installed.
    """
    if not wanted:
        yield None
        return
    provider = _make_provider()
    log.info("tracing_started", endpoint=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"))
    try:
        yield SpanRecorder(provider.get_tracer("hearken"))
    finally:
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await asyncio.to_thread(provider.shutdown)
        except TimeoutError:
            log.warning("spans_not_exported", seconds=FLUSH_SECONDS)


def check_tracing(wanted: bool) -> None:
    """Check that spans can be recorded if they are wanted.

    Raises:
        SettingError: OpenTelemetry is not installed.
    """
    if wanted:
        _import_sdk()


def _import_sdk() -> tuple[Any, Any, Any, Any]:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        detail = f"spans need OpenTelemetry ({error}); install it with: pip install 'hearken[otel]'"
        raise SettingError("tracing", detail) from error
    return OTLPSpanExporter, Resource, TracerProvider, BatchSpanProcessor


def _make_provider() -> Any:
    exporter, resource, provider, processor = _import_sdk()
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    made = provider(resource=resource.create({} if named else {"service.name": "hearken"}), shutdown_on_exit=False)
    made.add_span_processor(processor(exporter()))
    return made
