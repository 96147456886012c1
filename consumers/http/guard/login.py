"""Login form for browsers: exchanges the token for a cookie that is valid for a week and hidden from scripts."""

import time
from collections.abc import Sequence
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from consumers.http.guard.auth import COOKIE, COOKIE_SECONDS, equals_secret, make_cookie
from consumers.http.guard.open_connections import client_network
from consumers.http.guard.wrong_tokens import WrongTokens
from consumers.http.ops.traffic import HttpTraffic

_FORM = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Hearken</title>
<link rel="icon" href="data:,">
</head>
<body>
<main>
<h1>Hearken</h1>
<p role="alert">{message}</p>
<form method="post" action="/login">
<label for="token">Token (the service was given it as HEARKEN_HTTP_TOKEN)</label>
<p><input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Enter</button></p>
</form>
</main>
</body>
</html>
"""


def login_routes(tokens: Sequence[str], wrong_tokens: WrongTokens, traffic: HttpTraffic) -> list[BaseRoute]:
    """Return the routes of the login form and its target."""

    def wait(seconds: int) -> Response:
        traffic.refuse("wait_after_wrong_tokens")
        message = f"Too many wrong tokens came from this address. Try again in {seconds} seconds."
        return HTMLResponse(_FORM.format(message=message), 429, {"retry-after": str(seconds)})

    async def show(request: Request) -> Response:
        return HTMLResponse(_FORM.format(message="")) if tokens else RedirectResponse("/", 303)

    async def enter(request: Request) -> Response:
        if not tokens:
            return RedirectResponse("/", 303)
        address = client_network(request.client.host) if request.client else ""
        if seconds := wrong_tokens.seconds_to_wait(address):
            return wait(seconds)
        shown = parse_qs((await request.body()).decode("utf-8", "replace")[:4096]).get("token", [""])[0]
        token = next((x for x in tokens if equals_secret(shown.strip(), x)), None)
        if token is None:
            if seconds := wrong_tokens.reject(address):
                return wait(seconds)
            traffic.refuse("wrong_token")
            return HTMLResponse(_FORM.format(message="That is not the token."), 401)
        wrong_tokens.accept(address)
        response = RedirectResponse("/", 303)
        # The Origin has the scheme that the browser used, also behind a proxy that terminates TLS.
        is_secure = request.headers.get("origin", "").startswith("https:")
        cookie = make_cookie(token, time.time())
        response.set_cookie(COOKIE, cookie, max_age=COOKIE_SECONDS, httponly=True, samesite="strict", secure=is_secure)
        return response

    return [Route("/login", show, methods=["GET"]), Route("/login", enter, methods=["POST"])]
