"""HTTP application: the routes of all endpoints behind the middleware that every request passes."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route, WebSocketRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from consumers.common.tracing.spans import SpanRecorder
from consumers.common.tracing.trace_context import TRACE_HEADERS
from consumers.common.worker_board import WorkerSlot
from consumers.formats.ignored import IgnoredRecords
from consumers.http.api.gateway import Gateway
from consumers.http.api.label import label_routes
from consumers.http.api.openapi import openapi_routes
from consumers.http.api.perspective import (
    CHECKPOINT_HEADER,
    describe_checkpoints,
    offered_attributes,
    perspective_routes,
)
from consumers.http.api.perspective_batch import batch_routes
from consumers.http.api.perspective_discovery import discovery_routes
from consumers.http.api.perspective_suggest import suggest_routes
from consumers.http.api.redact import redact_routes
from consumers.http.api.stream import stream_routes
from consumers.http.guard.auth import AuthMiddleware, token_number
from consumers.http.guard.body_encoding import BodyEncodingMiddleware
from consumers.http.guard.headers import SecurityHeadersMiddleware
from consumers.http.guard.limits import LimitsMiddleware
from consumers.http.guard.login import login_routes
from consumers.http.guard.problem import GoogleErrorsMiddleware, on_disconnect, on_failure, on_http_exception
from consumers.http.guard.tickets import Tickets, ticket_routes
from consumers.http.guard.wrong_tokens import WrongTokens
from consumers.http.live.feed import live_routes
from consumers.http.live.model import LiveModel
from consumers.http.ops.health import health_routes
from consumers.http.ops.metrics import metrics_routes
from consumers.http.ops.request_traces import TraceMiddleware
from consumers.http.ops.timings import StepTimings
from consumers.http.ops.traffic import HttpTraffic, TrafficMiddleware
from consumers.http.settings import HttpSettings
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker


@dataclass(frozen=True, kw_only=True)
class HttpContext:
    """Parts of the process that the routes serve. An endpoint whose part is missing has no route."""

    settings: HttpSettings
    worker: Worker
    service: Service | None = None
    """None where nothing comes from Kafka (`hearken listen`)."""
    timings: StepTimings | None = None
    live: LiveModel | None = None
    slot: WorkerSlot | None = None
    """Slot among several workers of this machine; None for a single one."""
    gateway: Gateway | None = None
    traffic: HttpTraffic = field(default_factory=HttpTraffic)
    ignored: IgnoredRecords | None = None
    """Count of values in which the formats of this process found nothing to label."""
    spans: SpanRecorder | None = None
    """Records the spans of requests that belong to a trace, if that was asked for."""


def build_app(context: HttpContext) -> Starlette:
    """Build the application.

    A test without a socket names the host as a browser would: `httpx.AsyncClient(transport=httpx.ASGITransport(app),
    base_url="http://localhost")`.
    """
    settings, traffic = context.settings, context.traffic
    tickets, wrong_tokens = Tickets(settings.tokens), WrongTokens()
    routes = _routes(context)
    routes += login_routes(settings.tokens, wrong_tokens, traffic)
    routes += ticket_routes(tickets, lambda request: token_number(request.scope))
    paths = frozenset(route.path for route in routes if isinstance(route, Route | WebSocketRoute))
    return Starlette(
        routes=routes,
        middleware=[
            *_proxy_middleware(settings),
            Middleware(TrafficMiddleware, traffic, paths, settings.access_log),
            Middleware(TraceMiddleware, paths, context.spans),
            Middleware(SecurityHeadersMiddleware),
            *_cors_middleware(settings),
            Middleware(GoogleErrorsMiddleware),
            Middleware(AuthMiddleware, settings, traffic, tickets, wrong_tokens),
            Middleware(LimitsMiddleware, settings, traffic),
            Middleware(BodyEncodingMiddleware, settings, traffic),
        ],
        exception_handlers={
            HTTPException: on_http_exception,
            ClientDisconnect: on_disconnect,
            Exception: on_failure,
        },
    )


def _proxy_middleware(settings: HttpSettings) -> Iterator[Middleware]:
    """Yield what replaces a trusted proxy's address by that of its client."""
    if settings.trust_proxies:
        yield Middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trust_proxies))


def _cors_middleware(settings: HttpSettings) -> Iterator[Middleware]:
    """Yield what tells browsers that pages of the allowed origins may read the answers, errors too.

    Cookies are not allowed: such a page shows the token, or has no need to.
    """
    if settings.allow_origins:
        yield Middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=("Retry-After", CHECKPOINT_HEADER, *TRACE_HEADERS),
            max_age=600,
        )


def _routes(context: HttpContext) -> list[BaseRoute]:
    """Return all routes; the first one that matches a request is taken."""
    settings, worker, service, gateway = context.settings, context.worker, context.service, context.gateway
    names = worker.engine.tagger_names
    offered = offered_attributes(names, worker.engine.labeller.text_scores)
    routes = health_routes(worker, settings.stall_seconds, service, context.slot)
    routes += metrics_routes(worker, service, context.timings, context.traffic, context.ignored)
    if context.live is not None:
        routes += live_routes(context.live, worker.engine.stats, service)
    if gateway is not None:
        routes += label_routes(gateway, names)
        routes += redact_routes(gateway, worker.engine)
        model = worker.engine.labeller
        checkpoints = describe_checkpoints(model.passes, model.checkpoints, model.precisions)
        routes += perspective_routes(gateway, offered, settings.drop_unsupported_attributes, checkpoints)
        routes += batch_routes()
        routes += suggest_routes(settings.suggestions_file, offered)
    routes += discovery_routes()
    if gateway is not None:
        received = worker.engine.intake.segments
        routes += stream_routes(
            gateway, received, settings, context.traffic, names, context.ignored, worker.engine.redactor is not None
        )
    return routes + openapi_routes(settings, names, tuple(offered), worker.engine)
