"""Consumer lag of the open partitions, from the end offsets that came with the last fetched records; age of records."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from consumers.kafka.client.clients import GroupConsumer
from consumers.kafka.service.partitions import Partition

MAX_AGE_SECONDS = 7 * 86400.0
"""Records that are older have a wrong clock, or are copies: an input topic keeps records for so long by default."""
AHEAD_SECONDS = 60.0
"""How far a clock may be ahead of ours."""
ARRIVAL_SECONDS = 300.0
"""How long a producer may take from a record's timestamp to its arrival (`delivery.timeout.ms` is two minutes)."""

ClockFault = Literal["missing", "past", "future"]


class PartitionLag(NamedTuple):
    """Lag of one open partition."""

    partition: int
    messages: int
    """Offsets in the topic that are not finished, as Kafka counts: markers of transactions are among them."""
    seconds: float | None
    """Age of the last record that was taken, 0 when all are finished; None if it is not known."""


def find_lags(consumer: GroupConsumer, partitions: Iterable[Partition], now: float) -> list[PartitionLag]:
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
        end = consumer.readable_end(at) if partition.is_open and at in assigned else None
        if end is not None:
            behind = max(0, end - partition.tracker.position)
            age = None if partition.last_timestamp is None else max(0.0, now - partition.last_timestamp)
            lags.append(PartitionLag(at.partition, behind, age if behind else 0.0))
    return sorted(lags)


def check_clock(timestamp: int, now: float, read_to_end_at: float | None) -> ClockFault | None:
    """Check whether a record's timestamp can be the time at which it was produced.

    A record that was not there when its partition was last read to its end arrived after that. So it cannot be much
    older; a clock that is an hour late is found too, and an old record that waited is none.

    Args:
        timestamp: milliseconds since 1970, below 0 if the record has none.
        now: seconds since 1970.
        read_to_end_at: when the partition was last read to its end; None if that is not known.
    """
    if timestamp < 0:
        return "missing"
    age = now - timestamp / 1000
    if age < -AHEAD_SECONDS:
        return "future"
    waited = MAX_AGE_SECONDS if read_to_end_at is None else max(0.0, now - read_to_end_at) + ARRIVAL_SECONDS
    return "past" if age > min(waited, MAX_AGE_SECONDS) else None
