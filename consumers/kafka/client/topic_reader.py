"""Reader of the committed records of a whole topic; it joins no group and commits nothing."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from consumers.common.errors import AccessRefused, BrokerUnreachable, OperationFailed
from consumers.common.settings import suggest
from consumers.kafka.client.diagnosis import find_refusal
from consumers.kafka.client.security import librdkafka_options

PATIENCE = 30.0
"""Seconds to wait for a broker."""


@dataclass(slots=True)
class StoredRecord:
    """A record of a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int
    """Milliseconds since 1970."""


def make_topic_consumer(broker: str, group: str = "hearken-verify") -> Consumer:
    """Make a consumer for explicit reads; the group is only used to read its committed offsets."""
    return Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,  # the end of a partition is only reported when an empty fetch returns
            "isolation.level": "read_committed",
            "log_level": 0,  # errors are raised; a killed broker needs no log line
            **librdkafka_options(),
        }
    )


def find_partitions(consumer: Consumer, broker: str, topic: str) -> list[int]:
    """Find the partitions of a topic.

    Raises:
        BrokerUnreachable: no broker answered, or it refused the connection.
        OperationFailed: the topic does not exist.
    """
    try:
        found = consumer.list_topics(topic, timeout=PATIENCE).topics[topic]
    except KafkaException as error:
        if refusal := asyncio.run(find_refusal(broker)):
            raise AccessRefused(f"{broker}: {refusal}") from error
        raise BrokerUnreachable(f"no broker answers at {broker} (waited {PATIENCE:g} s)") from error
    if found.error is not None or not found.partitions:
        known = consumer.list_topics(timeout=PATIENCE).topics
        raise OperationFailed(f"there is no topic {topic} at {broker}{suggest(topic, known.keys() - {topic})}")
    return sorted(found.partitions)


def find_ends(broker: str, topic: str, group: str | None = None) -> dict[int, int]:
    """Find the end offset of each partition, or the offset committed by a group (0: none).

    Raises:
        BrokerUnreachable: no broker answered.
        OperationFailed: the topic does not exist, or its first records were deleted.
    """
    with closing(make_topic_consumer(broker, group or "hearken-verify")) as consumer:
        partitions = [TopicPartition(topic, number) for number in find_partitions(consumer, broker, topic)]
        try:
            marks = {x.partition: consumer.get_watermark_offsets(x, timeout=PATIENCE) for x in partitions}
            committed = consumer.committed(partitions, timeout=PATIENCE) if group else []
        except KafkaException as error:
            raise BrokerUnreachable(f"{broker} did not report the end offsets of {topic}: {error}") from error
    for partition, (low, _) in marks.items():
        if low > 0:
            raise OperationFailed(
                f"{topic}, partition {partition} begins at offset {low}: earlier records were deleted"
            )
    return {x.partition: max(0, x.offset) for x in committed} or {x: high for x, (_, high) in marks.items()}


def read_topic(broker: str, topic: str) -> Iterator[StoredRecord]:
    """Read all present records, one partition after another.

    Raises:
        BrokerUnreachable: no broker answered.
        OperationFailed: the topic does not exist, or cannot be read.
    """
    with closing(make_topic_consumer(broker)) as consumer:
        for partition in find_partitions(consumer, broker, topic):
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            yield from _read_partition(consumer, broker, topic)


def _read_partition(consumer: Consumer, broker: str, topic: str) -> Iterator[StoredRecord]:
    # One by one, because `consume` waits for a full batch.
    while (record := consumer.poll(PATIENCE)) is not None:
        error = record.error()
        if error is None:
            yield _to_stored_record(record)
        elif error.code() == KafkaError._PARTITION_EOF:
            return
        elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
            raise OperationFailed(f"{topic} cannot be read: {error.str()}")
    raise BrokerUnreachable(f"{broker} sent no records of {topic} for {PATIENCE:g} s")


def _to_stored_record(record: Any) -> StoredRecord:
    headers = [(name, value or b"") for name, value in record.headers() or ()]
    place = record.topic(), record.partition(), record.offset()
    return StoredRecord(*place, record.key(), record.value(), headers, record.timestamp()[1])
