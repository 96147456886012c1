"""Request limits: requests in flight and their rate, of all clients, of one address and of one token; body size, and
the time to receive a body.

The size of a WebSocket message is limited in consumers/http/guard/websocket_protocol.py, the sessions of a connection
in consumers/http/api/caller.py.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from aiolimiter import AsyncLimiter
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumers.http.guard.auth import BATCH_PATHS, LOGIN_PATH, PROBE_PATHS, PUBLIC_PATHS, token_number
from consumers.http.guard.open_connections import client_network
from consumers.http.guard.problem import RequestProblem, problem
from consumers.http.ops.traffic import HttpTraffic, RefusalReason
from consumers.http.settings import HttpSettings

MAX_LOGIN_BYTES = 4096
"""Limit of the body of a login, which anybody may send."""
BATCH_BODIES = 8
"""Limit of a batch, as a multiple of that of other bodies."""
MAX_RATES = 4096
"""Limit of callers whose rate is known; the one that was quiet longest is forgotten first, and starts afresh."""
_CALLER = "hearken_caller"

_Key = str | int
"""What is limited together: an address, or the number of a token."""


class HttpCaller:
    """Who sent a request: an address, and the number of the token that it showed, if any.

    Args:
        limits: counts what all callers have in progress.
    """

    def __init__(self, limits: "CallerLimits", address: str, token: int | None) -> None:
        self._limits = limits
        self.address = address
        self.keys: tuple[_Key, ...] = (address,) if token is None else (address, token)

    @property
    def group(self) -> str:
        """Name of those who share one caller's part of the work: of a token if there are several, else an address."""
        return f"http {self.keys[-1]}"

    @contextmanager
    def hold_texts(self, count: int) -> Iterator[None]:
        """Count texts that wait for their labels inside the block.

        Raises:
            RequestProblem: the address has too many.
        """
        waiting, limit = self._limits.texts, self._limits.settings.address_texts
        if waiting[self.address] + count > limit:
            self._limits.traffic.refuse("too_many_texts")
            detail = f"at most {limit} texts of one address wait for their labels at the same time; send these later"
            raise RequestProblem(429, "too_many_texts", detail, {"retry-after": "1"})
        with _counted(waiting, (self.address,), count):
            yield


class CallerLimits:
    """Requests and WebSockets in flight, waiting texts, and request rates, by caller."""

    def __init__(self, settings: HttpSettings, traffic: HttpTraffic) -> None:
        self.settings = settings
        self.traffic = traffic
        self.in_flight: Counter[_Key] = Counter()
        self.texts: Counter[_Key] = Counter()
        self._rates: OrderedDict[_Key, AsyncLimiter] = OrderedDict()

    def identify(self, scope: Scope) -> HttpCaller:
        """Return who sent a request."""
        client = scope.get("client")
        number = token_number(scope) if self.settings.more_tokens else None
        return HttpCaller(self, client_network(client[0]) if client else "", number)

    async def refuse_rate(self, caller: HttpCaller) -> Response | None:
        """Count a request against its caller's rate; returns an error response if it is beyond it."""
        for key in caller.keys:
            if not await self._within_rate(key):
                return self._refusal(429, "too_many_requests", "too many requests a second; send fewer, or later")
        return None

    def refuse_busy(self, caller: HttpCaller, total: int) -> Response | None:
        """Return an error response if there are too many requests in flight.

        Args:
            total: requests and WebSockets in flight of all callers.
        """
        if total >= self.settings.max_connections:
            return self._refusal(503, "busy", "too many requests at once; try again later")
        for key in caller.keys:
            is_token = isinstance(key, int)
            limit = self.settings.token_limit if is_token else self.settings.address_connections
            if self.in_flight[key] >= limit:
                reason: RefusalReason = "token_busy" if is_token else "address_busy"
                what = "with this token" if is_token else "from this address"
                return self._refusal(429, reason, f"at most {limit} requests and WebSockets at once {what}")
        return None

    async def _within_rate(self, key: _Key) -> bool:
        rate = self.settings.requests_per_second
        if not rate:
            return True
        limiter = self._rates.get(key)
        if limiter is None:
            if len(self._rates) >= MAX_RATES:
                self._rates.popitem(last=False)
            limiter = self._rates[key] = AsyncLimiter(max(1.0, rate), max(1.0, rate) / rate)
        self._rates.move_to_end(key)
        if not limiter.has_capacity():
            return False
        await limiter.acquire()  # does not wait
        return True

    def _refusal(self, status: int, reason: RefusalReason, detail: str) -> Response:
        self.traffic.refuse(reason)
        rate = self.settings.requests_per_second
        seconds = max(1, round(1 / rate)) if reason == "too_many_requests" else 1
        return problem(status, reason, detail, {"retry-after": str(seconds)})


