"""The changelog: what the topic of kept states holds. Keys and values of its records, and what a whole partition says.

A compacted topic, partitioned like the input. Keys are JSON arrays, so that `kafka-console-consumer` shows them:
`["call-17","u3"]` a segment, `["call-17"]` a session, `[]` the partition's own record. A value is one MessagePack array
that begins with the number of its schema; no value (a tombstone) means that the key is gone. All taggers of the group
share a record: what one message changed is written whole or not at all.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from consumers.common.errors import OperationFailed
from stream.sessions.snapshot import Entry, SavedSession, SegmentState, SessionState, restore_sessions

SCHEMA = 2
"""Rises when a record's meaning changes. What was written with another number is refused: up to 1, each tagger had keys
and records of its own."""

PARTITION_KEY = b"[]"

Ranges = tuple[tuple[int, int], ...]
"""Offsets, first and end (exclusive) of each run."""


class ChangelogError(OperationFailed):
    """The changelog cannot be used; the message says which record and what to do."""


class SchemaHeader(msgspec.Struct, frozen=True, array_like=True):
    """What every value begins with, so that a newer one is recognised whatever follows."""

    schema: int


class SegmentRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One segment."""

    schema: int
    state: SegmentState
    outbox: tuple[bytes, ...] = ()
    """Revisions of the session that may not have been published yet, as they are written (at least once only)."""
    unasked: bool = False
    """Whether no message will come again for some of them: the session was idle."""


class SessionRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One session."""

    schema: int
    state: SessionState
    outbox: tuple[bytes, ...] = ()
    unasked: bool = False


class PartitionRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Whose changelog this is, and how far its owner was beyond the committed offset."""

    schema: int
    group: str
    topic: str
    done: Ranges = ()
    """Input offsets that are done although one before them is not (exactly once only)."""


R = TypeVar("R")

_ENCODER = msgspec.msgpack.Encoder()
_KEY = msgspec.json.Decoder(tuple[str, ...])
_HEAD = msgspec.msgpack.Decoder(SchemaHeader)
_SEGMENT = msgspec.msgpack.Decoder(SegmentRecord)
_SESSION = msgspec.msgpack.Decoder(SessionRecord)
_PARTITION = msgspec.msgpack.Decoder(PartitionRecord)

Pair = tuple[bytes, bytes | None]
"""A record's key and value."""


def encode_entry(entry: Entry, outbox: Sequence[bytes] = (), unasked: bool = False) -> Pair:
    """Make the record of an entry."""
    key = msgspec.json.encode([entry.session, *([] if entry.segment is None else [entry.segment])])
    if entry.value is None:
        return key, None
    kind = SessionRecord if isinstance(entry.value, SessionState) else SegmentRecord
    return key, _ENCODER.encode(kind(SCHEMA, entry.value, tuple(outbox), unasked))  # type: ignore[arg-type]


def encode_partition(group: str, topic: str, done: Ranges = ()) -> Pair:
    """Make the partition's own record."""
    return PARTITION_KEY, _ENCODER.encode(PartitionRecord(SCHEMA, group, topic, done))


@dataclass(slots=True)
class RestoredPartition:
    """What a partition of the changelog says."""

    sessions: dict[str, SavedSession] = field(default_factory=dict)
    outbox: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """By session: what its newest record has in its outbox, if anything."""
    unasked: set[str] = field(default_factory=set)
    """Sessions that have something in it that no message asks for."""
    done: Ranges = ()
    owned: bool = False
    """Whether it has its own record already."""


def read_changelog(records: Iterable[tuple[int, Pair]], group: str, topic: str, where: str) -> RestoredPartition:
    """Make sense of the last record of each key, in the order of the log.

    Args:
        records: offset, and key and value.
        group: the consumer group that we are.
        topic: the input topic.
        where: names the topic and partition, for errors.

    Raises:
        ChangelogError: a record is not ours, or of another version.
    """
    kept = RestoredPartition()
    entries = []
    for offset, (key, value) in records:
        place = f"{where}, offset {offset}"
        names = _read_key(key, place)
        if not names:
            _own(kept, _decode(_PARTITION, value, place), group, topic, where)
        else:
            entries.append(_read_entry(names, value, kept, place))
    kept.sessions = restore_sessions(entries)
    kept.outbox = {session: outbox for session, outbox in kept.outbox.items() if session in kept.sessions and outbox}
    return kept


def _read_key(key: bytes, place: str) -> tuple[str, ...]:
    try:
        names = _KEY.decode(key)
    except msgspec.MsgspecError:
        names = ("",)
    if len(names) == 3:
        raise ChangelogError(_explain_older(place, 1))
    if len(names) > 3 or names == ("",):
        raise ChangelogError(f"{place}: no key of ours; is the topic another program's? Name one with --state-topic")
    return names


def _own(kept: RestoredPartition, record: PartitionRecord | None, group: str, topic: str, where: str) -> None:
    if record is None:
        return
    if (record.group, record.topic) != (group, topic):
        raise ChangelogError(
            f"{where} keeps the state of group {record.group!r} on topic {record.topic!r}, not of group {group!r} on"
            f" {topic!r}: each needs one of its own. Name another with --state-topic"
        )
    kept.done, kept.owned = record.done, True


def _read_entry(names: tuple[str, ...], value: bytes | None, kept: RestoredPartition, place: str) -> Entry:
    session = names[0]
    if len(names) == 1:
        head = _decode(_SESSION, value, place)
        _read_outbox(session, head, kept)
        return Entry(session, None, head.state if head else None)
    segment = _decode(_SEGMENT, value, place)
    if segment:
        _read_outbox(session, segment, kept)
    return Entry(session, names[1], segment.state if segment else None)


def _read_outbox(session: str, record: SegmentRecord | SessionRecord | None, kept: RestoredPartition) -> None:
    kept.outbox[session] = record.outbox if record else ()
    kept.unasked.discard(session)
    if record and record.unasked:
        kept.unasked.add(session)


def _decode(decoder: "msgspec.msgpack.Decoder[R]", value: bytes | None, place: str) -> R | None:
    if value is None:
        return None
    try:
        schema = _HEAD.decode(value).schema
        if schema == SCHEMA:
            return decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise ChangelogError(
            f"{place}: no state of ours ({error}); is the topic another program's? Name one with --state-topic"
        ) from None
    if schema < SCHEMA:
        raise ChangelogError(_explain_older(place, schema))
    raise ChangelogError(
        f"{place} was written by a newer Hearken (schema {schema}, this one knows {SCHEMA}):"
        " start that version again, or name another topic with --state-topic and lose what is open"
    )


def _explain_older(place: str, schema: int) -> str:
    return (
        f"{place} was written by an older Hearken (schema {schema}, this one knows {SCHEMA}): let that version finish"
        " what is open, then name another topic with --state-topic; or name one now and lose what is open"
    )


def to_ranges(offsets: Iterable[int]) -> Ranges:
    """Sort offsets into runs."""
    runs: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if runs and runs[-1][1] == offset:
            runs[-1] = runs[-1][0], offset + 1
        else:
            runs.append((offset, offset + 1))
    return tuple(runs)


def from_ranges(ranges: Ranges) -> Iterator[int]:
    """Give the offsets of all runs."""
    for first, end in ranges:
        yield from range(first, end)
