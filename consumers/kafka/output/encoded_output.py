"""Encoding of what a partition's writer writes: revisions, and states with their outbox."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from consumers.kafka.in_flight import InFlightRecord
from consumers.kafka.output.changelog import KeyValue, encode_entry
from consumers.kafka.output.dead_letter import DeadLetterRecord, HeaderSequence
from stream.sessions.snapshot import Entry, SessionState


class EncodedRevision(NamedTuple):
    """A revision as it is written."""

    session: str
    value: bytes
    """JSON."""
    headers: HeaderSequence = ()
    """See `revision_headers.py`."""


@dataclass(slots=True)
class EncodedOutput:
    """A `PartitionOutput` with encoded revisions."""

    entries: list[Entry]
    letters: list[DeadLetterRecord]
    revisions: list[EncodedRevision] = field(default_factory=list)
    redacted: list[tuple[str, EncodedRevision]] = field(default_factory=list)
    """Messages of the redacted stream, each with its session as the engine names it."""
    causes: list[InFlightRecord | None] = field(default_factory=list)
    """The record that caused each revision, if one did."""
    unprompted: set[str] = field(default_factory=set)
    """Sessions with revisions not caused by an input record (idle expiry): re-reading the input would not reproduce
    them."""


def find_gravestones(group: Iterable[EncodedOutput]) -> list[Entry]:
    """Find the entries of ended sessions that have neither a later entry in the group nor a tombstone."""
    last = {entry.session: entry for one in group for entry in one.entries if entry.segment is None or entry.value}
    return [entry for entry in last.values() if isinstance(entry.value, SessionState) and entry.value.ended]


def encode_with_outbox(group: Iterable[EncodedOutput]) -> list[KeyValue]:
    """Encode a group's entries, each with all revisions of its session, by any tagger, that the group has by then.

    A segment's entry is replaced by a newer one that follows it directly in its session. Others may not be left out:
    wherever the log is cut, a session must be as it was before or after some message.
    """
    outbox: dict[str, list[EncodedRevision]] = {}
    redacted: dict[str, list[EncodedRevision]] = {}
    records: dict[int, KeyValue] = {}
    newest: dict[str, tuple[int, Entry]] = {}
    unprompted: set[str] = set()
    numbers = count()
    for one in group:
        unprompted |= one.unprompted
        for revision in one.revisions:
            outbox.setdefault(revision.session, []).append(revision)
        for session, message in one.redacted:
            redacted.setdefault(session, []).append(message)
        for entry in one.entries:
            before = newest.get(entry.session)
            if before and entry.segment is not None and before[1].segment == entry.segment:
                del records[before[0]]
            number = next(numbers)
            name = entry.session
            waiting, released = outbox.get(name, ()), redacted.get(name, ())
            records[number] = encode_entry(
                entry,
                [x.value for x in waiting],
                name in unprompted,
                [x.value for x in released],
                [x.headers for x in (*waiting, *released)],
            )
            newest[entry.session] = number, entry
    return list(records.values())


def encode_newest(group: Iterable[EncodedOutput]) -> list[KeyValue]:
    """Encode the newest entry of each key, in order: enough where a group is atomic."""
    records: dict[tuple[str, str | None], Entry] = {}
    for one in group:
        for entry in one.entries:
            records.pop((entry.session, entry.segment), None)
            records[entry.session, entry.segment] = entry
    return [encode_entry(entry) for entry in records.values()]
