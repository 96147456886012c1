"""The application: routes of all modules, behind what every request has to pass."""

from starlette.applications import Starlette

from consumers.http import health
from consumers.http.context import Context

PARTS = (health,)
"""Modules with `routes(context) -> list[BaseRoute]`; a first route that fits is taken."""


def build_app(context: Context) -> Starlette:
    """Make the application.

    A test without a socket names the host as a browser would: `httpx.AsyncClient(transport=httpx.ASGITransport(app),
    base_url="http://localhost")`.
    """
    return Starlette(routes=[route for part in PARTS for route in part.routes(context)])
