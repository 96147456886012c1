"""Consumer lag of the open partitions, from the end offsets that came with the last fetched records."""

from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer

from consumers.kafka.service.partitions import Partition


class PartitionLag(NamedTuple):
    """Lag of one open partition."""

    partition: int
    messages: int
    """Records in the topic that are not finished."""
    seconds: float | None
    """Age of the last record that was taken, 0 when all are finished; None if none was taken yet."""


def find_lags(consumer: AIOKafkaConsumer, partitions: Iterable[Partition], now: float) -> list[PartitionLag]:
    """Find the lag of each open partition whose end is known.

    Args:
        consumer: reads them.
        partitions: of this member.
        now: seconds since 1970.
    """
    assigned = consumer.assignment()
    lags = []
    for partition in partitions:
        at = partition.topic_partition
        end = consumer.highwater(at) if partition.is_open and at in assigned else None
        if end is not None:
            behind = max(0, end - partition.tracker.position)
            age = None if partition.last_timestamp is None else max(0.0, now - partition.last_timestamp)
            lags.append(PartitionLag(at.partition, behind, age if behind else 0.0))
    return sorted(lags)
