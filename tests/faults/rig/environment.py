"""Environment of a fault run: a broker, topics of its own, and the progress of the consumer group."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicPartition

from consumers.common.settings import Topics
from consumers.kafka.brokers.apache_kafka import ApacheKafka, apache_kafka
from consumers.kafka.client.clients import admin_client
from consumers.kafka.client.topic_reader import make_topic_consumer
from consumers.kafka.topics.topics import create_topics

PATIENCE = 10.0
"""Seconds to wait for a broker."""


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """A broker, and names that no other run uses.

    Attributes:
        kafka: the broker, if this run started it.
    """

    address: str
    run: str
    partitions: int
    kafka: ApacheKafka | None = None

    @property
    def topics(self) -> Topics:
        """The service's topics."""
        return Topics(
            input=f"{self.run}.updates",
            output=f"{self.run}.revisions",
            dead_letter=f"{self.run}.dead-letters",
            state=f"{self.run}.state",
        )

    async def create_run_topics(self) -> None:
        """Create the topics, as `hearken topics create` does."""
        async with admin_client(self.address, PATIENCE) as admin:
            await create_topics(admin, self.topics, partitions=self.partitions)


@contextmanager
def open_environment(fault: str, partitions: int, broker: str | None) -> Iterator[RunEnvironment]:
    """Start a broker for this run, or make names of its own on a given one.

    Raises:
        OperationFailed: there is no Apache Kafka to start, or it did not start.
    """
    run = f"hearken-{fault}-{uuid.uuid4().hex[:8]}"
    if broker is not None:
        yield RunEnvironment(broker, run, partitions)
        return
    with apache_kafka(partitions=partitions) as kafka:
        yield RunEnvironment(kafka.address, run, partitions, kafka)


class GroupLag:
    """Offsets of the run's group in the input, read without joining the group."""

    def __init__(self, env: RunEnvironment) -> None:
        self._consumer = make_topic_consumer(env.address, env.run)
        self._partitions = [TopicPartition(env.topics.input, number) for number in range(env.partitions)]
        self.committed = 0
        """Messages committed, as last read."""
        self.end = 0
        """Messages in the topic, as last read."""
        self._read = asyncio.Condition()
        """Notified after each reading."""

    def _refresh(self) -> None:
        """Read the offsets; a broker that does not answer changes nothing. Blocks."""
        try:
            end = sum(self._consumer.get_watermark_offsets(x, timeout=5)[1] for x in self._partitions)
            committed = self._consumer.committed(self._partitions, timeout=5)
        except KafkaException:
            return
        self.end = end
        self.committed = sum(max(0, x.offset) for x in committed)

    async def poll_forever(self, every: float = 0.25) -> None:
        """Read the offsets every `every` seconds until cancelled."""
        with closing(self._consumer):
            while True:
                # Shielded: the consumer must not be closed while a thread uses it.
                asking = asyncio.create_task(asyncio.to_thread(self._refresh))
                try:
                    await asyncio.shield(asking)
                except asyncio.CancelledError:
                    await asking
                    raise
                async with self._read:
                    self._read.notify_all()
                await asyncio.sleep(every)

    async def wait_until_committed(self, goal: Callable[[], int], patience: float) -> bool:
        """Wait until `goal()` messages are committed; returns False after `patience` seconds without progress.

        Args:
            goal: called after each reading.
            patience: seconds.
        """
        clock = asyncio.get_running_loop().time
        best, since = self.committed, clock()
        while self.committed < goal():
            if self.committed > best:
                best, since = self.committed, clock()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(since + patience), self._read:
                    await self._read.wait()
            if self.committed == best and clock() - since >= patience:
                return False
        return True
