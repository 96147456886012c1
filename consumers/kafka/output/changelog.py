"""The changelog (state topic): keys and values of its records, and the state that a whole partition of it gives.

A compacted topic, partitioned like the input. Keys are JSON arrays, so that `kafka-console-consumer` shows them:
`["call-17","u3"]` a segment, `["call-17"]` a session, `[]` the partition's own record. A value is one MessagePack array
that begins with the schema number; no value (a tombstone) means that the key was removed. All taggers of the group
share a record, so that the changes of one message are atomic.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from consumers.common.errors import OperationFailed
from consumers.kafka.output.dead_letter import HeaderSequence
from stream.sessions.snapshot import (
    Entry,
    SavedSession,
    SegmentState,
    SessionState,
    StoredSegment,
    restore_sessions,
)

SCHEMA = 2
"""Rises when the meaning of a record changes. Records with another number are refused: up to 1, each tagger had its own
keys and records."""

PARTITION_KEY = b"[]"

Ranges = tuple[tuple[int, int], ...]
"""Ranges of offsets: first and end (exclusive) of each."""


class ChangelogError(OperationFailed):
    """The changelog cannot be used; the message names the record and says what to do."""


class StateLost(OperationFailed):
    """The brokers no longer have states that they had acknowledged.

    Args:
        topic: the state topic.
        partition: of it.
        end: offset at which it ends now.
        known: offset up to which records were acknowledged.
    """

    def __init__(self, topic: str, partition: int, end: int, known: int) -> None:
        super().__init__(
            f"topic {topic}, partition {partition}: it ends at offset {end}, but had records up to {known}. It was"
            " deleted and created again, or its brokers lost records. Look at its settings (hearken topics check), then"
            " start again to go on, where open sessions begin anew with rev 1; or with another --group and state topic,"
            " to label the input from its beginning"
        )


StoredHeaders = tuple[tuple[tuple[str, bytes | None], ...], ...]
"""Headers of each of several messages."""


class SchemaHeader(msgspec.Struct, frozen=True, array_like=True):
    """First element of every value: a newer schema is recognised whatever follows."""

    schema: int


class SegmentRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """State of one segment."""

    schema: int
    state: SegmentState
    outbox: tuple[bytes, ...] = ()
    """Encoded revisions of the session that may not have been published yet (at least once only)."""
    unprompted: bool = False
    """Whether no input record caused some of them (idle expiry): re-reading the input would not reproduce them."""
    redacted: tuple[bytes, ...] = ()
    """Encoded messages of the redacted stream that may not have been published yet (at least once only)."""
    headers: StoredHeaders = ()
    """Headers of the messages in `outbox`, then of those in `redacted`; empty if none has any."""


class StoredSegmentRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `SegmentRecord` as a restore reads it: its state stays undecoded (`StoredSegment`)."""

    schema: int
    state: msgspec.Raw
    outbox: tuple[bytes, ...] = ()
    unprompted: bool = False
    redacted: tuple[bytes, ...] = ()
    headers: StoredHeaders = ()


class SessionRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """State of one session."""

    schema: int
    state: SessionState
    outbox: tuple[bytes, ...] = ()
    unprompted: bool = False
    redacted: tuple[bytes, ...] = ()
    headers: StoredHeaders = ()


class PartitionRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """The partition's own record: group and topic of the changelog, finished offsets beyond the committed one."""

    schema: int
    group: str
    topic: str
    done: Ranges = ()
    """Finished input offsets after an unfinished one (exactly once only)."""
    claim: bool = False
    """Whether a new owner has written it to claim the partition (`ownership.py`)."""
    position: int = 0
    """Everything before this input offset was done when it was written, whatever the group's offsets say later."""


R = TypeVar("R", StoredSegmentRecord, SessionRecord, PartitionRecord)
Outboxes = dict[str, tuple[int, StoredSegmentRecord | SessionRecord]]
"""By session: its newest record, after the `seq` of that."""

_ENCODER = msgspec.msgpack.Encoder()
_KEY = msgspec.json.Decoder(tuple[str, ...])
_HEAD = msgspec.msgpack.Decoder(SchemaHeader)
_SEGMENT = msgspec.msgpack.Decoder(StoredSegmentRecord)
_SESSION = msgspec.msgpack.Decoder(SessionRecord)
_PARTITION = msgspec.msgpack.Decoder(PartitionRecord)

KeyValue = tuple[bytes, bytes | None]
"""Key and value of a record."""


def encode_entry(
    entry: Entry,
    outbox: Sequence[bytes] = (),
    unprompted: bool = False,
    redacted: Sequence[bytes] = (),
    headers: Sequence[HeaderSequence] = (),
) -> KeyValue:
    """Encode the record of an entry; `headers` are those of the messages in `outbox`, then of those in `redacted`."""
    key = msgspec.json.encode([entry.session, *([] if entry.segment is None else [entry.segment])])
    if entry.value is None:
        return key, None
    kind = SessionRecord if isinstance(entry.value, SessionState) else SegmentRecord
    stored = tuple(map(tuple, headers)) if any(headers) else ()
    value = kind(SCHEMA, entry.value, tuple(outbox), unprompted, tuple(redacted), stored)  # type: ignore[arg-type]
    return key, _ENCODER.encode(value)


def encode_partition_record(
    group: str, topic: str, done: Ranges = (), claim: bool = False, position: int = 0
) -> KeyValue:
    """Encode the partition's own record."""
    return PARTITION_KEY, _ENCODER.encode(PartitionRecord(SCHEMA, group, topic, done, claim, position))


