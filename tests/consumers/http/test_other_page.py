"""A page of another port in a real browser: it labels a text and opens a stream with a ticket, if it is allowed to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from consumers.http.app import build_app
from consumers.http.server import bind_socket, serve_http
from consumers.http.settings import HttpSettings
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, make_context
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<!doctype html>"
ASK = """async ({address, token}) => {
  const headers = {authorization: `Bearer ${token}`, "content-type": "application/json"};
  const found = [];
  try {
    const body = JSON.stringify({text: "we met anna"});
    const labelled = await fetch(`${address}/v1/label`, {method: "POST", headers, body});
    found.push((await labelled.json()).results[0].fake.spans[0].text);
    const wrong = await fetch(`${address}/v1/label`, {method: "POST", headers: {authorization: "Bearer wrong"}, body});
    found.push((await wrong.json()).error);
  } catch (error) { found.push(error.name); }
  let ticket = "none";
  try {
    ticket = (await (await fetch(`${address}/v1/ticket`, {method: "POST", headers})).json()).ticket;
  } catch (error) { found.push(error.name); }
  for (let tries = 0; tries < 2; tries++) {
    found.push(await new Promise((done) => {
      const stream = new WebSocket(`${address.replace("http", "ws")}/v1/stream?ticket=${ticket}`);
      stream.onopen = () => stream.send(JSON.stringify({type: "update", session: "s", segment: "1", text: "anna"}));
      stream.onmessage = (event) => { done(JSON.parse(event.data).spans[0].text); stream.close(); };
      stream.onerror = () => done("refused");
    }));
  }
  return found;
}"""


@asynccontextmanager
async def other_page() -> AsyncIterator[str]:
    """Serve a page of another site; gives its origin."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGE)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("allowed", "found"),
    [
        (True, ["anna", "wrong_token", "anna", "refused"]),
        (False, ["TypeError", "TypeError", "refused", "refused"]),
    ],
)
async def test_a_page_of_another_port(browser: "Browser", allowed: bool, found: list[str]) -> None:
    async with asyncio.timeout(PATIENCE), other_page() as origin, served() as here:
        limits: dict[str, Any] = {"allow_origins": (origin,)} if allowed else {}
        context = make_context(worker=here.worker, gateway=here.desk, token=TOKEN, limits=limits)
        at = bind_socket(HttpSettings(port=0))
        assert at is not None
        async with serve_http(build_app(context), at, context.settings) as address:
            page = await browser.new_page()
            await page.goto(origin)
            assert await page.evaluate(ASK, {"address": address, "token": TOKEN}) == found
            await page.close()
