"""Static files of the live page, read once; no other file can be requested."""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
HEADERS = {"cache-control": "no-cache"}
"""The browser revalidates the page, so that an upgrade of the service takes effect."""

PAGE: dict[str, bytes] = {
    x.name: x.read_bytes()
    for x in sorted((files("consumers.http.live") / "page").iterdir(), key=lambda x: x.name)
    if x.name.rpartition(".")[2] in KINDS
}
"""Contents by file name."""
PATHS = {"index.html": "/", "moderation.html": "/moderation"}
"""Paths of the files that are pages."""


def page_routes() -> list[BaseRoute]:
    """Return the routes of the pages and of the files that they load."""
    return [_file_route(PATHS.get(name, f"/page/{name}"), name) for name in PAGE]


def _file_route(path: str, name: str) -> BaseRoute:
    kind = KINDS[name.rpartition(".")[2]]

    async def give(request: Request) -> Response:
        return Response(PAGE[name], media_type=kind, headers=HEADERS)

    return Route(path, give)
