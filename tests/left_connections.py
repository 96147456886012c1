"""Connections to Kafka that a client left open when it was stopped are closed with the event loop that they belong to.

aiokafka leaves one open if its client is stopped, fenced or cancelled while the connection is being made. What closes
it then is the garbage collector, whose ResourceWarning would fail whichever test happens to run at that time.
"""

import asyncio
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection


@contextmanager
def closed_with_their_loop() -> Iterator[list[str]]:
    """Close what is left whenever an event loop closes; yields a list that gets the test during which that happened."""
    made: weakref.WeakSet[AIOKafkaConnection] = weakref.WeakSet()
    found: list[str] = []
    loop_type = asyncio.SelectorEventLoop
    make, close = AIOKafkaConnection.__init__, loop_type.close

    def make_and_note(connection: AIOKafkaConnection, *args: Any, **options: Any) -> None:
        make(connection, *args, **options)
        made.add(connection)

    def close_all(loop: Any) -> None:
        left = [connection for connection in made if connection._loop is loop and connection.connected()]
        # A connection that is cancelled before it has its writer leaves its transport alone.
        transports = [transport for transport in dict(loop._transports).values() if not transport.is_closing()]
        if (left or transports) and not loop.is_closed() and not loop.is_running():
            found.append(os.environ.get("PYTEST_CURRENT_TEST", ""))
            for connection in left:
                connection.close()
            for transport in transports:
                transport.abort()
            loop.run_until_complete(asyncio.sleep(0.01))  # a transport closes its socket in a later round of the loop
        close(loop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AIOKafkaConnection, "__init__", make_and_note)
        patch.setattr(loop_type, "close", close_all, raising=False)
        yield found
