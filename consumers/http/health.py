"""/healthz: does work go on. /readyz: should work be sent here. Neither tells of sessions or texts."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from consumers.http.context import Context


def routes(context: Context) -> list[BaseRoute]:
    """Routes that need no token."""

    async def healthz(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return [Route("/healthz", healthz)]
