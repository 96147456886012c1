"""Sends messages: at a pace, in order, and never far ahead of the workers."""

import asyncio
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import msgspec
from aiokafka import AIOKafkaProducer

from consumers.kafka.client.security import aiokafka_options
from stream.messages.types import Message
from tests.faults.rig.environment import Lag, Place
from tests.faults.workload.dictation import Dictation
from tests.faults.workload.sessions import Speech

BATCH = 500
"""Messages on their way to the broker at most."""


class Feeder:
    """The source of a run's input.

    Args:
        place: where to.
        lag: tells how far the workers are behind.
        backlog: so far they may be.
        patience: seconds for which nothing need move.
    """

    def __init__(self, place: Place, lag: Lag, backlog: int, patience: float) -> None:
        self._place = place
        self._lag = lag
        self._backlog = backlog
        self._patience = patience
        # Idempotent: a broker that is killed must not make us change the order.
        self._producer = AIOKafkaProducer(
            bootstrap_servers=place.address,
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

    async def __aenter__(self) -> "Feeder":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, message: Message) -> None:
        """Send a message as a good source does."""
        await self.send_raw(message.session.encode(), msgspec.json.encode(message), message.session)

    async def send_raw(self, key: bytes | None, value: bytes | None, session: str) -> None:
        """Send anything, to the partition where the session lives."""
        partition = crc32(session.encode()) % self._place.partitions
        self._acks.append(await self._producer.send(self._place.topics.input, value, key=key, partition=partition))
        self.sent += 1
        if len(self._acks) >= BATCH:
            await self.flush()

    async def send_all(self, messages: Iterable[Message]) -> None:
        """Send as fast as the backlog allows, and wait for the broker."""
        for message in messages:
            await self.wait_for_room()
            await self.send(message)
        await self.flush()

    async def flush(self) -> None:
        """Wait until the broker has everything; an idempotent producer tries for ever, we do not.

        Raises:
            TimeoutError: it has not.
        """
        acks, self._acks = self._acks, []
        async with asyncio.timeout(self._patience):
            await asyncio.gather(*acks)

    async def run(self, speech: Speech | Dictation, rate: float) -> None:
        """Send at `rate` messages a second until `stopping` is set; then close what is open."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while not self.stopping.is_set():
            await self.flowing.wait()
            await self.send(speech.next())
            await self.wait_for_room()
            due = max(due + 1 / rate, clock() - 1.0)  # what was missed long ago is not made up for
            if due > clock():
                await asyncio.sleep(due - clock())
        await self.send_all(speech.close())

    async def wait_for_room(self) -> None:
        """Wait while the workers are too far behind. When they do nothing at all any more, nothing is waited for."""
        if self.stopping.is_set() or self.sent - self._lag.committed < self._backlog:
            return
        wanted = self.sent - self._backlog + 1
        if not await self._lag.reach(lambda: 0 if self.stopping.is_set() else wanted, self._patience):
            self.stopping.set()
