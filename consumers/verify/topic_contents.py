"""Contents of the output topics as a reader sees them: revisions without repeats, and dead letters by origin."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from typing import Protocol

import msgspec

from consumers.common.settings import Guarantee
from consumers.kafka.in_flight import ConsumedRecord
from consumers.kafka.output.dead_letter import HeaderSequence, original_headers, split_headers
from consumers.verify.report import VerifyReport
from stream.messages.types import Revision

decode_revision = msgspec.json.Decoder(Revision).decode


class ConsumedLetter(ConsumedRecord, Protocol):
    """A dead letter as consumed."""

    headers: Sequence[tuple[str, bytes | None]]


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
    """Digest of key, value and the record's own headers."""
    sizes: tuple[int, int]
    """Bytes of key and value; fewer than those of the record if it was cut."""
    complete: bool
    """Whether it has the record's headers."""

    def is_copy_of(self, record: ConsumedRecord) -> bool:
        """Whether this is the copy of a record, possibly cut."""
        headers = original_headers(record.headers) if self.complete else ()
        return self.copy == _digest(record.key, record.value, self.sizes, headers)


def _digest(key: bytes | None, value: bytes | None, sizes: tuple[int, int], headers: HeaderSequence) -> bytes:
    whole = blake2b(digest_size=16)
    for part in (key and key[: sizes[0]], value and value[: sizes[1]], *chain.from_iterable(headers)):
        data = part.encode() if isinstance(part, str) else part or b""
        whole.update(len(data).to_bytes(4, "big") + data)
    return whole.digest()


def _read_cause(record: ConsumedLetter, reason: str) -> DeadLetterCause:
    split = split_headers(record.headers)
    headers = dict(split[1] if split else record.headers)
    complete = split is not None and "header_bytes" not in headers
    sizes = [
        len(part or b"") if name in headers else 1 << 40  # what was not cut must be the whole
        for part, name in ((record.key, "key_bytes"), (record.value, "bytes"))
    ]
    key_size, value_size = sizes
    theirs = split[0] if split and complete else ()
    copy = _digest(record.key, record.value, (key_size, value_size), theirs)
    return DeadLetterCause(reason, copy, (key_size, value_size), complete)


def index_dead_letters(
    records: Iterable[ConsumedLetter], topic: str, guarantee: Guarantee, report: VerifyReport
) -> dict[Place, DeadLetterCause]:
    """Read the dead letters of records of `topic`, by the place of the record."""
    found: dict[Place, DeadLetterCause] = {}
    for record in records:
        split = split_headers(record.headers)
        headers = dict(split[1] if split else record.headers)
        where = f"dead-letter partition {record.partition}, offset {record.offset}"
        try:
            source, reason = (headers["topic"] or b"").decode(), (headers["reason"] or b"").decode()
            place = int(headers["partition"] or b""), int(headers["offset"] or b"")
        except (KeyError, ValueError):
            report.add("stray", where, "its headers do not name its source record")
            continue
        if source != topic:
            continue
        report.letters += 1
        letter = _read_cause(record, reason)
        first = found.setdefault(place, letter)
        if first is letter:
            continue
        where = f"input partition {place[0]}, offset {place[1]}"
        if guarantee == "exactly_once":
            report.add("doubled", where, "it has two dead letters")
        elif first != letter:
            report.add("doubled", where, "it has two different dead letters")
    return found
