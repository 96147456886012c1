"""Whatever bytes come over a connection, the service answers the next one and logs no error."""

import asyncio
import random

import httpx
import pytest
from structlog.testing import capture_logs

from tests.consumers.http.gateways import until
from tests.consumers.http.test_full_server import HANDSHAKE, host_port, listening

PIECES = b"""GET / HTTP/1.1
POST /v1/label HTTP/1.1
POST /login HTTP/1.0
host: localhost
content-length: 3
connection: upgrade
upgrade: websocket
transfer-encoding: chunked
content-encoding: gzip
expect: 100-continue

3
abc
0
{}
\xff""".replace(b"\n", b"\r\n").splitlines(keepends=True)
TEXTS = [b"", b"{", b'{"type":"end"}', b"\x03\xe8", b"\x03\xe8\xff", b"\x00\x01", b"\xff" * 100, b"x" * 200]


def random_frame(source: random.Random) -> bytes:
    """A frame of any kind, most of them valid."""
    opcode = source.choice([0, 1, 1, 1, 2, 8, 9, 10, 10, 3, 11])
    fin, mask = source.choice([0x80, 0x80, 0x80, 0, 0x90]), source.choice([0x80, 0x80, 0x80, 0])
    text = source.choice(
        [b"", b"{", b'{"type":"end"}', b"\x03\xe8", b"\x03\xe8\xff", b"\x00\x01", b"\xff" * 100, b"x" * 200]
    )
    size = bytes([mask | len(text)]) if len(text) < 126 else bytes([mask | 126]) + len(text).to_bytes(2, "big")
    return bytes([fin | opcode]) + size + (bytes(4) if mask else b"") + text


async def say(address: str, said: bytes, source: random.Random) -> None:
    """Send bytes in two parts and go, in order or not, whatever comes back."""
    reader, writer = await asyncio.open_connection(*host_port(address))
    try:
        if said.startswith(HANDSHAKE[:5]) and source.random() < 0.8:
            head, _, said = said.partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        cut = source.randrange(len(said) + 1)
        writer.write(said[:cut])
        await asyncio.sleep(0)
        writer.write(said[cut:])
        await writer.drain()
        if source.random() < 0.5:
            writer.write_eof()
        await asyncio.sleep(0.005)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("seed", range(4))
async def test_any_bytes(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    source = random.Random(seed)
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    with capture_logs() as logged:
        async with listening() as (address, traffic):
            for _ in range(60):
                path = source.choice([b"/v1/stream", b"/v1/live", b"/v1/stream?format=auto", b"/nothing"])
                frames = HANDSHAKE % path + b"".join(random_frame(source) for _ in range(source.randrange(12)))
                await say(address, frames, source)
                await say(address, b"".join(source.choices(PIECES, k=source.randrange(1, 8))), source)
                await say(address, HANDSHAKE % path + source.randbytes(source.randrange(200)), source)
            await until(lambda: traffic.open_connections.total() == 0)
            async with httpx.AsyncClient() as client:
                answer = await client.post(address + "/v1/label", json={"text": "we met anna"})
                assert answer.status_code == 200
    assert errors == []
    assert [x.getMessage() for x in caplog.records if x.levelname in ("WARNING", "ERROR")] == []
    assert [x for x in logged if x["log_level"] not in ("info", "debug")] == []
