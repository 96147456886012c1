"""Exactly once: what a partition's steps ask for, its states and its offsets become visible together or not at all.

One transactional producer for each input partition. Its start (InitProducerId) completes or aborts what a former owner
left and fences it, so it comes before states and offsets are read: aiokafka's transactions carry no group generation,
and only the producer's epoch can shut a former owner out (docs/architecture.md, "Kafka").
"""

import asyncio
import time

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from consumers.kafka.in_flight import OffsetTracker
from consumers.kafka.output.changelog import Ranges, encode_partition, to_ranges
from consumers.kafka.output.partition_writer import (
    Ack,
    PartitionOutput,
    PartitionWriter,
    WriterContext,
    WriteTimes,
    newest,
)

log = structlog.get_logger()


class ExactlyOnce(PartitionWriter):
    """One transaction a group.

    Args:
        partition: of the input.
        progress: its books.
        outbound: see `WriterContext`.
        producer: started, transactional, of this partition alone.
    """

    def __init__(
        self, partition: TopicPartition, progress: OffsetTracker, outbound: WriterContext, producer: AIOKafkaProducer
    ) -> None:
        super().__init__(partition, progress, outbound)
        self._producer = producer
        self._last = 0.0
        self._committed: tuple[int, Ranges] | None = None

    async def gather(self) -> None:
        """Begin at most one transaction every `commit_seconds`: each costs the brokers about 30 ms."""
        await asyncio.sleep(self._last + self._settings.commit_seconds - time.monotonic())

    async def deliver(self, group: list[PartitionOutput]) -> None:
        """Write a group in one transaction.

        Raises:
            KafkaError: it failed or is in doubt: the producer must be replaced, states and offsets read again.
            TimeoutError: likewise.
        """
        self._last = began = time.monotonic()
        done, outgoing = self._finish(group), self._encode(group)
        position, beyond = self.progress.position, to_ranges(self.progress.beyond)
        letters = [x for one in outgoing for x in one.letters]
        revisions = [x for one in outgoing for x in one.revisions]
        entries = newest(outgoing)
        if not (letters or revisions or entries) and self._committed == (position, beyond):
            self._out.delivered(done, [], WriteTimes(began, began, began))
            return
        settings = self._settings
        entries.append(encode_partition(settings.group, self.partition.topic, beyond))
        async with asyncio.timeout(settings.transaction_seconds):
            await self._producer.begin_transaction()
            acks = await self._write(self._producer, letters, entries, revisions)
            try:
                await self._producer.send_offsets_to_transaction({self.partition: position}, settings.group)
                await asyncio.gather(*acks)
                await self._producer.commit_transaction()
            finally:
                _hush(acks)
        self._committed = position, beyond
        wrote = WriteTimes(began, began, time.monotonic())
        self._out.delivered(done, [x for one in outgoing for x in one.causes], wrote)


def _hush(acks: list[Ack]) -> None:
    """One failure is told by the transaction; the others need no line of their own."""
    for ack in acks:
        ack.add_done_callback(lambda done: done.cancelled() or done.exception())
