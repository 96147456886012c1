"""A topic read from its beginning to its end, as read committed; no group is joined and nothing is committed."""

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
"""Seconds to wait for a broker that does not answer."""


@dataclass(slots=True)
class StoredRecord:
    """A record as it stands in a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int
    """Milliseconds since 1970."""


def make_topic_consumer(broker: str, group: str = "hearken-verify") -> Consumer:
    """A consumer for reading by hand; the group's name is only for asking what it has committed."""
    return Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,  # the end of a partition is told only when a fetch that found nothing returns
            "isolation.level": "read_committed",
            "log_level": 0,  # what does not answer is told as an error; a broker that is killed is no news
            **librdkafka_options(),
        }
    )


def find_partitions(consumer: Consumer, broker: str, topic: str) -> list[int]:
    """Ask for a topic's partitions.

    Raises:
        BrokerUnreachable: no broker answered, or it did not let us in.
        OperationFailed: there is no such topic.
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
    """The offset after the last record of each partition, or the one that a group has committed (0: none).

    Raises:
        BrokerUnreachable: no broker answered.
        OperationFailed: there is no such topic, or its beginning was deleted.
    """
    with closing(make_topic_consumer(broker, group or "hearken-verify")) as consumer:
        partitions = [TopicPartition(topic, number) for number in find_partitions(consumer, broker, topic)]
        try:
            marks = {x.partition: consumer.get_watermark_offsets(x, timeout=PATIENCE) for x in partitions}
            committed = consumer.committed(partitions, timeout=PATIENCE) if group else []
        except KafkaException as error:
            raise BrokerUnreachable(f"{broker} did not tell the ends of {topic}: {error}") from error
    for partition, (low, _) in marks.items():
        if low > 0:
            raise OperationFailed(f"{topic}, partition {partition} begins at offset {low}: earlier records are deleted")
    return {x.partition: max(0, x.offset) for x in committed} or {x: high for x, (_, high) in marks.items()}


def read_topic(broker: str, topic: str) -> Iterator[StoredRecord]:
    """Read all records that are there now, one partition after another.

    Raises:
        BrokerUnreachable: no broker answered.
        OperationFailed: there is no such topic, or it cannot be read.
    """
    with closing(make_topic_consumer(broker)) as consumer:
        for partition in find_partitions(consumer, broker, topic):
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            yield from _read_partition(consumer, broker, topic)


def _read_partition(consumer: Consumer, broker: str, topic: str) -> Iterator[StoredRecord]:
    # One by one: `consume` would wait until a batch is full.
    while (record := consumer.poll(PATIENCE)) is not None:
        error = record.error()
        if error is None:
            yield _to_stored_record(record)
        elif error.code() == KafkaError._PARTITION_EOF:
            return
        elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
            raise OperationFailed(f"{topic} cannot be read: {error.str()}")
    raise BrokerUnreachable(f"{broker} sent nothing of {topic} for {PATIENCE:g} s")


def _to_stored_record(record: Any) -> StoredRecord:
    headers = [(name, value or b"") for name, value in record.headers() or ()]
    place = record.topic(), record.partition(), record.offset()
    return StoredRecord(*place, record.key(), record.value(), headers, record.timestamp()[1])
