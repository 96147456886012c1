"""A TCP proxy between a worker and its brokers that can hold one Produce request, and all other traffic of the worker.

It does what a switch, the move of a virtual machine or TCP's retransmissions do at an inconvenient moment: the network
stands still, nothing is lost, and what was sent arrives later, however long its client has been taken for dead.
"""

import asyncio
from contextlib import suppress

_PRODUCE = b"\0\0"
"""The API key with which the body of a Produce request begins."""
_ERRORS = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)


class HoldingProxy:
    """Forwards Kafka's protocol between a local port and one broker.

    Brokers name their own address in responses, and clients would connect there. So it is replaced by the proxy's,
    which has as many bytes.

    Args:
        broker: `HOST:PORT`, as the broker advertises it.
        topic: Produce requests that name this topic can be held.
    """

    def __init__(self, broker: str, topic: str) -> None:
        self._host, _, port = broker.rpartition(":")
        self._port = int(port)
        self._topic = topic.encode()
        self._armed = False
        self._held = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """`HOST:PORT` for the worker."""
        assert self._server is not None, "started"
        return f"{self._host}:{self._own_port}"

    @property
    def _own_port(self) -> int:
        assert self._server is not None, "started"
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, self._host, 0)

    async def stop(self) -> None:
        """Close all connections."""
        assert self._server is not None, "started"
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def hold_next(self, patience: float) -> bool:
        """Hold the next Produce request to the topic, and all other traffic, until `release`.

        Returns:
            Whether there was such a request within `patience` seconds.
        """
        self._held.clear()
        self._armed = True
        try:
            async with asyncio.timeout(patience):
                await self._held.wait()
        except TimeoutError:
            self._armed = False
            return False
        return True

    def release(self) -> None:
        """Let go on what is held."""
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            to_broker, from_broker = writer, writer
            with suppress(OSError):
                broker_reader, to_broker = await asyncio.open_connection(self._host, self._port)
                up = asyncio.create_task(self._forward(reader, to_broker, requests=True))
                down = asyncio.create_task(self._forward(broker_reader, from_broker, requests=False))
                try:
                    await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
                    # A client that has given up its connection: what it had sent arrives all the same.
                    await self._flowing.wait()
                    await asyncio.wait([up, down], timeout=1.0)
                finally:
                    for one in (up, down):
                        one.cancel()
                    await asyncio.gather(up, down, return_exceptions=True)
            for end in {to_broker, from_broker}:
                end.close()
        finally:
            self._connections.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, requests: bool) -> None:
        host = self._host.encode()
        theirs, ours = host + self._port.to_bytes(4, "big"), host + self._own_port.to_bytes(4, "big")
        with suppress(*_ERRORS):
            while True:
                size = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(size, "big"))
                if requests and self._armed and body[:2] == _PRODUCE and self._topic in body:
                    self._armed = False
                    self._flowing.clear()
                    self._held.set()
                await self._flowing.wait()
                writer.write(size + (body if requests else body.replace(theirs, ours)))
                await writer.drain()
