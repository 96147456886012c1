"""Records that cannot be used: kept in a topic of their own with the reason, so that the next message goes on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from consumers.formats.decode import shorten
from consumers.kafka.in_flight import ConsumedRecord

MAX_KEY = 1024
MAX_VALUE = 512 * 1024
"""Longer values are cut: the copy with its headers must fit where the original did."""

Headers = list[tuple[str, bytes]]


def dead_letter_headers(reason: str, detail: str, record: ConsumedRecord) -> Headers:
    """Say why, and where the record is."""
    headers = [
        ("reason", reason.encode()),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("error", shorten(detail).encode("utf-8", "replace")),
    ]
    if record.value is None and reason != "empty":
        headers.append(("bytes", b"-1"))  # it was not at hand
    elif record.value is not None and len(record.value) > MAX_VALUE:
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


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A dead letter as it is written."""

    key: bytes | None
    value: bytes
    headers: Headers


class DeadLetterWriter:
    """Makes dead letters, and counts them for each reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def make(self, reason: str, detail: str, record: ConsumedRecord) -> DeadLetterRecord:
        """Copy a record, with the reason."""
        self.counts[reason] += 1
        key = None if record.key is None else record.key[:MAX_KEY]
        return DeadLetterRecord(key, (record.value or b"")[:MAX_VALUE], dead_letter_headers(reason, detail, record))
