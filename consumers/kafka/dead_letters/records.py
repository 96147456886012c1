"""Dead letters as read from their topic, and the offsets that have been replayed; no Kafka client."""

import base64
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

from aiokafka import ConsumerRecord, TopicPartition

from consumers.formats.decode import BadReason
from consumers.kafka.output.dead_letter import MARKER, Headers, read_replays, split_headers
from stream.messages.errors import Reason

REASONS = (*get_args(Reason), *get_args(BadReason), "labelling_failed", "revision_too_large")
"""All reasons that the service writes."""
MAX_METADATA = 4000
"""Limit of characters of a commit's metadata; brokers accept 4096 bytes by default."""


class TooScattered(ValueError):
    """Replayed and other offsets alternate too often for the metadata of a commit."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter. The repr shows no text."""

    location: TopicPartition
    """Partition of the dead-letter topic."""
    offset: int
    time: float
    """Time of writing in seconds since 1970."""
    reason: str
    origin: TopicPartition
    origin_offset: int
    replays: int
    """Number of previous replays of its record."""
    key: bytes | None
    value: bytes | None
    """None for a tombstone, or if it was not available."""
    size: int
    """Bytes of the original value; more than `value` has if it was cut, -1 if it was not available."""
    key_size: int
    headers: Headers
    """Headers of the original record."""
    headers_left_out: bool = False
    """Whether they are not in the letter, because they are too large."""

    @property
    def is_cut(self) -> bool:
        """Whether the letter holds only the beginning of its record."""
        sizes = len(self.value or b""), len(self.key or b"")
        return (self.size, self.key_size) != sizes or self.headers_left_out

    def begins(self, key: bytes | None, value: bytes | None) -> bool:
        """Whether this is a copy, possibly cut, of a record with that key and value."""
        same_key = key == self.key if key is None or self.key is None else key.startswith(self.key)
        same_size = len(key or b"") == self.key_size and self.size in (-1, len(value or b""))
        return same_key and same_size and (value or b"").startswith(self.value or b"")

    def replay_headers(self) -> Headers:
        """Return the headers of the replayed record: its own, then its number of replays and its origin."""
        return [
            *self.headers,
            (MARKER, str(len(self.headers)).encode()),
            ("replays", str(self.replays + 1).encode()),
            ("reason", self.reason.encode()),
            ("topic", self.origin.topic.encode()),
            ("partition", str(self.origin.partition).encode()),
            ("offset", str(self.origin_offset).encode()),
        ]

    def __repr__(self) -> str:
        return f"DeadLetter({self.location.partition}:{self.offset}, {self.reason}, from {tuple(self.origin)})"


def read_letter(record: ConsumerRecord[Any, Any]) -> DeadLetter | None:
    """Read a record of a dead-letter topic; None if the service did not write it."""
    theirs, own = split_headers(record.headers) or ([], record.headers)
    headers, value = dict(own), record.value
    try:
        origin = TopicPartition(headers["topic"].decode(), int(headers["partition"]))
        return DeadLetter(
            location=TopicPartition(record.topic, record.partition),
            offset=record.offset,
            time=record.timestamp / 1000,
            reason=headers["reason"].decode(),
            origin=origin,
            origin_offset=int(headers["offset"]),
            replays=read_replays(record.headers),
            key=record.key,
            value=value,
            size=int(headers.get("bytes", len(value or b""))),
            key_size=int(headers.get("key_bytes", len(record.key or b""))),
            headers=theirs,
            headers_left_out="header_bytes" in headers,
        )
    except (KeyError, ValueError, AttributeError, TypeError):
        return None


class DoneOffsets:
    """Replayed offsets of one partition: all before `position`, and ranges beyond it."""

    def __init__(self, position: int = 0, beyond: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = [0]
        self._ends: list[int] = [position]
        for start, end in beyond:
            self.add(start, end)

    @property
    def position(self) -> int:
        """First offset that has not been replayed."""
        return self._ends[0]

    @property
    def beyond(self) -> Sequence[tuple[int, int]]:
        """Disjoint, non-adjacent ranges beyond the position, in order, ends exclusive."""
        return list(zip(self._starts, self._ends, strict=True))[1:]

    def __contains__(self, offset: int) -> bool:
        i = bisect_right(self._starts, offset) - 1
        return i >= 0 and offset < self._ends[i]

    def copy(self) -> "DoneOffsets":
        """Return a copy."""
        return DoneOffsets(self.position, self.beyond)

    def add(self, start: int, end: int) -> None:
        """Add the offsets from start to end (exclusive)."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)  # the first range that reaches start
        last = bisect_right(self._starts, end)  # after the last range that begins before end
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last], self._ends[first:last] = [start], [end]

    def metadata(self) -> str:
        """Encode the ranges beyond the position for the metadata of a commit.

        Raises:
            TooScattered: there are too many ranges.
        """
        if not self.beyond:
            return ""
        at, numbers = self.position, bytearray()
        for bound in chain.from_iterable(self.beyond):
            _write_number(numbers, bound - at)
            at = bound
        text = base64.b64encode(zlib.compress(bytes(numbers), 9)).decode()
        if len(text) > MAX_METADATA:
            raise TooScattered(f"{len(self.beyond)} ranges")
        return text

    @classmethod
    def parse(cls, position: int, metadata: str) -> "DoneOffsets":
        """Decode `metadata`; invalid metadata counts as no ranges beyond the position."""
        done = cls(max(0, position))
        try:
            numbers = _read_numbers(zlib.decompress(base64.b64decode(metadata, validate=True)) if metadata else b"")
        except (ValueError, zlib.error):
            return done
        at = done.position
        for skipped, taken in zip(numbers[::2], numbers[1::2], strict=False):
            done.add(at + skipped, at + skipped + taken)
            at += skipped + taken
        return done


def _write_number(out: bytearray, number: int) -> None:
    """Append a number as LEB128: seven bits in each byte, the lowest first; the top bit marks a continuation."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _read_numbers(data: bytes) -> list[int]:
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number, shift = 0, 0
    return numbers
