"""What is told of HTTP traffic: each request once, by route, and nothing that a client chose."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import websockets
from structlog.testing import capture_logs

from consumers.http.app import build_app
from consumers.http.live.model import LiveModel
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.server import bind_socket, serve_http
from tests.consumers.http.gateways import served, until
from tests.consumers.http.sites import TOKEN, make_context

SECRET = "anna-secret"


def requests(traffic: HttpTraffic) -> dict[tuple[str, str, str], float]:
    """Counts by route, method and status."""
    family = next(x for x in traffic.collect() if x.name == "hearken_http_requests")
    return {(x.labels["route"], x.labels["method"], x.labels["status"]): x.value for x in family.samples}


def timed(traffic: HttpTraffic) -> dict[str, float]:
    family = next(x for x in traffic.collect() if x.name == "hearken_http_request_seconds")
    return {x.labels["route"]: x.value for x in family.samples if x.name.endswith("_count")}


def client(traffic: HttpTraffic, here: Any, **limits: Any) -> httpx.AsyncClient:
    context = make_context(
        worker=here.worker, gateway=here.desk, live=LiveModel(), token=TOKEN, traffic=traffic, limits=limits
    )
    transport = httpx.ASGITransport(build_app(context), client=("192.0.2.1", 7), raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {TOKEN}"}
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


async def test_requests_are_counted_by_route_method_and_status() -> None:
    traffic = HttpTraffic()
    async with served() as here, client(traffic, here) as asking:
        for body in ({"text": "anna"}, {"text": "anna"}, {}):
            await asking.post("/v1/label", json=body)
        await asking.get("/healthz")
        await asking.get("/page/page.js")
        await asking.post("/v1/label", headers={"authorization": ""})
        for path in ("/a", "/v1/label/x", f"/{SECRET}", "/v1/LABEL"):
            await asking.get(path)
        await asking.request("BREW", f"/{SECRET}")
        told = (await asking.get("/metrics")).text
    assert requests(traffic) == {
        ("/v1/label", "POST", "200"): 2,
        ("/v1/label", "POST", "422"): 1,
        ("/v1/label", "POST", "401"): 1,
        ("/healthz", "GET", "200"): 1,
        ("/page/page.js", "GET", "200"): 1,
        ("/metrics", "GET", "200"): 1,
        ("other", "GET", "404"): 4,
        ("other", "other", "404"): 1,
    }
    assert timed(traffic) == {"/v1/label": 4, "/healthz": 1, "/page/page.js": 1, "/metrics": 1, "other": 5}
    assert 'hearken_http_requests_total{method="POST",route="/v1/label",status="200"} 2.0' in told
    assert SECRET not in told
    assert "BREW" not in told


async def test_a_failure_is_counted_as_one() -> None:
    traffic = HttpTraffic()
    async with served() as here, client(traffic, here, access_log=True) as asking:
        here.desk.client = None  # type: ignore[method-assign,assignment]
        with capture_logs() as logged:
            assert (await asking.post("/v1/label", json={"text": "anna"})).status_code == 500
    assert requests(traffic) == {("/v1/label", "POST", "500"): 1}
    assert [x["status"] for x in logged if x["event"] == "http_request"] == [500]


@pytest.mark.parametrize("access_log", [True, False])
async def test_the_access_log_has_the_route_and_nothing_of_what_was_said(access_log: bool) -> None:
    async with served() as here, client(HttpTraffic(), here, access_log=access_log) as asking:
        with capture_logs() as logged:
            await asking.post(f"/v1/label?key={SECRET}", json={"text": SECRET})
            await asking.get(f"/{SECRET}", headers={"user-agent": SECRET, "authorization": f"Bearer {SECRET}"})
    lines = [x for x in logged if x["event"] == "http_request"]
    assert SECRET not in json.dumps(logged)
    assert TOKEN not in json.dumps(logged)
    if not access_log:
        assert lines == []
        return
    assert [{k: x[k] for k in ("method", "route", "status", "address", "log_level")} for x in lines] == [
        {"method": "POST", "route": "/v1/label", "status": 200, "address": "192.0.2.1", "log_level": "info"},
        {"method": "GET", "route": "other", "status": 401, "address": "192.0.2.1", "log_level": "info"},
    ]
    assert all(x["seconds"] >= 0 for x in lines)


async def test_websockets_are_counted_while_they_are_open_and_when_they_end() -> None:
    traffic = HttpTraffic()
    async with served() as here:
        context = make_context(worker=here.worker, gateway=here.desk, traffic=traffic, limits={"access_log": True})
        at = bind_socket(context.settings)
        assert at is not None
        with capture_logs() as logged:
            async with serve_http(build_app(context), at, context.settings, traffic) as address:
                url = address.replace("http", "ws") + "/v1/stream"
                async with websockets.connect(url, proxy=None) as socket, websockets.connect(url, proxy=None):
                    await socket.send("{")
                    await socket.recv()
                    assert traffic.open_connections == {"http": 0, "websocket": 2}
                    assert requests(traffic) == {}
                with pytest.raises(websockets.InvalidStatus):
                    await websockets.connect(url, origin="http://evil.example", proxy=None)  # type: ignore[arg-type]
                await until(lambda: sum(requests(traffic).values()) == 3)
                await until(lambda: traffic.open_connections.total() == 0)
    assert requests(traffic) == {("/v1/stream", "GET", "101"): 2, ("/v1/stream", "GET", "403"): 1}
    assert timed(traffic) == {"/v1/stream": 1}
    lines = [x for x in logged if x["event"] == "http_request"]
    assert sorted(x["status"] for x in lines) == [101, 101, 403]
    assert {x["log_level"] for x in logged} == {"info"}


async def test_durations_are_those_of_the_clock() -> None:
    from consumers.http.ops.traffic import TrafficMiddleware

    now = [0.0]
    traffic = HttpTraffic()

    async def app(scope: Any, receive: Any, send: Callable[[Any], Any]) -> None:
        now[0] += 0.3
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    middleware = TrafficMiddleware(app, traffic, frozenset({"/a"}), clock=lambda: now[0])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="http://localhost") as asking:
        await asking.get("/a")
    family = next(x for x in traffic.collect() if x.name == "hearken_http_request_seconds")
    below = {x.labels["le"]: x.value for x in family.samples if x.name.endswith("_bucket")}
    assert (below["0.25"], below["0.5"]) == (0, 1)
    assert requests(traffic) == {("/a", "GET", "204"): 1}
