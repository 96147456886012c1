"""What the brokers hold of a partition: the sessions of its changelog, the offset to start from, and whether the
committed records are still there.
"""

import asyncio
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.common.errors import OperationFailed
from consumers.common.settings import OnLostInput
from consumers.kafka.output.changelog import ChangelogError, KeyValue, RestoredPartition, read_changelog

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


async def read_latest_records(
    consumer: AIOKafkaConsumer, partition: TopicPartition
) -> tuple[list[tuple[int, KeyValue]], int]:
    """Read a whole partition of the changelog.

    Returns:
        Offset, key and value of the last record of each key, in the order of the log; and the end offset.

    Raises:
        ChangelogError: it has a record without a key, or it cannot be read to its end.
    """
    consumer.assign([partition])
    end = (await consumer.end_offsets([partition]))[partition]
    await consumer.seek_to_beginning(partition)
    last: dict[bytes, tuple[int, bytes | None]] = {}
    progress_at = asyncio.get_running_loop().time()
    while (position := await consumer.position(partition)) < end:
        batch = (await consumer.getmany(partition, timeout_ms=100)).get(partition, ())
        for record in batch:
            if record.key is None:
                raise ChangelogError(
                    f"{_describe(partition)}, offset {record.offset}: no record of ours, it has no key"
                )
            last.pop(record.key, None)
            last[record.key] = record.offset, record.value
        now = asyncio.get_running_loop().time()
        if await consumer.position(partition) > position:
            progress_at = now
        elif now - progress_at > STALL_SECONDS:
            raise ChangelogError(
                f"{_describe(partition)} is not readable beyond offset {position}: a transaction hangs"
            )
    return [(offset, (key, value)) for key, (offset, value) in last.items()], end


async def read_partition_state(
    consumer: AIOKafkaConsumer, state: TopicPartition, group: str, topic: str
) -> tuple[RestoredPartition, int]:
    """Read the state of a partition, and the end offset of its changelog.

    Raises:
        ChangelogError: it cannot be used.
    """
    records, end = await read_latest_records(consumer, state)
    return read_changelog(records, group, topic, _describe(state)), end


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
    reached = max(committed or 0, *(saved.offset + 1 for saved in restored.sessions.values()), 0)
    if reached > end:
        what = f"offset {reached} was reached, but the topic ends at {end}: it was deleted and created again"
        _report_lost_input(what, f"read it from {first} on, with no session open", partition, on_lost)
        return PartitionStart(first, topic_recreated=True)
    if committed is None:
        return PartitionStart(first)
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
