"""An answer is written once an iteration of the event loop, in order, and before the connection closes."""

import asyncio

from consumers.http.guard.http_protocol import CorkedTransport


class Recorder:
    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.seen.append(data)

    def close(self) -> None:
        self.seen.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.seen


async def test_what_is_written_together_is_sent_together() -> None:
    inner = Recorder()
    corked = CorkedTransport(inner, asyncio.get_running_loop())
    for part in (b"head", b"", b"body"):
        corked.write(part)
    assert inner.seen == []
    await asyncio.sleep(0)
    assert inner.seen == [b"headbody"]
    corked.write(b"more")
    assert not corked.is_closing()
    corked.close()
    await asyncio.sleep(0)
    assert inner.seen == [b"headbody", b"more", b"closed"]
