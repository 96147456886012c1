"""Authentication of requests: token, cookie, ticket, Host and Origin.

If a token is set, every path except health, metrics and login needs it: as `Authorization: Bearer TOKEN`, or as the
cookie that the login sets. Browsers cannot set that header for a WebSocket, but they do send the cookie. A token in an
address or a subprotocol would end up in logs and histories, so it is not accepted there. The exception is the key of
Perspective's clients, `?key=` or `x-goog-api-key`, on the paths that imitate that service only. A page of another site
opens a WebSocket with a ticket (consumers/http/guard/tickets.py), which is worthless once it was used.

Without a token the service listens on loopback only, but a web page open in a browser of this machine could still reach
it: by its address, or by a name of the page's own that resolves to loopback (DNS rebinding). Therefore the Host must be
a name of this machine, and an Origin must be that of our own pages or one that the operator allows. The cookie counts
for our own pages only.
"""

import hmac
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from consumers.http.guard.open_connections import client_network
from consumers.http.guard.problem import problem
from consumers.http.guard.tickets import Tickets
from consumers.http.guard.wrong_tokens import WrongTokens
from consumers.http.ops.traffic import HttpTraffic, RefusalReason
from consumers.http.settings import HttpSettings

PROBE_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths of those who watch over the service. They are answered when all limits are reached."""
LOGIN_PATH = "/login"
DISCOVERY_PATHS = ("/$discovery/rest", "/discovery/v1/apis/commentanalyzer/v1alpha1/rest")
BATCH_PATHS = ("/batch", "/batch/commentanalyzer/v1alpha1")
"""Paths of batches, which need no token: each request inside shows its own."""
PUBLIC_PATHS = PROBE_PATHS | {LOGIN_PATH, *DISCOVERY_PATHS, *BATCH_PATHS}
"""Paths that need no token, because they expose no session and no text."""
KEY_PATH_SUFFIXES = ("/comments:analyze", "/comments:suggestscore")
COOKIE = "hearken"
COOKIE_SECONDS = 7 * 24 * 3600
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_TOKEN = "hearken_token"
_CHALLENGE = 'Bearer realm="hearken"'
"""With a realm: Python's httplib2, which Google's client uses, cannot parse a challenge without any parameter."""


class AuthMiddleware:
    """Refuses unauthorised requests before their bodies are read."""

    def __init__(
        self,
        app: ASGIApp,
        settings: HttpSettings,
        traffic: HttpTraffic,
        tickets: Tickets,
        wrong_tokens: WrongTokens,
    ) -> None:
        self._app = app
        self._tokens = settings.tokens
        self._hosts = _LOOPBACK_NAMES | {settings.host.strip("[]").lower()}
        self._origins = frozenset(settings.allow_origins)
        self._traffic = traffic
        self._tickets = tickets
        self._wrong_tokens = wrong_tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        await (self._refuse(HTTPConnection(scope)) or self._app)(scope, receive, send)

    def _refuse(self, request: HTTPConnection) -> Response | None:
        hosts, origins = request.headers.getlist("host"), request.headers.getlist("origin")
        if len(hosts) != 1 or not (self._tokens or _host_name(hosts[0]) in self._hosts):
            return self._refusal(403, "wrong_host", "the Host header must be a name of this machine, such as localhost")
        is_own = all(_origin_host(origin) == hosts[0].lower() for origin in origins)
        if not is_own and not ("*" in self._origins or self._origins.issuperset(origins)):
            detail = "requests from pages of other sites are refused; the operator can allow one with --allow-origin"
            return self._refusal(403, "wrong_origin", detail)
        if not self._tokens or request.scope["path"] in PUBLIC_PATHS:
            return None
        return self._refuse_stranger(request, is_own)

    def _refuse_stranger(self, request: HTTPConnection, is_own: bool) -> Response | None:
        """Refuse a request that does not show a token, or a wrong one."""
        address = client_network(request.client.host) if request.client else ""
        shown = [x for x in _shown_secrets(request) if x]
        if shown and (seconds := self._wrong_tokens.seconds_to_wait(address)):
            return self._wait(seconds)
        number = self._find_token(request, shown, is_own)
        if number is not None:
            request.scope.setdefault("state", {})[_TOKEN] = number
            if shown:
                self._wrong_tokens.accept(address)
            return None
        if shown:
            if seconds := self._wrong_tokens.reject(address):
                return self._wait(seconds)
        elif request.scope["type"] == "http" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        detail = "send Authorization: Bearer with the token that the service was given as HEARKEN_HTTP_TOKEN"
        reason: RefusalReason = "wrong_token" if shown else "no_token"
        return self._refusal(401, reason, detail, {"www-authenticate": _CHALLENGE})

    def _find_token(self, request: HTTPConnection, shown: list[str], is_own: bool) -> int | None:
        """Return the number of the token that a request shows, or that signed its cookie or ticket."""
        cookie = request.cookies.get(COOKIE, "") if is_own else ""
        for number, token in enumerate(self._tokens):
            if any(equals_secret(x, token) for x in shown) or is_valid_cookie(cookie, token, time.time()):
                return number
        if request.scope["type"] == "websocket" and (ticket := request.query_params.get("ticket")):
            return self._tickets.redeem(ticket)
        return None

    def _wait(self, seconds: float) -> Response:
        detail = f"too many wrong tokens came from this address; try again in {seconds:.0f} seconds"
        return self._refusal(429, "wait_after_wrong_tokens", detail, {"retry-after": f"{seconds:.0f}"})

    def _refusal(
        self, status: int, reason: RefusalReason, detail: str, headers: dict[str, str] | None = None
    ) -> Response:
        self._traffic.refuse(reason)
        return problem(status, reason, detail, headers)


def token_number(scope: Scope) -> int | None:
    """Return the number of the token with which a request passed `AuthMiddleware`; None without one."""
    number: int | None = scope.get("state", {}).get(_TOKEN)
    return number


def _shown_secrets(request: HTTPConnection) -> Iterator[str]:
    """Yield what a request shows as its token."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield shown.strip()
    if request.scope["path"].endswith(KEY_PATH_SUFFIXES):
        yield request.query_params.get("key", "")
        yield request.headers.get("x-goog-api-key", "")


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
