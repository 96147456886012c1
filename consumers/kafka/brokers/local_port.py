"""A port of one's choice for the embedded broker, which takes any free one.

Clients connect to the chosen port only to ask where the broker is; after that they talk to the broker itself. Records
therefore do not pass through here.
"""

import asyncio
import errno
import os
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

from consumers.common.settings import SettingError

HOST = "127.0.0.1"
CHUNK = 1 << 16


@asynccontextmanager
async def forward_port(port: int, address: str) -> AsyncIterator[str]:
    """Forward connections to a port of this machine inside the block; yields its `HOST:PORT`.

    Args:
        port: the port; 0 takes a free one.
        address: `HOST:PORT` to which connections are forwarded.

    Raises:
        SettingError: the port cannot be bound.
    """
    host, _, number = address.rpartition(":")
    running: set[asyncio.Task[None] | None] = set()

    async def forward(reader: StreamReader, writer: StreamWriter) -> None:
        running.add(task := asyncio.current_task())
        try:
            with closing(writer), suppress(OSError, asyncio.CancelledError):
                far_reader, far_writer = await asyncio.open_connection(host, int(number))
                with closing(far_writer):
                    await _copy_both_ways(reader, far_writer, far_reader, writer)
        finally:
            running.discard(task)

    try:
        server = await asyncio.start_server(forward, HOST, port)
    except OSError as error:
        hint = "; another broker may be running, or give another --port" if error.errno == errno.EADDRINUSE else ""
        detail = f"cannot listen at {HOST}:{port} ({os.strerror(error.errno or 0)}){hint}"
        raise SettingError("port", detail) from error
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        tasks = [task for task in running if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy_both_ways(near: StreamReader, to_far: StreamWriter, far: StreamReader, to_near: StreamWriter) -> None:
    """Copy until one side closes its connection."""
    copies = [asyncio.create_task(_copy(near, to_far)), asyncio.create_task(_copy(far, to_near))]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)


async def _copy(source: StreamReader, target: StreamWriter) -> None:
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()
