"""What the brokers hold of a partition: the sessions of its changelog, the offset to start from, and whether the
committed records are still there.
"""

import asyncio
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.common.errors import OperationFailed
from consumers.common.settings import OnLostInput
from consumers.kafka.output.changelog import ChangelogError, RestoredPartition, read_changelog
from consumers.kafka.output.ownership import LatestRecords

log = structlog.get_logger()

STALL_SECONDS = 60.0
"""After this time without a record of a changelog that should have more, a foreign transaction is taken to hang."""


class LostInput(OperationFailed):
    """Committed offsets point to records that the brokers no longer have."""


@dataclass(frozen=True, slots=True)
class PartitionStart:
    """Where to read a partition from."""

    offset: int
    topic_recreated: bool = False
    """Whether the topic is not the one that the states were made from, so that they mean nothing."""
    reset_to: int | None = None
    """Earlier offset of the group, if somebody has reset it: what lies between was done before, and is skipped."""


class ChangelogReader:
    """Reads a partition of the changelog from its beginning; later calls read what was added.

    Args:
        consumer: without a group; only this reader uses it.
        partition: of the state topic.
        group: our consumer group.
        topic: the input topic.
    """

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition, group: str, topic: str) -> None:
        self._consumer = consumer
        self._partition = partition
        self._group = group
        self._topic = topic
        self._restored: RestoredPartition | None = None
        self.latest = LatestRecords()
        self.end = 0
        """Everything before this offset was read."""

    async def read(self, at_least: int = 0) -> RestoredPartition:
        """Read to the end of the partition, and at least up to this offset (exclusive).

        Raises:
            ChangelogError: it cannot be used, or not be read to its end.
        """
        consumer, partition, states = self._consumer, self._partition, self.latest.states
        if self._restored is None:
            consumer.assign([partition])
        end = max(at_least, (await consumer.end_offsets([partition]))[partition])
        if self._restored is None:
            await consumer.seek_to_beginning(partition)
        progress_at = asyncio.get_running_loop().time()
        while (position := await consumer.position(partition)) < end:
            batch = (await consumer.getmany(partition, timeout_ms=100)).get(partition, ())
            for record in batch:
                if record.key is None:
                    place = f"{_describe(partition)}, offset {record.offset}"
                    raise ChangelogError(f"{place}: no record of ours, it has no key")
                self.latest.add(record.offset, record.key, record.value, record.headers)
            now = asyncio.get_running_loop().time()
            if await consumer.position(partition) > position:
                progress_at = now
            elif now - progress_at > STALL_SECONDS:
                raise ChangelogError(
                    f"{_describe(partition)} is not readable beyond offset {position}: a transaction hangs"
                )
        self.end = position
        if self._restored is None or self.latest.states > states:
            # In a thread: meanwhile the event loop serves the partitions that this member has, and sends heartbeats.
            where = _describe(partition)
            records = self.latest.records()
            self._restored = await asyncio.to_thread(read_changelog, records, self._group, self._topic, where)
        return self._restored


async def find_start(
    consumer: AIOKafkaConsumer, partition: TopicPartition, restored: RestoredPartition, on_lost: OnLostInput
) -> PartitionStart:
    """Find the offset to read from. Kafka's own reset policies would go on without a word.

    Raises:
        LostInput: committed records are gone, and `on_lost` is not `skip`.
    """
    committed = await consumer.committed(partition)
    first = (await consumer.beginning_offsets([partition]))[partition]
    end = (await consumer.end_offsets([partition]))[partition]
    # Brokers delete commits with their topic, so the applied offsets may be the only trace of the old topic.
    done = restored.position
    reached = max(committed or 0, done, *(saved.offset + 1 for saved in restored.sessions.values()))
    if reached > end:
        what = f"offset {reached} was reached, but the topic ends at {end}: it was deleted and created again"
        _report_lost_input(what, f"read it from {first} on, with no session open", partition, on_lost)
        return PartitionStart(first, topic_recreated=True)
    if committed is None and not done:
        return PartitionStart(first)
    reset_to = max(committed or 0, first)
    if done > reset_to:
        return PartitionStart(done, reset_to=reset_to)
    committed = max(committed or 0, done)
    if committed < first:
        gone = first - committed
        what = f"offset {committed} is next, but the brokers have only {first} and later (retention): {gone} are gone"
        _report_lost_input(what, f"go on at {first}", partition, on_lost)
        return PartitionStart(first)
    return PartitionStart(committed)


def _report_lost_input(what: str, instead: str, partition: TopicPartition, on_lost: OnLostInput) -> None:
    if on_lost == "fail":
        raise LostInput(f"{_describe(partition)}: {what}. Start with --on-lost-input skip to {instead}")
    log.error("input_lost", topic=partition.topic, partition=partition.partition, what=what, instead=instead)


def _describe(partition: TopicPartition) -> str:
    return f"topic {partition.topic}, partition {partition.partition}"
