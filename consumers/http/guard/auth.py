"""Authentication of requests: token, cookie, Host and Origin.

If a token is set, every path except health, metrics and login needs it: as `Authorization: Bearer TOKEN`, or as the
cookie that the login sets. Browsers cannot set that header for a WebSocket, but they do send the cookie. A token in an
address or a subprotocol would end up in logs and histories, so it is not accepted there. The exception is `?key=` of
Perspective's clients, on the paths that imitate that service only.

Without a token the service listens on loopback only, but a web page open in a browser of this machine could still reach
it: by its address, or by a name of the page's own that resolves to loopback (DNS rebinding). Therefore the Host must be
a name of this machine, and an Origin must be that of our own pages.
"""

import hmac
import time
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from consumers.http.guard.problem import problem
from consumers.http.settings import HttpSettings

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/login", "/$discovery/rest"})
"""Paths that need no token, because they expose no session and no text."""
KEY_PATH_SUFFIX = "/comments:analyze"
COOKIE = "hearken"
COOKIE_SECONDS = 7 * 24 * 3600
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class AuthMiddleware:
    """Refuses unauthorised requests before their bodies are read."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._token = settings.token
        self._hosts = _LOOPBACK_NAMES | {settings.host.strip("[]").lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refusal = self._refuse(HTTPConnection(scope))
        await (refusal or self._app)(scope, receive, send)

    def _refuse(self, request: HTTPConnection) -> Response | None:
        hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        if len(hosts) != 1 or not (self._token or _host_name(hosts[0]) in self._hosts):
            return problem(403, "wrong_host", "the Host header must be a name of this machine, such as localhost")
        if any(_origin_host(origin) != hosts[0].lower() for origin in origins):
            return problem(403, "wrong_origin", "requests from pages of other sites are refused")
        if self._token is None or request.scope["path"] in PUBLIC_PATHS or self._has_credentials(request, self._token):
            return None
        if request.scope["type"] == "http" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        detail = "send Authorization: Bearer with the token that the service was given as HEARKEN_HTTP_TOKEN"
        return problem(401, "no_token", detail, {"www-authenticate": "Bearer"})

    def _has_credentials(self, request: HTTPConnection, token: str) -> bool:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and equals_secret(shown.strip(), token):
            return True
        if request.scope["path"].endswith(KEY_PATH_SUFFIX) and equals_secret(
            request.query_params.get("key", ""), token
        ):
            return True
        return is_valid_cookie(request.cookies.get(COOKIE, ""), token, time.time())


def equals_secret(shown: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode())


def make_cookie(token: str, now: float) -> str:
    """Return a cookie: its expiry time, signed with the token, so that every instance can verify it."""
    until = str(int(now) + COOKIE_SECONDS)
    return f"{until}.{_sign(until, token)}"


def is_valid_cookie(cookie: str, token: str, now: float) -> bool:
    """Whether the cookie was signed with the token and has not expired."""
    until, _, signature = cookie.partition(".")
    if not (until.isascii() and until.isdigit()) or len(until) > 12:
        return False
    return equals_secret(signature, _sign(until, token)) and int(until) > now


def _sign(until: str, token: str) -> str:
    return hmac.new(token.encode(), b"hearken page until " + until.encode(), "sha256").hexdigest()


def _origin_host(origin: str) -> str:
    """Host and port of an Origin; the scheme is ignored, because a proxy may terminate TLS."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_name(host: str) -> str:
    """Name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
