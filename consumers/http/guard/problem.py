"""How an error is told over HTTP: a short code that stays, and a line that says what to do."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from consumers.http.guard.headers import HEADERS

_CODES = {404: "not_found", 405: "method_not_allowed", 408: "too_slow", 413: "too_large", 500: "internal"}


def problem(status: int, error: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Make an error's response.

    Args:
        status: of HTTP.
        error: the code, such as `too_large`.
        detail: a line for a person; it never quotes what was sent.
        headers: more of them.
    """
    return JSONResponse({"error": error, "detail": detail}, status, headers)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Tell what routes and limits raise in the same form."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "refused")
    return problem(error.status_code, code, error.detail, error.headers)


async def on_failure(request: Request, error: Exception) -> Response:
    """Something is wrong with us: the log has it, the caller learns nothing of our insides.

    This is made outside of all else, so it brings its own headers.
    """
    return problem(500, "internal", "the request failed; the service's log says why", HEADERS)
