"""A broker in memory with one topic of each kind, for what an embedded one cannot show: acknowledgements that wait or
fail, and rebalances. Clients have the few methods that the service uses.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, UnknownTopicOrPartitionError

from consumers.connection import Clients
from consumers.settings import ServiceSettings


@dataclass
class FakeRecord:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


class FakeKafka:
    def __init__(self, partitions: int = 1) -> None:
        self.partitions = partitions
        self.logs: dict[TopicPartition, list[FakeRecord]] = defaultdict(list)
        self.committed: dict[TopicPartition, int] = {}
        self.unacknowledged: list[asyncio.Future[None]] = []
        self.hold = False
        """Whether acknowledgements wait until `acknowledge`."""
        self.too_large = 1 << 20
        self.asked: list[str] = []
        """Topics whose metadata was asked for: brokers that may make topics make them then."""
        self.missing: set[str] = set()
        self.consumer: FakeConsumer | None = None
        self.moved = asyncio.Condition()

    def clients(self) -> Clients:
        return Clients(
            producer=lambda broker: FakeProducer(self), consumer=lambda settings: FakeConsumer(self, settings)
        )

    async def append(
        self, topic: str, value: bytes | None, key: bytes | None = None, partition: int = 0, headers: Any = ()
    ) -> FakeRecord:
        async with self.moved:
            log = self.logs[TopicPartition(topic, partition)]
            log.append(FakeRecord(topic, partition, len(log), key, value, list(headers)))
            self.moved.notify_all()
        return log[-1]

    async def acknowledge(self) -> None:
        self.hold = False
        for future in self.unacknowledged:
            future.set_result(None)
        self.unacknowledged.clear()

    def records(self, topic: str) -> list[FakeRecord]:
        return [record for tp, log in self.logs.items() if tp.topic == topic for record in log]

    async def until(self, condition: Any) -> None:
        """Wait until the condition holds; it is looked at whenever something moves."""
        async with asyncio.timeout(20), self.moved:
            await self.moved.wait_for(condition)


class FakeProducer:
    def __init__(self, kafka: FakeKafka) -> None:
        self.kafka = kafka

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def partitions_for(self, topic: str) -> set[int]:
        self.kafka.asked.append(topic)
        if topic in self.kafka.missing:
            raise UnknownTopicOrPartitionError
        return {0}

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, headers: Any = ()
    ) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.kafka.hold:
            self.kafka.unacknowledged.append(future)
        else:
            future.set_result(None)
        await self.kafka.append(topic, value, key, headers=headers)
        return future


class FakeConsumer:
    def __init__(self, kafka: FakeKafka, settings: ServiceSettings) -> None:
        self.kafka = kafka
        self.positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self.pauses = 0
        self.stopped = False
        kafka.consumer = self

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.topic, self.listener = topics[0], listener
        self._joining = asyncio.create_task(self.rebalance(range(self.kafka.partitions)))

    async def rebalance(self, partitions: Any) -> None:
        """As aiokafka: all partitions are revoked, then the new ones assigned at what is committed."""
        await self.listener.on_partitions_revoked(set(self.positions))
        assigned = {TopicPartition(self.topic, number) for number in partitions}
        self.positions = {tp: self.kafka.committed.get(tp, 0) for tp in assigned}
        self._paused.clear()
        await self.listener.on_partitions_assigned(assigned)
        async with self.kafka.moved:
            self.kafka.moved.notify_all()

    def _fetch(self, limit: int) -> dict[TopicPartition, list[FakeRecord]]:
        found = {}
        for tp, position in self.positions.items():
            records = [] if tp in self._paused else self.kafka.logs[tp][position : position + limit]
            if records:
                found[tp] = records
                self.positions[tp] = records[-1].offset + 1
                limit -= len(records)
            if limit <= 0:
                break
        return found

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[FakeRecord]]:
        if not (found := self._fetch(max_records)) and timeout_ms:
            try:
                async with asyncio.timeout(timeout_ms / 1000), self.kafka.moved:
                    await self.kafka.moved.wait()
            except TimeoutError:
                return {}
            found = self._fetch(max_records)
        return found

    def assignment(self) -> set[TopicPartition]:
        return set(self.positions)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def pause(self, *partitions: TopicPartition) -> None:
        self.pauses += 1
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused.difference_update(partitions)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if not offsets.keys() <= self.positions.keys():
            raise IllegalStateError("not assigned")
        async with self.kafka.moved:
            self.kafka.committed.update(offsets)
            self.kafka.moved.notify_all()

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.kafka.committed.get(partition)
