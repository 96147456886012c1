"""GET /$discovery/rest: the discovery document from which Google's client libraries build their methods.

With it a program that used such a library for Perspective's API changes the address only.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

PATH = "/$discovery/rest"


def discovery_routes() -> list[BaseRoute]:
    """Return the route of the discovery document."""

    async def discover(request: Request) -> Response:
        return JSONResponse(describe_service(str(request.base_url)))

    return [Route(PATH, discover)]


def describe_service(root: str) -> dict[str, Any]:
    """Return the service's description in Google's discovery format.

    Args:
        root: address under which the client reached the service, ending with a slash.
    """
    methods = {
        "analyze": _describe_method("analyze", "AnalyzeComment", "Scores a comment."),
        "suggestscore": _describe_method("suggestscore", "SuggestCommentScore", "Suggests scores of a comment."),
    }
    # Bodies are JSON objects, which clients pass through unchanged.
    names = [x[part]["$ref"] for x in methods.values() for part in ("request", "response")]
    schemas = {name: {"id": name, "type": "object"} for name in names}
    return {
        "kind": "discovery#restDescription",
        "id": "commentanalyzer:v1alpha1",
        "name": "commentanalyzer",
        "version": "v1alpha1",
        "protocol": "rest",
        "rootUrl": root,
        "servicePath": "",
        "baseUrl": root,
        "parameters": {"key": {"type": "string", "location": "query", "description": "The service's token."}},
        "schemas": schemas,
        "resources": {"comments": {"methods": methods}},
    }


def _describe_method(name: str, message: str, description: str) -> dict[str, Any]:
    path = f"v1alpha1/comments:{name}"
    return {
        "id": f"commentanalyzer.comments.{name}",
        "path": path,
        "flatPath": path,
        "httpMethod": "POST",
        "parameters": {},
        "parameterOrder": [],
        "request": {"$ref": f"{message}Request"},
        "response": {"$ref": f"{message}Response"},
        "description": description,
    }
