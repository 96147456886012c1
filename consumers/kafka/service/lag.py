"""How far behind its input the service is, by what the brokers told with the last records that they gave."""

from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer

from consumers.kafka.service.partitions import Partition


class PartitionLag(NamedTuple):
    """Of one partition that is open."""

    partition: int
    messages: int
    """Records that are there and not done."""
    seconds: float | None
    """Age of the last record that was taken, 0 when all are done; None: none was taken yet."""


def find_lags(consumer: AIOKafkaConsumer, partitions: Iterable[Partition], now: float) -> list[PartitionLag]:
    """Look at the partitions that are open and whose end is known.

    Args:
        consumer: reads them.
        partitions: ours.
        now: seconds since 1970.
    """
    given = consumer.assignment()
    lags = []
    for held in partitions:
        end = consumer.highwater(held.at) if held.is_open and held.at in given else None
        if end is not None:
            behind = max(0, end - held.progress.position)
            age = None if held.produced is None else max(0.0, now - held.produced)
            lags.append(PartitionLag(held.at.partition, behind, age if behind else 0.0))
    return sorted(lags)