def is_claim(value: bytes | None) -> bool:
    """Whether the value of a partition's own record claims the partition for a new owner."""
    try:
        return value is not None and _PARTITION.decode(value).claim
    except msgspec.MsgspecError:
        return False


@dataclass(slots=True)
class RestoredPartition:
    """State of one partition of the changelog."""

    sessions: dict[str, SavedSession] = field(default_factory=dict)
    outbox: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """By session: the outbox of its newest record, if that is not empty."""
    redacted: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """The same of the redacted stream."""
    headers: dict[str, StoredHeaders] = field(default_factory=dict)
    """By session: the headers of the messages in `outbox`, then of those in `redacted`, if any has some."""
    unprompted: set[str] = field(default_factory=set)
    """Sessions whose outbox has revisions that no input record caused."""
    done: Ranges = ()
    position: int = 0
    """Everything before this input offset is done."""
    has_owner: bool = False
    """Whether the partition has its own record, which every owner writes."""


def read_changelog(records: Iterable[tuple[int, KeyValue]], group: str, topic: str, where: str) -> RestoredPartition:
    """Restore the state of a partition from the last record of each key, in the order of the log.

    Args:
        records: offset, key and value of each.
        group: our consumer group.
        topic: the input topic.
        where: topic and partition, for error messages.

    Raises:
        ChangelogError: a record of another program or of another schema.
    """
    restored = RestoredPartition()
    outboxes: Outboxes = {}
    entries = []
    for offset, (key, value) in records:
        place = f"{where}, offset {offset}"
        names = _read_key(key, place)
        if not names:
            _read_partition_record(restored, _decode(_PARTITION, value, place), group, topic, where)
        else:
            entries.append(_read_entry(names, value, outboxes, place))
    restored.sessions = restore_sessions(entries)
    newest = {session: record for session, (_, record) in outboxes.items() if session in restored.sessions}
    restored.outbox = {session: record.outbox for session, record in newest.items() if record.outbox}
    restored.redacted = {session: record.redacted for session, record in newest.items() if record.redacted}
    restored.headers = {session: record.headers for session, record in newest.items() if record.headers}
    restored.unprompted = {session for session, record in newest.items() if record.unprompted}
    return restored


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


def _read_partition_record(
    restored: RestoredPartition, record: PartitionRecord | None, group: str, topic: str, where: str
) -> None:
    if record is None:
        return
    if (record.group, record.topic) != (group, topic):
        raise ChangelogError(
            f"{where} keeps the state of group {record.group!r} on topic {record.topic!r}, not of group {group!r} on"
            f" {topic!r}: each needs one of its own. Name another with --state-topic"
        )
    restored.done, restored.position, restored.has_owner = record.done, record.position, True


def _read_entry(names: tuple[str, ...], value: bytes | None, outboxes: Outboxes, place: str) -> Entry:
    """Read an entry; in `outboxes` the newest record of its session is noted: the highest `seq`, of equals the last."""
    session, segment = names[0], names[1] if len(names) > 1 else None
    state: StoredSegment | SessionState | None = None
    if segment is None:
        if (of_session := _decode(_SESSION, value, place)) is None:
            outboxes.pop(session, None)
        else:
            state = of_session.state
            _note_outbox(outboxes, session, state.seq, of_session)
    elif (of_segment := _decode(_SEGMENT, value, place)) is not None:
        try:
            state = StoredSegment(of_segment.state)
        except msgspec.MsgspecError as error:
            raise _foreign_state(place, error) from None
        _note_outbox(outboxes, session, state.seq, of_segment)
    return Entry(session, segment, state)


def _note_outbox(outboxes: Outboxes, session: str, seq: int, record: StoredSegmentRecord | SessionRecord) -> None:
    known = outboxes.get(session)
    if known is None or seq >= known[0]:
        outboxes[session] = seq, record


def _decode(decoder: "msgspec.msgpack.Decoder[R]", value: bytes | None, place: str) -> R | None:
    if value is None:
        return None
    failure: msgspec.MsgspecError | None = None
    schema = SCHEMA
    try:
        record = decoder.decode(value)
        schema = record.schema
        if schema == SCHEMA:
            return record
    except msgspec.MsgspecError as error:
        failure = error
        with suppress(msgspec.MsgspecError):  # another schema may have other fields
            schema = _HEAD.decode(value).schema
    if schema < SCHEMA:
        raise ChangelogError(_explain_older(place, schema))
    if schema == SCHEMA:
        raise _foreign_state(place, failure)
    raise ChangelogError(
        f"{place} was written by a newer Hearken (schema {schema}, this one knows {SCHEMA}):"
        " start that version again, or name another topic with --state-topic and lose what is open"
    )


def _foreign_state(place: str, error: Exception | None) -> ChangelogError:
    return ChangelogError(
        f"{place}: no state of ours ({error}); is the topic another program's? Name one with --state-topic"
    )


def _explain_older(place: str, schema: int) -> str:
    return (
        f"{place} was written by an older Hearken (schema {schema}, this one knows {SCHEMA}): let that version finish"
        " what is open, then name another topic with --state-topic; or name one now and lose what is open"
    )


def to_ranges(offsets: Iterable[int]) -> Ranges:
    """Convert offsets to ranges."""
    ranges: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if ranges and ranges[-1][1] == offset:
            ranges[-1] = ranges[-1][0], offset + 1
        else:
            ranges.append((offset, offset + 1))
    return tuple(ranges)


def from_ranges(ranges: Ranges) -> Iterator[int]:
    """Iterate over the offsets of all ranges."""
    for first, end in ranges:
        yield from range(first, end)
