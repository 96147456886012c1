"""Error responses: a stable code, and a line that says what to do."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from consumers.http.guard.headers import SECURITY_HEADERS

CLIENT_GONE = 499
"""Status in metrics and the access log of requests whose client has gone (nginx has it too)."""
_ERROR_CODES = {404: "not_found", 405: "method_not_allowed", 500: "internal"}


def problem(status: int, error: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Make an error response.

    Args:
        error: stable code, such as `too_large`.
        detail: a line for a person; never quotes the request.
    """
    return JSONResponse({"error": error, "detail": detail}, status, headers)


class RequestProblem(HTTPException):
    """An error response raised where a body is read, which is inside a route.

    Args:
        error: stable code, such as `too_large`.
        detail: a line for a person; never quotes the request.
    """

    def __init__(self, status: int, error: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.error = error


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Convert exceptions of routes and limits to the same form."""
    assert isinstance(error, HTTPException)
    given = error.error if isinstance(error, RequestProblem) else None
    code = given or _ERROR_CODES.get(error.status_code, "refused")
    return problem(error.status_code, code, error.detail, error.headers)


async def on_disconnect(request: Request, error: Exception) -> Response:
    """End a request whose client has gone before its body was complete; nobody reads the response."""
    return problem(CLIENT_GONE, "client_gone", "the client has closed the connection")


async def on_failure(request: Request, error: Exception) -> Response:
    """Answer an unexpected exception without details, which are in the log.

    This response is made outside the middleware, so it sets the security headers itself.
    """
    return problem(500, "internal", "the request failed; the service's log says why", SECURITY_HEADERS)
