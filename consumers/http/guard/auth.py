"""Who may come in.

Everything but health, metrics and the login needs the token, if there is one: as `Authorization: Bearer TOKEN`, or as
the cookie that the login gives a browser. Browsers cannot set that header for a WebSocket, but they do send the cookie;
a token in an address or a subprotocol would end up in logs and histories, so none is looked for there. (Perspective's
clients are the exception: their `?key=` counts for the paths that imitate that service, and for no other.)

Without a token the service listens to this machine alone, but any web page that somebody has open here could reach it:
by its address, or by a name of its own that it lets point here (DNS rebinding). So the Host has to be one of this
machine's names, and whoever sends an Origin has to be a page of ours.
"""

import hmac
import time
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from consumers.http.guard.problem import problem
from consumers.http.settings import HttpSettings

OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/login", "/$discovery/rest"})
"""Paths that need no token: they tell of nobody's session or text."""
KEYED = "/comments:analyze"
COOKIE = "hearken"
COOKIE_SECONDS = 7 * 24 * 3600
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class AuthMiddleware:
    """Turns away who may not come in, before anything of the request is read."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._token = settings.token
        self._hosts = _LOCAL | {settings.host.strip("[]").lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refusal = self._refuse(HTTPConnection(scope))
        await (refusal or self._app)(scope, receive, send)

    def _refuse(self, request: HTTPConnection) -> Response | None:
        hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        if len(hosts) != 1 or not (self._token or _name(hosts[0]) in self._hosts):
            return problem(403, "wrong_host", "the Host header must be a name of this machine, such as localhost")
        if any(_site(origin) != hosts[0].lower() for origin in origins):
            return problem(403, "wrong_origin", "pages of other sites may not ask here")
        if self._token is None or request.scope["path"] in OPEN or self._knows(request, self._token):
            return None
        if request.scope["type"] == "http" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        detail = "send Authorization: Bearer and the token that the service was given as HEARKEN_HTTP_TOKEN"
        return problem(401, "no_token", detail, {"www-authenticate": "Bearer"})

    def _knows(self, request: HTTPConnection, token: str) -> bool:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and is_same(shown.strip(), token):
            return True
        if request.scope["path"].endswith(KEYED) and is_same(request.query_params.get("key", ""), token):
            return True
        return is_good_cookie(request.cookies.get(COOKIE, ""), token, time.time())


def is_same(shown: str, token: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode())


def make_cookie(token: str, now: float) -> str:
    """What a browser shows instead of the token: when it ends, signed with the token; every instance can check it."""
    until = str(int(now) + COOKIE_SECONDS)
    return f"{until}.{_sign(until, token)}"


def is_good_cookie(cookie: str, token: str, now: float) -> bool:
    """Whether we made it, and it has not ended."""
    until, _, signature = cookie.partition(".")
    if not (until.isascii() and until.isdigit()) or len(until) > 12:
        return False
    return is_same(signature, _sign(until, token)) and int(until) > now


def _sign(until: str, token: str) -> str:
    return hmac.new(token.encode(), b"hearken page until " + until.encode(), "sha256").hexdigest()


def _site(origin: str) -> str:
    """Host and port of an Origin; the scheme is another one where something in front of us has the encryption."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