class LimitsMiddleware:
    """Refuses requests beyond the limits; health and metrics are answered even when a limit is reached."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, traffic: HttpTraffic) -> None:
        self._app = app
        self._settings = settings
        self._traffic = traffic
        self._limits = CallerLimits(settings, traffic)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            receive = self._limit_body(scope, receive)
        path = scope.get("path")
        if scope["type"] not in ("http", "websocket") or path in PROBE_PATHS:
            return await self._app(scope, receive, send)
        caller = self._limits.identify(scope)
        refusal = await self._limits.refuse_rate(caller)
        if refusal is None and path not in PUBLIC_PATHS:  # strangers must not take the places of those with a token
            refusal = self._limits.refuse_busy(caller, self._in_flight)
        if refusal or path in PUBLIC_PATHS:
            return await (refusal or self._app)(scope, receive, send)
        scope.setdefault("state", {})[_CALLER] = caller
        self._in_flight += 1
        try:
            with _counted(self._limits.in_flight, caller.keys, 1):
                await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1

    def _limit_body(self, scope: Scope, receive: Receive) -> Receive:
        """Wrap `receive`: refuse a body that is too large, whatever its content-length says, or too slow."""
        limit, seconds = body_limit(self._settings, scope["path"]), self._settings.request_seconds
        content_length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        until = asyncio.get_running_loop().time() + seconds
        size, complete = 0, False

        async def receive_some() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()  # the body is complete; the next message is the disconnect
            if content_length.isdigit() and int(content_length[:20]) > limit:
                raise too_large(limit, self._traffic)
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                self._traffic.refuse("too_slow")
                detail = f"a body must arrive within {seconds:g} seconds"
                raise RequestProblem(408, "too_slow", detail, _CLOSE) from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > limit:
                raise too_large(limit, self._traffic)
            return message

        return receive_some


_CLOSE = {"connection": "close"}


def caller_of(connection: HTTPConnection) -> HttpCaller:
    """Return who sent a request that has passed `LimitsMiddleware`."""
    caller = connection.scope["state"][_CALLER]
    assert isinstance(caller, HttpCaller)
    return caller


def body_limit(settings: HttpSettings, path: str) -> int:
    """Return the limit of a request's body in bytes."""
    if path in BATCH_PATHS:
        return BATCH_BODIES * settings.max_body_bytes
    return min(settings.max_body_bytes, MAX_LOGIN_BYTES) if path == LOGIN_PATH else settings.max_body_bytes


def too_large(limit: int, traffic: HttpTraffic, what: str = "a body") -> RequestProblem:
    """Count and make the error of a body that is too large."""
    traffic.refuse("too_large")
    return RequestProblem(413, "too_large", f"{what} has at most {limit} bytes; send less at once", _CLOSE)


@contextmanager
def _counted(counts: "Counter[_Key]", keys: tuple[_Key, ...], count: int) -> Iterator[None]:
    """Add to the counts of some keys inside the block; keys that are 0 are forgotten."""
    for key in keys:
        counts[key] += count
    try:
        yield
    finally:
        for key in keys:
            counts[key] -= count
            if counts[key] <= 0:
                del counts[key]
