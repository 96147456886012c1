"""What tests on Apache Kafka share: whether there is one, names of a test's own, and clients that are closed again."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.kafka.brokers.apache_kafka import find_missing
from tests.waiting import PATIENCE

PARTITIONS = 4

Record = ConsumerRecord[bytes, bytes]


def outside_broker() -> str | None:
    """A running Apache Kafka to test on, from `KAFKA_BOOTSTRAP`."""
    return os.environ.get("KAFKA_BOOTSTRAP") or None


def why_not() -> str | None:
    """Why tests cannot have a broker, in one line; None if they can."""
    return None if outside_broker() else find_missing()


def required() -> bool:
    """In continuous integration a missing broker is a failure."""
    return os.environ.get("HEARKEN_REQUIRE_KAFKA") == "1"


@dataclass(frozen=True, slots=True)
class Place:
    """A broker, and names there that no other test uses."""

    address: str
    run: str

    @property
    def topic(self) -> str:
        """A topic for tests that need one only; to be made with `make_topics`."""
        return f"{self.run}.updates"

    @property
    def output(self) -> str:
        """A second one."""
        return f"{self.run}.revisions"

    @property
    def group(self) -> str:
        return self.run

    def partition(self, number: int = 0) -> TopicPartition:
        return TopicPartition(self.topic, number)

    async def make_topics(self, *names: str, partitions: int = PARTITIONS, **configs: str) -> None:
        """Make topics and wait until they can be used; `configs` with _ for each dot."""
        topics = [
            NewTopic(name, partitions, 1, topic_configs={key.replace("_", "."): x for key, x in configs.items()})
            for name in names or (self.topic, self.output)
        ]
        async with administering(self.address) as admin:
            answer = await admin.create_topics(topics)
        assert [code for _, code, _ in answer.topic_errors] == [0] * len(topics), answer
        # Metadata names leaders before these know about it; who asks for offsets is kept waiting until they do.
        async with asyncio.timeout(PATIENCE), self.consumer() as consumer:
            await consumer.end_offsets([TopicPartition(x.name, number) for x in topics for number in range(partitions)])

    def consumer(self, *topics: str, **options: Any) -> AIOKafkaConsumer:
        """Not started; reads what is there from the beginning, committed records only."""
        return AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self.address,
            **{"auto_offset_reset": "earliest", "isolation_level": "read_committed", "enable_auto_commit": False}
            | options,
        )

    def member(self, *topics: str, **options: Any) -> AIOKafkaConsumer:
        """A member of the group, which notices deaths fast."""
        return self.consumer(
            *topics, **{"group_id": self.group, "session_timeout_ms": 3000, "heartbeat_interval_ms": 200} | options
        )

    def producer(self, **options: Any) -> AIOKafkaProducer:
        """Not started."""
        return AIOKafkaProducer(bootstrap_servers=self.address, **options)

    async def produce(self, values: Iterable[bytes], topic: str | None = None, partition: int = 0) -> None:
        """Plain, acknowledged records on one partition."""
        async with self.producer(acks="all") as producer:
            for value in values:
                await producer.send_and_wait(topic or self.topic, value, partition=partition)

    async def committed(self, partition: TopicPartition) -> int | None:
        """What the group has committed, asked without joining it."""
        async with self.consumer(group_id=self.group) as consumer:
            return await consumer.committed(partition)


def new_place(address: str, test: str) -> Place:
    """Names of a test's own."""
    return Place(address, f"{test[:60]}-{uuid.uuid4().hex[:8]}")


@asynccontextmanager
async def administering(address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def take(consumer: AIOKafkaConsumer, count: int) -> list[Record]:
    """The next so many records, or TimeoutError."""
    found: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=100, max_records=count - len(found))).values():
                found += records
    return found


async def take_all(consumer: AIOKafkaConsumer) -> list[Record]:
    """Everything up to the ends as they are now; for read_committed that is what is stable."""
    partitions = list(consumer.assignment())
    ends = await consumer.end_offsets(partitions)
    found: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
    return found


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Stop a producer that may be fenced or in doubt, and close what its own `stop` then leaves open."""
    stopping = asyncio.create_task(producer.stop())
    await asyncio.wait([stopping], timeout=2)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await producer.client.close()
