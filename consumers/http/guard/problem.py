"""Error responses: a stable code, and a line that says what to do. On the paths that imitate Perspective's API they
have the form of Google's errors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumers.http.guard.headers import SECURITY_HEADERS

CLIENT_GONE = 499
"""Status in metrics and the access log of requests whose client has gone (nginx has it too)."""
GOOGLE_PATHS = ("/v1alpha1/", "/v1/comments:", "/$discovery/", "/discovery/", "/batch")
"""Beginnings of the paths with Google's errors."""
_GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_GOOGLE_REASONS = {401: "API_KEY_INVALID", 429: "RATE_LIMIT_EXCEEDED"}
"""Reasons that Google's clients know."""
_GOOGLE_BEGINNINGS = {401: "API key not valid. Please pass a valid API key.", 429: "Quota exceeded:"}
_ERROR_CODES = {404: "not_found", 405: "method_not_allowed", 500: "internal"}


def problem(status: int, error: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Make an error response.

    Args:
        error: stable code, such as `too_large`.
        detail: a line for a person; never quotes the request.
    """
    return JSONResponse({"error": error, "detail": detail}, status, headers)


def google_problem(
    code: int,
    message: str,
    details: Sequence[Any] = (),
    headers: Mapping[str, str] | None = None,
    status: str | None = None,
) -> JSONResponse:
    """Make an error response in the form of Google's services.

    Args:
        code: HTTP status.
        message: a line for a person; never quotes the text of the request.
        details: objects that say more.
        status: Google's name of the error; by default that of the code.
    """
    error = {"code": code, "message": message, "status": status or _GOOGLE_STATUS.get(code, "UNKNOWN")}
    return JSONResponse({"error": error | ({"details": list(details)} if details else {})}, code, headers)


class GoogleErrorsMiddleware:
    """Gives errors that `problem` made the form of Google's on the paths that imitate Perspective's API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or not scope["path"].startswith(GOOGLE_PATHS):
            return await self._app(scope, receive, send)
        start: Message | None = None
        body = b""

        async def send_error(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and message["status"] >= 400:
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    response = _to_google(start, body)
                    start = None
                    await response(scope, receive, send)

        await self._app(scope, receive, send_error)


def _to_google(start: Message, body: bytes) -> Response:
    """Return an error response in Google's form; it stays as it is if it has that form, or is none of ours."""
    code = start["status"]
    try:
        given = msgspec.json.decode(body)
    except msgspec.DecodeError:
        given = None
    response = Response(body, code)
    dropped: tuple[bytes, ...] = (b"content-length",)
    if isinstance(given, dict) and isinstance(given.get("error"), str):
        reason = _GOOGLE_REASONS.get(code)
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "googleapis.com"}
        details = [{**info, "reason": reason or given["error"].upper()}]
        message = f"{_GOOGLE_BEGINNINGS.get(code, '')} {given['detail']}".strip()
        response = google_problem(code, message, details)
        dropped = (b"content-length", b"content-type")
    added = response.raw_headers
    response.raw_headers = [x for x in start["headers"] if x[0].lower() not in dropped]
    response.raw_headers += [x for x in added if x[0] in dropped]
    return response


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
    detail = error.detail
    if given is None and error.status_code == 404:
        detail = "there is no such path; GET /openapi.json describes all"
    elif given is None and error.status_code == 405:
        methods = {name.lower(): value for name, value in (error.headers or {}).items()}.get("allow", "another method")
        detail = f"this path takes {methods}"
    return problem(error.status_code, code, detail, error.headers)


async def on_disconnect(request: Request, error: Exception) -> Response:
    """End a request whose client has gone before its body was complete; nobody reads the response."""
    return problem(CLIENT_GONE, "client_gone", "the client has closed the connection")


async def on_failure(request: Request, error: Exception) -> Response:
    """Answer an unexpected exception without details, which are in the log.

    This response is made outside the middleware, so it sets the security headers itself.
    """
    detail = "the request failed; the service's log says why"
    if request.url.path.startswith(GOOGLE_PATHS):
        return google_problem(500, detail, headers=SECURITY_HEADERS)
    return problem(500, "internal", detail, SECURITY_HEADERS)
