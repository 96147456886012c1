"""Where a fault test runs: a broker, topics of its own there, and how far the group has come."""

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
class Place:
    """A broker and names that no other run uses.

    Attributes:
        kafka: the broker, where it is ours to kill.
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

    async def make_topics(self) -> None:
        """Make them, as `hearken topics create` does."""
        async with admin_client(self.address, PATIENCE) as admin:
            await create_topics(admin, self.topics, partitions=self.partitions)


@contextmanager
def find_place(fault: str, partitions: int, broker: str | None) -> Iterator[Place]:
    """A new broker of this run's own, or names of its own on a given one.

    Raises:
        OperationFailed: there is no Apache Kafka to start, or it did not come up.
    """
    run = f"hearken-{fault}-{uuid.uuid4().hex[:8]}"
    if broker is not None:
        yield Place(broker, run, partitions)
        return
    with apache_kafka(partitions=partitions) as kafka:
        yield Place(kafka.address, run, partitions, kafka)


class Lag:
    """How far a group has come in a topic; asks without joining. Its calls block: use `watch` on an event loop."""

    def __init__(self, place: Place) -> None:
        self._consumer = make_topic_consumer(place.address, place.run)
        self._partitions = [TopicPartition(place.topics.input, number) for number in range(place.partitions)]
        self.committed = 0
        """Messages done, as last heard."""
        self.end = 0
        """Messages sent, as last heard."""
        self._asked = asyncio.Condition()
        """Told when `committed` was asked for anew."""

    def ask(self) -> None:
        """Ask the broker; one that does not answer changes nothing."""
        try:
            end = sum(self._consumer.get_watermark_offsets(x, timeout=5)[1] for x in self._partitions)
            committed = self._consumer.committed(self._partitions, timeout=5)
        except KafkaException:
            return
        self.end = end
        self.committed = sum(max(0, x.offset) for x in committed)

    async def watch(self, every: float = 0.25) -> None:
        """Ask again and again, for ever."""
        with closing(self._consumer):
            while True:
                # Shielded: the consumer must not be closed while a thread asks with it.
                asking = asyncio.create_task(asyncio.to_thread(self.ask))
                try:
                    await asyncio.shield(asking)
                except asyncio.CancelledError:
                    await asking
                    raise
                async with self._asked:
                    self._asked.notify_all()
                await asyncio.sleep(every)

    async def reach(self, goal: Callable[[], int], patience: float) -> bool:
        """Wait until so many messages are done; False when none was for `patience` seconds.

        Args:
            goal: asked again each time.
            patience: seconds.
        """
        clock = asyncio.get_running_loop().time
        best, since = self.committed, clock()
        while self.committed < goal():
            if self.committed > best:
                best, since = self.committed, clock()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(since + patience), self._asked:
                    await self._asked.wait()
            if self.committed == best and clock() - since >= patience:
                return False
        return True
