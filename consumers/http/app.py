"""The application: routes of all modules, behind what every request has to pass."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from consumers.http.api import label, openapi, stream
from consumers.http.api import perspective as analyze
from consumers.http.api import perspective_discovery as discovery
from consumers.http.context import HttpContext
from consumers.http.guard import login
from consumers.http.guard.auth import AuthMiddleware
from consumers.http.guard.headers import SecurityHeadersMiddleware
from consumers.http.guard.limits import LimitsMiddleware
from consumers.http.guard.problem import on_failure, on_http_exception
from consumers.http.live import feed as live
from consumers.http.ops import health, metrics

PARTS = (
    health,
    metrics,
    login,
    live,
    label,
    analyze,
    discovery,
    stream,
    openapi,
)
"""Modules with `routes(context) -> list[BaseRoute]`; a first route that fits is taken."""


def build_app(context: HttpContext) -> Starlette:
    """Make the application.

    A test without a socket names the host as a browser would: `httpx.AsyncClient(transport=httpx.ASGITransport(app),
    base_url="http://localhost")`.
    """
    return Starlette(
        routes=[route for part in PARTS for route in part.routes(context)],
        middleware=[
            Middleware(SecurityHeadersMiddleware),
            Middleware(AuthMiddleware, context.settings),
            Middleware(LimitsMiddleware, context.settings),
        ],
        exception_handlers={HTTPException: on_http_exception, Exception: on_failure},
    )
