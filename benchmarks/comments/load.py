"""Load on `comments:analyze`: comments of one length over connections that stay open."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from consumers.common.errors import OperationFailed

MOST_WAITING = 128
"""Connections of a load at a rate; comments beyond them wait, which counts."""
ATTRIBUTES = ("TOXICITY", "INSULT", "THREAT")


def make_request(text: str, attributes: Sequence[str] = ATTRIBUTES) -> bytes:
    """Write the request of one comment as HTTP/1.1."""
    asked = {"comment": {"text": text}, "requestedAttributes": {x: {} for x in attributes}, "doNotStore": True}
    body = msgspec.json.encode(asked)
    head = "POST /v1alpha1/comments:analyze?key=any HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """One connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> None:
        """Send one request and read its answer.

        Raises:
            OperationFailed: the answer is an error.
        """
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        body = await self._reader.readexactly(size)
        if not head.startswith(b"HTTP/1.1 200"):
            raise OperationFailed(f"the service answered {body[:200]!r}")

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def connect_many(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """Open connections for the block."""
    opened = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(count)]
    try:
        yield opened
    finally:
        await asyncio.gather(*(connection.close() for connection in opened))


async def ask_without_pause(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> list[float]:
    """Let each connection ask again as soon as it is answered; returns the seconds of each answer."""
    found: list[float] = []
    until = time.perf_counter() + seconds

    async def ask(connection: Connection, number: int) -> None:
        while (began := time.perf_counter()) < until:
            await connection.ask(requests[number % len(requests)])
            found.append(time.perf_counter() - began)
            number += connections

    async with connect_many(port, connections) as opened:
        await asyncio.gather(*(ask(x, i) for i, x in enumerate(opened)))
    return found


async def ask_at_rate(port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int = 5) -> list[float]:
    """Ask `rate` times a second, at random moments (Poisson), whatever waits; returns seconds from the due time on."""
    rng, loop = random.Random(seed), asyncio.get_running_loop()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    found: list[float] = []

    async def ask(due: float, request: bytes) -> None:
        connection = await free.get()
        await connection.ask(request)
        found.append(loop.time() - due)
        free.put_nowait(connection)

    async with connect_many(port, MOST_WAITING) as opened:
        for connection in opened:
            free.put_nowait(connection)
        due, until = loop.time(), loop.time() + seconds
        asking: list[asyncio.Task[None]] = []
        while due < until:
            if (pause := due - loop.time()) > 0:
                await asyncio.sleep(pause)
            asking.append(asyncio.create_task(ask(due, requests[len(asking) % len(requests)])))
            due += rng.expovariate(rate)
        await asyncio.gather(*asking)
    return found
