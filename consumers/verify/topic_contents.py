"""Contents of the output topics as a reader sees them: revisions without repeats, and dead letters by origin."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

import msgspec

from consumers.common.settings import Guarantee
from consumers.kafka.in_flight import ConsumedRecord
from consumers.kafka.output.dead_letter import MAX_KEY, MAX_VALUE
from consumers.verify.report import VerifyReport
from stream.messages.types import Revision

decode_revision = msgspec.json.Decoder(Revision).decode


class ConsumedLetter(ConsumedRecord, Protocol):
    """A dead letter as consumed."""

    headers: Sequence[tuple[str, bytes]]


Stream = tuple[str, str]
"""Tagger and session, for which `rev` is counted."""


@dataclass(slots=True)
class Revisions:
    """Published revisions.

    Attributes:
        raw: values of each stream by rev; compared ones are removed.
        answers: values by the (session, offset) that they answer.
    """

    raw: dict[Stream, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    answers: dict[tuple[str, int], list[bytes]] = field(default_factory=lambda: defaultdict(list))


def read_revisions(
    records: Iterable[ConsumedRecord], taggers: Collection[str], guarantee: Guarantee, report: VerifyReport
) -> Revisions:
    """Read the output topic, each partition in order; drops repeats and checks the order."""
    found = Revisions()
    last: dict[Stream, tuple[int, int]] = {}
    for record in records:
        where = f"output partition {record.partition}, offset {record.offset}"
        try:
            revision = decode_revision(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            report.add("stray", where, "this is not a revision")
            continue
        if revision.tagger not in taggers:
            continue
        if record.key != revision.session.encode():
            report.add("altered", where, "its key is not the revision's session")
        stream = revision.tagger, revision.session
        where = name_revision(*stream, revision.rev)
        mine = found.raw[stream]
        if revision.rev in mine:
            _check_repeat(where, mine[revision.rev], record, guarantee, report)
            continue
        rev, offset = last.get(stream, (0, -1))
        if revision.rev != rev + 1:
            report.add("order", where, f"it follows rev {rev}")
        elif revision.offset < offset:
            report.add("order", where, f"it answers offset {revision.offset} after {offset} was answered")
        last[stream] = revision.rev, revision.offset
        mine[revision.rev] = raw = record.value or b""
        found.answers[revision.session, revision.offset].append(raw)
        report.revisions += 1
    return found


def name_revision(tagger: str, session: str, rev: int) -> str:
    """Return a description of a revision."""
    return f"session {session}, tagger {tagger}, rev {rev}"


def _check_repeat(where: str, first: bytes, record: ConsumedRecord, guarantee: Guarantee, report: VerifyReport) -> None:
    report.repeats += 1
    if guarantee == "exactly_once":
        report.add("doubled", where, "it is repeated")
    elif record.value != first:
        report.add("doubled", where, "it was read before with another content")


Place = tuple[int, int]
"""Partition and offset in the input topic."""


@dataclass(frozen=True, slots=True)
class DeadLetterCause:
    """Reason and content of a dead letter."""

    reason: str
    copy: bytes
    """Digest of key and value."""


def digest(record: ConsumedRecord) -> bytes:
    """Hash the part of a record that its dead letter keeps."""
    key = b"-" if record.key is None else b"+" + record.key[:MAX_KEY]
    value = (record.value or b"")[:MAX_VALUE]
    return blake2b(len(key).to_bytes(4, "big") + key + value, digest_size=16).digest()


def read_letters(
    records: Iterable[ConsumedLetter], topic: str, guarantee: Guarantee, report: VerifyReport
) -> dict[Place, DeadLetterCause]:
    """Read the dead letters of records of `topic`, by the place of the record."""
    found: dict[Place, DeadLetterCause] = {}
    for record in records:
        headers = dict(record.headers)
        where = f"dead-letter partition {record.partition}, offset {record.offset}"
        try:
            source, reason = headers["topic"].decode(), headers["reason"].decode()
            place = int(headers["partition"]), int(headers["offset"])
        except (KeyError, ValueError):
            report.add("stray", where, "its headers do not name its source record")
            continue
        if source != topic:
            continue
        report.letters += 1
        letter = DeadLetterCause(reason, digest(record))
        first = found.setdefault(place, letter)
        if first is letter:
            continue
        where = f"input partition {place[0]}, offset {place[1]}"
        if guarantee == "exactly_once":
            report.add("doubled", where, "it has two dead letters")
        elif first != letter:
            report.add("doubled", where, "it has two different dead letters")
    return found
