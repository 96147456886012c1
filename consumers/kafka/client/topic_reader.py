"""Reading of whole topics (read committed), without joining a group and without commits."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from consumers.common.errors import AccessRefused, BrokerUnreachable, NotAuthorised, OperationFailed
from consumers.common.settings import suggest
from consumers.kafka.client.diagnosis import explain_right, find_refusal
from consumers.kafka.client.security import librdkafka_options

PATIENCE = 30.0
"""Time to wait for a broker that does not answer."""


@dataclass(slots=True)
class StoredRecord:
    """A record of a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp: int
    """Milliseconds since 1970."""


def make_topic_consumer(broker: str, group: str = "hearken-verify") -> Consumer:
    """Make a consumer with manual assignment; the group serves only to read its committed offsets."""
    return Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,  # the end of a partition is reported only after an empty fetch
            "isolation.level": "read_committed",
            "log_level": 0,  # errors are raised; lines about killed brokers are noise
            **librdkafka_options(),
        }
    )


def find_partitions(consumer: Consumer, broker: str, topic: str) -> list[int]:
    """Return the partitions of a topic.

    Raises:
        BrokerUnreachable: no broker answered.
        AccessRefused: the broker refused the connection.
        NotAuthorised: we may not describe the topic.
        OperationFailed: there is no such topic.
    """
    try:
        found = consumer.list_topics(topic, timeout=PATIENCE).topics[topic]
    except KafkaException as error:
        if refusal := asyncio.run(find_refusal(broker)):
            raise AccessRefused(f"{broker}: {refusal}") from error
        raise BrokerUnreachable(f"no broker answers at {broker} (waited {PATIENCE:g} s)") from error
    if found.error is not None and found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise NotAuthorised(explain_right("Describe (which Read and Write imply)", f"topic {topic}"))
    if found.error is not None or not found.partitions:
        known = consumer.list_topics(timeout=PATIENCE).topics
        raise OperationFailed(f"there is no topic {topic} at {broker}{suggest(topic, known.keys() - {topic})}")
    return sorted(found.partitions)


def find_ends(broker: str, topic: str, group: str | None = None) -> dict[int, int]:
    """Return each partition's end offset, or the offset that a group has committed (0 for none).

    Raises:
        BrokerUnreachable: no broker answered.
        OperationFailed: there is no such topic, or its first records are deleted.
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
    """Yield all present records, one partition after another.

    Raises:
        BrokerUnreachable: no broker answered.
        OperationFailed: there is no such topic, or it cannot be read.
    """
    with closing(make_topic_consumer(broker)) as consumer:
        for partition in find_partitions(consumer, broker, topic):
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            yield from _read_partition(consumer, broker, topic)


def _read_partition(consumer: Consumer, broker: str, topic: str) -> Iterator[StoredRecord]:
    # `poll` instead of `consume`, which would wait until a batch is full.
    while (record := consumer.poll(PATIENCE)) is not None:
        error = record.error()
        if error is None:
            yield _to_stored_record(record)
        elif error.code() == KafkaError._PARTITION_EOF:
            return
        elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            continue  # the library looks for the coordinator of a group that is only a name here
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise NotAuthorised(explain_right("Read", f"topic {topic}"))
        elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
            raise OperationFailed(f"{topic} cannot be read: {error.str()}")
    raise BrokerUnreachable(f"{broker} sent nothing of {topic} for {PATIENCE:g} s")


def _to_stored_record(record: Any) -> StoredRecord:
    headers = list(record.headers() or ())
    place = record.topic(), record.partition(), record.offset()
    return StoredRecord(*place, record.key(), record.value(), headers, record.timestamp()[1])
