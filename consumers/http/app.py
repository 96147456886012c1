"""HTTP application: the routes of all endpoints behind the middleware that every request passes."""

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from consumers.common.worker_board import WorkerSlot
from consumers.formats.ignored import IgnoredRecords
from consumers.http.api.gateway import Gateway
from consumers.http.api.label import label_routes
from consumers.http.api.openapi import openapi_routes
from consumers.http.api.perspective import perspective_routes
from consumers.http.api.perspective_discovery import discovery_routes
from consumers.http.api.stream import stream_routes
from consumers.http.guard.auth import AuthMiddleware
from consumers.http.guard.headers import SecurityHeadersMiddleware
from consumers.http.guard.limits import LimitsMiddleware
from consumers.http.guard.login import login_routes
from consumers.http.guard.problem import on_failure, on_http_exception
from consumers.http.live.feed import live_routes
from consumers.http.live.model import LiveModel
from consumers.http.ops.health import health_routes
from consumers.http.ops.metrics import metrics_routes
from consumers.http.ops.timings import StepTimings
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
    ignored: IgnoredRecords | None = None
    """Count of values in which the formats of this process found nothing to label."""


def build_app(context: HttpContext) -> Starlette:
    """Build the application.

    A test without a socket names the host as a browser would: `httpx.AsyncClient(transport=httpx.ASGITransport(app),
    base_url="http://localhost")`.
    """
    return Starlette(
        routes=_routes(context),
        middleware=[
            Middleware(SecurityHeadersMiddleware),
            Middleware(AuthMiddleware, context.settings),
            Middleware(LimitsMiddleware, context.settings),
        ],
        exception_handlers={HTTPException: on_http_exception, Exception: on_failure},
    )


def _routes(context: HttpContext) -> list[BaseRoute]:
    """Return all routes; the first one that matches a request is taken."""
    settings, worker, service, gateway = context.settings, context.worker, context.service, context.gateway
    names = worker.engine.tagger_names
    routes = health_routes(worker, settings.stall_seconds, service, context.slot)
    routes += metrics_routes(worker, service, context.timings, context.ignored) + login_routes(settings.token)
    if context.live is not None:
        routes += live_routes(context.live, worker.engine.stats, service)
    if gateway is not None:
        routes += label_routes(gateway, names) + perspective_routes(gateway, names)
    routes += discovery_routes()
    if gateway is not None:
        routes += stream_routes(gateway, worker.engine.intake.segments, settings.max_sessions, context.ignored)
    return routes + openapi_routes(settings, names)
