"""Exactly once: the revisions, states, dead letters and offsets of a partition become visible together or not at all.

Group commit: a transaction takes all that is waiting and begins as soon as the partition's last one has ended, so with
little load a revision waits for its own transaction alone, and with more the groups grow. `TransactionPace` bounds
what transactions cost the worker and its brokers.

There is one transactional producer for each input partition. Its start (InitProducerId) completes or aborts what a
former owner left and fences that owner, so it comes before states and offsets are read: aiokafka's transactions carry
no group generation, so only the producer's epoch can fence a former owner (docs/architecture.md, Kafka).
"""

import asyncio
import math
import time
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from consumers.kafka.in_flight import OffsetTracker
from consumers.kafka.output.changelog import Ranges, StateLost, encode_partition_record, to_ranges
from consumers.kafka.output.encoded_output import encode_newest
from consumers.kafka.output.partition_writer import (
    Ack,
    PartitionOutput,
    PartitionWriter,
    WriterContext,
    WriteTimes,
)


class TransactionPace:
    """Bounds the rate of one worker's transactions, of all its partitions together; who asks first has the next place.

    A burst of as many as one `longest` has may begin at once (the generic cell rate algorithm, ITU-T I.371). Every
    partition may begin one in each `longest` whatever the rate, so many partitions may exceed it.

    Args:
        rate: transactions a second.
        longest: seconds.
    """

    def __init__(self, rate: float, longest: float) -> None:
        self._interval = 1.0 / rate
        self._longest = longest
        self._burst = max(0.0, longest - self._interval)
        self._free = 0.0
        """When the places that were given away are used up at this rate."""

    def reserve(self, now: float, last_began: float) -> float:
        """Take the next place; returns the seconds until then.

        Args:
            now: in seconds of the caller's clock, which never goes back.
            last_began: when the partition's last transaction began, on that clock.
        """
        free = max(self._free, now)
        # What was exceeded is owed for `longest` at most: later transactions do not pay for a burst of long ago.
        self._free = min(free, now + self._burst + self._longest) + self._interval
        return max(0.0, min(free - self._burst, last_began + self._longest) - now)


class ExactlyOnce(PartitionWriter):
    """Writes each group in one transaction.

    Args:
        partition: of the input.
        tracker: its offsets.
        context: shared by all writers.
        epoch: end of the changelog partition when it was restored.
        producer: started and transactional, for this partition alone.
        pace: of the transactions of all partitions.
    """

    def __init__(
        self,
        partition: TopicPartition,
        tracker: OffsetTracker,
        context: WriterContext,
        epoch: int,
        producer: AIOKafkaProducer,
        pace: TransactionPace,
    ) -> None:
        super().__init__(partition, tracker, context, epoch)
        self._producer = producer
        self._pace, self._last_began = pace, -math.inf
        self._committed: tuple[int, Ranges] | None = None
        self.state_end = epoch

    async def wait_for_group(self) -> None:
        """Wait for the next place among the worker's transactions; what is enqueued meanwhile goes into this one."""
        await asyncio.sleep(self._pace.reserve(time.monotonic(), self._last_began))
        self._last_began = time.monotonic()

    async def write_group(self, group: list[PartitionOutput]) -> None:
        """Write a group in one transaction.

        Raises:
            KafkaError: it failed or is in doubt: the producer must be replaced, states and offsets read again.
            TimeoutError: likewise.
        """
        began = time.monotonic()
        done, encoded = self._finish_offsets(group), self._encode(group)
        position, beyond = self.tracker.position, to_ranges(self.tracker.finished_beyond)
        letters = [x for one in encoded for x in one.letters]
        revisions = [x for one in encoded for x in one.revisions]
        redacted = [x for one in encoded for _, x in one.redacted]
        entries = [*(x for output in group for x in output.repairs), *encode_newest(encoded)]
        if not (letters or revisions or redacted or entries) and self._committed == (position, beyond):
            self._context.on_written(done, [], WriteTimes(began, began, began))
            return
        settings = self._settings
        entries.append(encode_partition_record(settings.group, self.partition.topic, beyond, position=position))
        async with asyncio.timeout(settings.transaction_seconds):
            await self._producer.begin_transaction()
            acks = await self._send(self._producer, letters, entries, revisions, redacted)
            try:
                await self._producer.send_offsets_to_transaction({self.partition: position}, settings.group)
                end = self._find_state_end((await asyncio.gather(*acks))[len(letters) : len(letters) + len(entries)])
                await self._producer.commit_transaction()
            finally:
                _ignore_errors(acks)
        self._committed, self.state_end = (position, beyond), end
        wrote = WriteTimes(began, began, time.monotonic())
        self._context.on_written(done, [x for one in encoded for x in one.causes], wrote)

    def _find_state_end(self, records: list[Any]) -> int:
        """Find the end of the changelog after these records of a transaction.

        Raises:
            StateLost: it has become shorter.
        """
        for record in records:
            if record.offset < self.state_end:
                raise StateLost(record.topic, record.partition, record.offset, self.state_end)
        return int(records[-1].offset) + 1


def _ignore_errors(acks: list[Ack]) -> None:
    """Mark errors of all acknowledgements as retrieved: the transaction reports one of them."""
    for ack in acks:
        ack.add_done_callback(lambda done: done.cancelled() or done.exception())
