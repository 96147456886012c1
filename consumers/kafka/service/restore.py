"""From what the brokers hold to where a partition goes on: its sessions out of the changelog, its offset, and whether
what was committed is still there.
"""

import asyncio
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.common.errors import OperationFailed
from consumers.common.settings import OnLostInput
from consumers.kafka.output.changelog import ChangelogError, Pair, RestoredPartition, read_changelog

log = structlog.get_logger()

STALL_SECONDS = 60.0
"""So long without a record of a changelog that should have more means that a foreign transaction hangs there."""


class LostInput(OperationFailed):
    """Committed offsets point to records that the brokers no longer have."""


@dataclass(frozen=True, slots=True)
class PartitionStart:
    """Where a partition goes on."""

    offset: int
    anew: bool = False
    """Whether the topic is another one than the states were made from, so that they mean nothing."""


async def read_last(consumer: AIOKafkaConsumer, partition: TopicPartition) -> tuple[list[tuple[int, Pair]], int]:
    """Read a whole partition of the changelog.

    Returns:
        Offset, key and value of the last record of each key, in the order of the log; and the end that was read to.

    Raises:
        ChangelogError: it has a record without a key, or it cannot be read to its end.
    """
    consumer.assign([partition])
    end = (await consumer.end_offsets([partition]))[partition]
    await consumer.seek_to_beginning(partition)
    last: dict[bytes, tuple[int, bytes | None]] = {}
    quiet = asyncio.get_running_loop().time()
    while (position := await consumer.position(partition)) < end:
        batch = (await consumer.getmany(partition, timeout_ms=100)).get(partition, ())
        for record in batch:
            if record.key is None:
                raise ChangelogError(f"{_name(partition)}, offset {record.offset}: no record of ours, it has no key")
            last.pop(record.key, None)
            last[record.key] = record.offset, record.value
        now = asyncio.get_running_loop().time()
        if await consumer.position(partition) > position:
            quiet = now
        elif now - quiet > STALL_SECONDS:
            raise ChangelogError(f"{_name(partition)} is not readable beyond offset {position}: a transaction hangs")
    return [(offset, (key, value)) for key, (offset, value) in last.items()], end


async def read_kept(
    consumer: AIOKafkaConsumer, state: TopicPartition, group: str, topic: str
) -> tuple[RestoredPartition, int]:
    """Read what is kept of a partition, and the end of the changelog.

    Raises:
        ChangelogError: it cannot be used.
    """
    records, end = await read_last(consumer, state)
    return read_changelog(records, group, topic, _name(state)), end


async def find_start(
    consumer: AIOKafkaConsumer, partition: TopicPartition, kept: RestoredPartition, on_lost: OnLostInput
) -> PartitionStart:
    """Find the offset to read from. Kafka's own reset would go on silently wherever it can.

    Raises:
        LostInput: what was committed is gone, and `on_lost` is not `skip`.
    """
    committed = await consumer.committed(partition)
    first = (await consumer.beginning_offsets([partition]))[partition]
    end = (await consumer.end_offsets([partition]))[partition]
    # Brokers forget a topic's commits with the topic, so what was applied may be all that tells of the old one.
    reached = max(committed or 0, *(saved.offset + 1 for saved in kept.sessions.values()), 0)
    if reached > end:
        what = f"offset {reached} was reached, but the topic ends at {end}: it was made anew"
        _lose(what, f"read it from {first} on, with no session open", partition, on_lost)
        return PartitionStart(first, anew=True)
    if committed is None:
        return PartitionStart(first)
    if committed < first:
        gone = first - committed
        what = f"offset {committed} is next, but the brokers have only {first} and later (retention): {gone} are gone"
        _lose(what, f"go on at {first}", partition, on_lost)
        return PartitionStart(first)
    return PartitionStart(committed)


def _lose(what: str, instead: str, partition: TopicPartition, on_lost: OnLostInput) -> None:
    if on_lost == "fail":
        raise LostInput(f"{_name(partition)}: {what}. Start with --on-lost-input skip to {instead}")
    log.error("input was lost", topic=partition.topic, partition=partition.partition, what=what, instead=instead)


def _name(partition: TopicPartition) -> str:
    return f"topic {partition.topic}, partition {partition.partition}"
