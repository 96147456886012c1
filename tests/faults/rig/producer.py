"""Producer of a fault run: sends messages at a rate, in order, and never far ahead of the workers."""

import asyncio
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import msgspec
from aiokafka import AIOKafkaProducer

from consumers.kafka.client.security import aiokafka_options
from stream.messages.types import Message
from tests.faults.rig.environment import GroupLag, RunEnvironment
from tests.faults.workload.dictation import Dictation
from tests.faults.workload.sessions import SyntheticSessions

BATCH = 500
"""Most messages that are not acknowledged."""


class LoadProducer:
    """Producer of a run's input.

    Args:
        env: with the input topic.
        lag: offsets of the workers' group.
        backlog: most messages sent and not committed.
        patience: seconds for which nothing need move.
    """

    def __init__(self, env: RunEnvironment, lag: GroupLag, backlog: int, patience: float) -> None:
        self._env = env
        self._lag = lag
        self._backlog = backlog
        self._patience = patience
        # Idempotent, so that a killed broker cannot change the order.
        self._producer = AIOKafkaProducer(
            bootstrap_servers=env.address,
            enable_idempotence=True,
            max_request_size=1 << 21,
            linger_ms=5,
            **aiokafka_options(),
        )
        self._acks: list[asyncio.Future[Any]] = []
        self.sent = 0
        self.stopping = asyncio.Event()
        self.flowing = asyncio.Event()
        """Clear while the sources pause."""
        self.flowing.set()

    async def __aenter__(self) -> "LoadProducer":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, message: Message) -> None:
        """Send a message with its session as the key."""
        await self.send_raw(message.session.encode(), msgspec.json.encode(message), message.session)

    async def send_raw(self, key: bytes | None, value: bytes | None, session: str) -> None:
        """Send any record to the session's partition."""
        partition = crc32(session.encode()) % self._env.partitions
        self._acks.append(await self._producer.send(self._env.topics.input, value, key=key, partition=partition))
        self.sent += 1
        if len(self._acks) >= BATCH:
            await self.flush()

    async def send_all(self, messages: Iterable[Message]) -> None:
        """Send as fast as the backlog allows, and wait for acknowledgements."""
        for message in messages:
            await self.wait_for_backlog()
            await self.send(message)
        await self.flush()

    async def flush(self) -> None:
        """Wait until everything is acknowledged, for a limited time (an idempotent producer retries without end).

        Raises:
            TimeoutError: it has not.
        """
        acks, self._acks = self._acks, []
        async with asyncio.timeout(self._patience):
            await asyncio.gather(*acks)

    async def send_at_rate(self, source: SyntheticSessions | Dictation, rate: float) -> None:
        """Send at `rate` messages a second until `stopping` is set; then close all open segments."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while not self.stopping.is_set():
            await self.flowing.wait()
            await self.send(source.next_message())
            await self.wait_for_backlog()
            due = max(due + 1 / rate, clock() - 1.0)  # a delay of more than a second is not caught up
            if due > clock():
                await asyncio.sleep(due - clock())
        await self.send_all(source.close_segments())

    async def wait_for_backlog(self) -> None:
        """Wait while the backlog is full and the workers make progress."""
        if self.stopping.is_set() or self.sent - self._lag.committed < self._backlog:
            return
        wanted = self.sent - self._backlog + 1
        if not await self._lag.wait_until_committed(lambda: 0 if self.stopping.is_set() else wanted, self._patience):
            self.stopping.set()
