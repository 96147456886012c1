"""Dead letters: records that cannot be used, copied to a topic of their own with the reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from consumers.formats.decode import shorten
from consumers.kafka.in_flight import ConsumedRecord

MAX_KEY = 1024
MAX_VALUE = 512 * 1024
"""Longer values are cut, so that the copy with its headers is not larger than brokers accept."""

Headers = list[tuple[str, bytes]]


def dead_letter_headers(reason: str, detail: str, record: ConsumedRecord) -> Headers:
    """Make the headers: the reason, and the place of the record."""
    headers = [
        ("reason", reason.encode()),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("error", shorten(detail).encode("utf-8", "replace")),
    ]
    if record.value is None and reason != "empty":
        headers.append(("bytes", b"-1"))  # the record is not at hand
    elif record.value is not None and len(record.value) > MAX_VALUE:
        headers.append(("bytes", str(len(record.value)).encode()))
    if record.key is not None and len(record.key) > MAX_KEY:
        headers.append(("key_bytes", str(len(record.key)).encode()))
    if replays := read_replays(record.headers):
        headers.append(("replays", str(replays).encode()))
    return headers


def read_replays(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """Read how often `hearken dlq replay` has sent this record again; an invalid header counts as 0."""
    for name, value in headers:
        if name == "replays" and value and len(value) < 10 and value.isdigit():
            return int(value)
    return 0


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """Key, value and headers of a dead letter."""

    key: bytes | None
    value: bytes
    headers: Headers


class DeadLetterWriter:
    """Makes dead letters, and counts them by reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def make_letter(self, reason: str, detail: str, record: ConsumedRecord) -> DeadLetterRecord:
        """Make the dead letter of a record."""
        self.counts[reason] += 1
        key = None if record.key is None else record.key[:MAX_KEY]
        return DeadLetterRecord(key, (record.value or b"")[:MAX_VALUE], dead_letter_headers(reason, detail, record))
