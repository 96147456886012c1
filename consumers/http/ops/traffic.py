"""HTTP traffic for /metrics and the access log: requests by route, method and status, their duration, open connections,
and refusals by reason.

No label holds anything that a client chose: an unknown path is `other`, and so is an unknown method.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from http import HTTPMethod
from typing import Literal, get_args

import structlog
from prometheus_client import Counter as PrometheusCounter
from prometheus_client import Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = frozenset(HTTPMethod)
_OTHER = "other"

ConnectionKind = Literal["http", "websocket"]
RefusalReason = Literal[
    "wrong_host",
    "wrong_origin",
    "no_token",
    "wrong_token",
    "wait_after_wrong_tokens",
    "busy",
    "address_busy",
    "token_busy",
    "too_many_texts",
    "too_many_requests",
    "bad_request",
    "too_large",
    "too_slow",
    "bad_encoding",
    "unsupported_encoding",
    "no_request",
    "connections_full",
    "not_read",
    "too_many_frames",
    "idle",
]
"""Why a request was refused or a connection ended by the server; docs/watching.md says what each means."""


class HttpTraffic(Collector):
    """Counts of one HTTP server. Use it from the event loop only."""

    def __init__(self) -> None:
        self.open_connections: Counter[str] = Counter({"http": 0, "websocket": 0})
        """Open connections by kind (`ConnectionKind`)."""
        labels = ["route", "method", "status"]
        self._requests = PrometheusCounter(
            "hearken_http_requests", "Answered HTTP requests; 101: WebSockets that ended", labels, registry=None
        )
        self._seconds = Histogram(
            "hearken_http_request_seconds",
            "Seconds from the headers of a request to the end of its answer",
            ["route"],
            registry=None,
            buckets=REQUEST_BUCKETS,
        )
        self._refusals = PrometheusCounter(
            "hearken_http_refusals", "Refused requests and ended connections", ["reason"], registry=None
        )
        for reason in get_args(RefusalReason):
            self._refusals.labels(reason)  # 0 from the start, so that the first refusal is an increase

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request, or a WebSocket that has ended (status 101)."""
        self._requests.labels(route, method, str(status)).inc()
        if status != 101:
            self._seconds.labels(route).observe(seconds)

    def refuse(self, reason: RefusalReason) -> None:
        """Count a refused request or an ended connection."""
        self._refusals.labels(reason).inc()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics without `_created` samples, as `StepTimings` does."""
        for family in (self._requests, self._seconds, self._refusals):
            for metric in family.collect():
                metric.samples = [x for x in metric.samples if not x.name.endswith("_created")]
                yield metric
        gauge = GaugeMetricFamily("hearken_http_connections", "Open connections", labels=["kind"])
        for kind, count in self.open_connections.items():
            gauge.add_metric([kind], count)
        yield gauge


class TrafficMiddleware:
    """Counts requests with their status and duration, and logs them if there is an access log.

    Args:
        routes: known paths; all others count as one.
        access_log: log each request (event `http_request`).
    """

    def __init__(
        self,
        app: ASGIApp,
        traffic: HttpTraffic,
        routes: frozenset[str],
        access_log: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._traffic = traffic
        self._routes = routes
        self._access_log = access_log
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        began, status = self._clock(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self._note(scope, status, self._clock() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path, method = scope["path"], scope.get("method", "GET")
        route = path if path in self._routes else _OTHER
        method = method if method in _METHODS else _OTHER
        self._traffic.count_request(route, method, status, seconds)
        if self._access_log:
            client = scope.get("client")
            address = client[0] if client else None
            log.info(
                "http_request", method=method, route=route, status=status, seconds=round(seconds, 4), address=address
            )
