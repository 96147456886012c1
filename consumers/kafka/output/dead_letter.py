"""Dead letters: records that cannot be used, copied to a topic of their own with the reason.

A letter has the key, the value and the headers of its record byte for byte: first the record's own headers, in their
order, then `original_headers` with their number, then ours. So a record's header may have the name of one of ours, and
readers that take the last header of a name read ours. A replayed record has the same layout.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from consumers.formats.decode import MAX_BYTES, shorten
from consumers.kafka.in_flight import ConsumedRecord

MAX_LETTER = MAX_BYTES + (32 << 10)
"""Limit of bytes of a letter's key, value and headers: the dead-letter topic takes as much, and the overhead of a batch
(consumers/kafka/topics/rules.py)."""

MARKER = "original_headers"
"""Header between the headers of the record and ours; its value is the number of the former."""

REPLAY_HEADERS = ("replays", "reason", "topic", "partition", "offset")
"""Headers that `hearken dlq replay` adds to a record. Up to 0.1 it added nothing else."""

Headers = list[tuple[str, bytes | None]]
HeaderSequence = Sequence[tuple[str, bytes | None]]


def split_headers(headers: HeaderSequence) -> tuple[Headers, Headers] | None:
    """Split the headers of a letter or of a replayed record into those of the original record and ours.

    Returns:
        None if they are those of an ordinary record, or of a letter of an older version.
    """
    for i in reversed(range(len(headers))):
        if headers[i] == (MARKER, b"%d" % i):
            return list(headers[:i]), list(headers[i + 1 :])
    return None


def original_headers(headers: HeaderSequence) -> Headers:
    """Headers that the record's producer gave it, without those of a replay."""
    if split := split_headers(headers):
        return split[0]
    return [] if tuple(name for name, _ in headers) == REPLAY_HEADERS else list(headers)


def read_replays(headers: HeaderSequence) -> int:
    """Read how often `hearken dlq replay` has sent this record again; an invalid header counts as 0."""
    split = split_headers(headers)
    for name, value in split[1] if split else headers:
        if name == "replays" and value and len(value) < 10 and value.isdigit():
            return int(value)
    return 0


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """Key, value and headers of a dead letter. A tombstone's value stays null."""

    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        return len(self.key or b"") + len(self.value or b"") + _size(self.headers)


def copy_record(
    reason: str, detail: str, record: ConsumedRecord, *, at_hand: bool = True, limit: int = MAX_LETTER
) -> DeadLetterRecord:
    """Make the dead letter of a record. If it is larger than the limit, the end of the value is cut off.

    Args:
        reason: short stable code.
        detail: one line for a person.
        record: the original.
        at_hand: whether its value is known; otherwise only its place is.
        limit: bytes of the letter. If key and headers alone are larger, the headers are left out.
    """
    own: Headers = [
        ("reason", reason.encode()),
        ("topic", record.topic.encode()),
        ("partition", b"%d" % record.partition),
        ("offset", b"%d" % record.offset),
        ("error", shorten(detail).encode("utf-8", "replace")),
    ]
    if replays := read_replays(record.headers):
        own.append(("replays", b"%d" % replays))
    key, value, theirs = record.key, record.value, original_headers(record.headers)
    space = limit - _size(own) - 200  # for the marker and the sizes below
    if (size := _size(theirs)) + len(key or b"") > space:
        own.append(("header_bytes", b"%d" % size))
        theirs = []
    if key is not None and len(key) > space:
        own.append(("key_bytes", b"%d" % len(key)))
        key = key[: max(0, space // 2)]
    space = max(0, space - _size(theirs) - len(key or b""))
    if not at_hand:
        own.append(("bytes", b"-1"))
    elif value is not None and len(value) > space:
        own.append(("bytes", b"%d" % len(value)))
        value = value[:space]
    return DeadLetterRecord(key, value, [*theirs, (MARKER, b"%d" % len(theirs)), *own])


def _size(headers: HeaderSequence) -> int:
    return sum(len(name.encode()) + len(value or b"") + 10 for name, value in headers)


class DeadLetterWriter:
    """Makes dead letters, and counts them by reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.limit = MAX_LETTER
        """Bytes of the largest letter; reduced when brokers refuse one."""

    def make_letter(
        self, reason: str, detail: str, record: ConsumedRecord, *, at_hand: bool = True
    ) -> DeadLetterRecord:
        """Make the dead letter of a record; see `copy_record`."""
        self.counts[reason] += 1
        return copy_record(reason, detail, record, at_hand=at_hand, limit=self.limit)
