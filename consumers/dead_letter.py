"""Records that cannot be used: kept in a topic of their own with the reason, so that the next message goes on."""

from asyncio import Future
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord

from consumers.intake import shorten

MAX_KEY = 1024
MAX_VALUE = 512 * 1024
"""Longer values are cut: the copy with its headers must fit where the original did."""

Headers = list[tuple[str, bytes]]


def dead_letter_headers(reason: str, detail: str, record: ConsumerRecord[Any, Any]) -> Headers:
    """Say why, and where the record is."""
    headers = [
        ("reason", reason.encode()),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("error", shorten(detail).encode("utf-8", "replace")),
    ]
    if record.value is not None and len(record.value) > MAX_VALUE:
        headers.append(("bytes", str(len(record.value)).encode()))
    if record.key is not None and len(record.key) > MAX_KEY:
        headers.append(("key_bytes", str(len(record.key)).encode()))
    if replays := read_replays(record.headers):
        headers.append(("replays", str(replays).encode()))
    return headers


def read_replays(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """How often `hearken dlq replay` has sent this record again; anybody can write headers, so junk counts as never."""
    for name, value in headers:
        if name == "replays" and value and len(value) < 10 and value.isdigit():
            return int(value)
    return 0


class DeadLetters:
    """The dead-letter topic, and a count for each reason."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.counts: Counter[str] = Counter()

    async def send(self, reason: str, detail: str, record: ConsumerRecord[Any, Any]) -> "Future[Any]":
        """Queue a copy of the record; the future is done when the broker has it."""
        self.counts[reason] += 1
        value = (record.value or b"")[:MAX_VALUE]
        key = None if record.key is None else record.key[:MAX_KEY]
        headers = dead_letter_headers(reason, detail, record)
        future: Future[Any] = await self._producer.send(self._topic, value, key=key, headers=headers)
        return future
