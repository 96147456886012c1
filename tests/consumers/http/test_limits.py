"""What is too much is turned away, and what watches over the service is answered all the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from consumers.http.guard.body_encoding import BodyEncodingMiddleware
from consumers.http.guard.limits import LimitsMiddleware
from consumers.http.guard.problem import on_http_exception
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.settings import HttpSettings


def make_client(
    traffic: HttpTraffic | None = None, address: str = "192.0.2.1", **limits: Any
) -> tuple[httpx.AsyncClient, asyncio.Event, asyncio.Event]:
    traffic = traffic or HttpTraffic()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def count(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    async def wait(request: Request) -> PlainTextResponse:
        entered.set()
        await leave.wait()
        return PlainTextResponse("done")

    async def healthz(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    app = Starlette(
        routes=[Route("/count", count, methods=["POST"]), Route("/wait", wait), Route("/healthz", healthz)],
        middleware=[
            Middleware(LimitsMiddleware, HttpSettings(**limits), traffic),
            Middleware(BodyEncodingMiddleware, HttpSettings(**limits), traffic),
        ],
        exception_handlers={HTTPException: on_http_exception},
    )
    transport = httpx.ASGITransport(app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost"), entered, leave


async def in_parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_body_up_to_the_limit_is_read() -> None:
    client, _, _ = make_client(max_body_bytes=10)
    assert (await client.post("/count", content=b"x" * 10)).text == "10"
    assert (await client.post("/count", content=in_parts(b"12345", b"67890"))).text == "10"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_larger_one_is_not(announced: bool) -> None:
    client, _, _ = make_client(max_body_bytes=10)
    content = b"x" * 11 if announced else in_parts(b"12345", b"67890", b"1")
    refused = await client.post("/count", content=content)
    assert refused.status_code == 413
    assert refused.json()["error"] == "too_large"
    assert "10 bytes" in refused.json()["detail"]


async def test_a_body_that_never_comes_is_not_waited_for() -> None:
    client, _, _ = make_client(request_seconds=0.01)

    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    refused = await client.post("/count", content=never())
    assert (refused.status_code, refused.json()["error"]) == (408, "too_slow")


async def test_of_too_many_at_once_some_are_told_to_come_back_and_health_is_answered() -> None:
    client, entered, leave = make_client(max_connections=1)
    waiting = asyncio.create_task(client.get("/wait"))
    await entered.wait()
    refused = await client.post("/count", content=b"x")
    assert (refused.status_code, refused.json()["error"], refused.headers["retry-after"]) == (503, "busy", "1")
    assert (await client.get("/healthz")).text == "ok"
    leave.set()
    assert (await waiting).text == "done"
    assert (await client.post("/count", content=b"x")).text == "1"
