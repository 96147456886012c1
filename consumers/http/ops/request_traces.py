"""Traces of HTTP requests: the answer gets the headers of the request's trace, and spans say what took time."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPMethod

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumers.common.tracing.spans import SpanRecorder
from consumers.common.tracing.trace_context import TraceContext, read_trace_context

_METHODS = frozenset(HTTPMethod)


@dataclass(slots=True)
class RequestSteps:
    """When the engine worked on the texts of one request, in seconds of the monotonic clock; 0: not yet."""

    began: float = 0.0
    ended: float = 0.0

    def add_step(self, began: float, ended: float) -> None:
        """Add a step that answered one of its messages."""
        self.began, self.ended = self.began or began, ended


CURRENT_STEPS: ContextVar[RequestSteps | None] = ContextVar("request_steps", default=None)
"""Of the request that is being served, if its spans are recorded."""


class TraceMiddleware:
    """Copies a valid `traceparent` and `tracestate` to the answer, and records the spans of such a request.

    Args:
        routes: known paths; a span names all others "other".
        spans: records the spans; None: there are none.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: frozenset[str],
        spans: SpanRecorder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._routes = routes
        self._spans = spans
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        headers = scope.get("headers", ()) if scope["type"] in ("http", "websocket") else ()
        trace = read_trace_context([(name.decode("latin-1"), value) for name, value in headers])
        if trace is None:
            return await self._app(scope, receive, send)
        began, status, steps = self._clock(), 500, RequestSteps()

        async def send_traced(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
                status = message.get("status", 101)
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(trace.headers)
            await send(message)

        token = CURRENT_STEPS.set(steps)
        try:
            await self._app(scope, receive, send_traced)
        finally:
            CURRENT_STEPS.reset(token)
            if self._spans is not None:
                self._record(self._spans, trace, scope, status, steps, (began, self._clock()))

    def _record(
        self,
        spans: SpanRecorder,
        trace: TraceContext,
        scope: Scope,
        status: int,
        steps: RequestSteps,
        times: tuple[float, float],
    ) -> None:
        """Record a span of the request, and below it receive, step and publish if the engine worked for it.

        A WebSocket has many steps over its life, so its span has none below it.
        """
        route = scope["path"] if scope["path"] in self._routes else "other"
        method = scope.get("method", "GET")
        method = method if method in _METHODS else "_OTHER"
        attributes = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        request = spans.record(f"{method} {route}", "server", trace, times, attributes)
        if scope["type"] == "http" and steps.ended:
            spans.record("receive", "internal", request, (times[0], steps.began))
            spans.record("step", "internal", request, (steps.began, steps.ended))
            spans.record("publish", "internal", request, (steps.ended, times[1]))
