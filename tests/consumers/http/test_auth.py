"""Who comes in, and what a browser is told to keep out."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from consumers.common.settings import SettingError
from consumers.http.app import build_app
from consumers.http.guard import auth
from consumers.http.settings import HttpSettings, read_http_settings
from tests.consumers.http.sites import TOKEN, asking, make_context

PRIVATE = ["/", "/v1/label", "/v1/live", "/openapi.json", "/page.js", "/nothing", "/healthz/x", "//healthz"]
OPEN = ["/healthz"]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", PRIVATE)
async def test_everything_but_health_and_metrics_needs_the_token(path: str) -> None:
    async with asking(make_context(token=TOKEN), "hearken.example") as client:
        refused = await client.get(path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Bearer realm="hearken"'
        assert refused.json()["error"] == "no_token"
        assert (await client.get(path, headers=bearer(TOKEN))).status_code != 401


@pytest.mark.parametrize("shown", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00e9" * 24])
async def test_a_wrong_token_is_no_token(shown: str) -> None:
    async with asking(make_context(token=TOKEN)) as client:
        header = [(b"authorization", b"Bearer " + shown.encode())]
        assert (await client.get("/v1/label", headers=header)).status_code == 401
        assert (await client.get("/v1/label", headers={"authorization": f"Basic {TOKEN}"})).status_code == 401
        assert (await client.get("/v1/label", params={"token": TOKEN, "key": TOKEN})).status_code == 401


async def test_the_key_of_a_perspective_client_counts_there_only() -> None:
    async with asking(make_context(token=TOKEN)) as client:
        path = "/v1alpha1/comments:analyze"
        assert (await client.post(path)).status_code == 401
        assert (await client.post(path, params={"key": "no"})).status_code == 401
        assert (await client.post(path, params={"key": TOKEN})).status_code != 401


@pytest.mark.parametrize("path", OPEN)
async def test_health_needs_no_token(path: str) -> None:
    async with asking(make_context(token=TOKEN)) as client:
        assert (await client.get(path)).status_code == 200


async def test_a_browser_is_sent_to_the_login_and_comes_back_with_a_cookie() -> None:
    async with asking(make_context(token=TOKEN), "hearken.example") as client:
        sent = await client.get("/", headers={"accept": "text/html,*/*"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
        assert "<form" in (await client.get("/login")).text
        wrong = await client.post("/login", data={"token": "wrong"})
        assert wrong.status_code == 401
        assert not wrong.cookies
        right = await client.post("/login", data={"token": TOKEN}, headers={"origin": "http://hearken.example"})
        assert (right.status_code, right.headers["location"]) == (303, "/")
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie
        assert (await client.get("/nothing")).status_code == 404  # let in; there is nothing
        over_tls = await client.post("/login", data={"token": TOKEN}, headers={"origin": "https://hearken.example"})
        assert "Secure" in over_tls.headers["set-cookie"]


def test_cookies_end_and_cannot_be_made_up() -> None:
    cookie = auth.make_cookie(TOKEN, now=1000)
    until, _, signature = cookie.partition(".")
    assert auth.is_valid_cookie(cookie, TOKEN, now=1001)
    assert not auth.is_valid_cookie(cookie, TOKEN, now=1000 + auth.COOKIE_SECONDS)
    assert not auth.is_valid_cookie(cookie, "another-token-of-24-chars", now=1001)
    for bad in ("", ".", until, f"{int(until) + 1}.{signature}", f"{until}.", f"\u0661.{signature}", "9" * 5000 + ".x"):
        assert not auth.is_valid_cookie(bad, TOKEN, now=1001)


async def test_without_a_token_the_host_must_be_this_machine() -> None:
    for host in ("localhost", "localhost:8477", "127.0.0.1:8477", "[::1]:8477", "LOCALHOST"):
        async with asking(make_context(), host) as client:
            assert (await client.get("/healthz")).status_code == 200, host
    for host in ("evil.example", "localhost.evil.example:8477", "127.0.0.1.evil.example", "[::2]", "10.0.0.1"):
        async with asking(make_context(), host) as client:
            refused = await client.get("/healthz")
            assert (refused.status_code, refused.json()["error"]) == (403, "wrong_host"), host


async def test_two_hosts_are_none() -> None:
    async with asking(make_context()) as client:
        headers = [("host", "localhost"), ("host", "evil.example")]
        assert (await client.get("/healthz", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:1", "null", "http://[", "", "http://localhost.evil.example"]
)
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_pages_of_other_sites_may_not_ask(origin: str, token: str | None) -> None:
    async with asking(make_context(token=token)) as client:
        headers = {"origin": origin, **bearer(TOKEN)}
        assert (await client.post("/v1/label", headers=headers)).json()["error"] == "wrong_origin"
        headers["origin"] = "http://localhost"
        assert (await client.post("/v1/label", headers=headers)).status_code == 404


def test_websockets_pass_the_same_door() -> None:
    client = TestClient(build_app(make_context(token=TOKEN)), base_url="http://localhost")
    for headers in ({}, {"origin": "http://evil.example", **bearer(TOKEN)}):
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/v1/live", headers=headers):
            pass
        assert refused.value.status_code in (401, 403)


async def test_every_answer_tells_browsers_to_load_nothing_foreign() -> None:
    async with asking(make_context(token=TOKEN)) as client:
        for path in ("/healthz", "/login", "/v1/label", "/nothing"):
            headers = (await client.get(path)).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"https?:|\*", policy)
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"


def test_what_strangers_can_reach_needs_a_token() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.0.0.7"):
        assert HttpSettings(host=host).token is None
    for host in ("0.0.0.0", "::", "192.0.2.7", "hearken.example"):
        with pytest.raises(SettingError, match="HEARKEN_HTTP_TOKEN"):
            HttpSettings(host=host)
        assert TOKEN not in repr(HttpSettings(host=host, token=TOKEN))


@pytest.mark.parametrize("token", ["short", "", " " * 24, "caf\u00e9-caf\u00e9-caf\u00e9-caf\u00e9", "a" * 20 + "\n"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(SettingError) as error:
        HttpSettings(token=token)
    assert not token.strip() or token not in str(error.value)


def test_settings_are_read_from_flags_and_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HEARKEN_HTTP_TOKEN", raising=False)
    assert read_http_settings("127.0.0.1", "off") is None
    default = read_http_settings("127.0.0.1", None)
    assert default == HttpSettings(port_given=False)
    monkeypatch.setenv("HEARKEN_HTTP_TOKEN", TOKEN)
    assert read_http_settings("0.0.0.0", "80") == HttpSettings(host="0.0.0.0", port=80, token=TOKEN)
    file = tmp_path / "token"
    file.write_text("another-token-of-24-chars\n")
    chosen = read_http_settings("0.0.0.0", "80", file)
    assert chosen is not None
    assert chosen.token == "another-token-of-24-chars"
    for port in ("-1", "65536", "http", "\u0661"):
        with pytest.raises(SettingError, match="--http-port"):
            read_http_settings("127.0.0.1", port)
    with pytest.raises(SettingError, match="cannot be read"):
        read_http_settings("127.0.0.1", None, tmp_path / "none")


def test_comparing_takes_any_text() -> None:
    assert not auth.equals_secret("\ud800", TOKEN)
