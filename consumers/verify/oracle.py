"""Oracle: compares published revisions with those that one process computes from the same input.

Pure functions of records; consumers/verify/topic_check.py reads them from Kafka. A problem names session, segment,
tagger, rev and offset, never a text. Revisions of the engine's taggers are compared; others are ignored.

With `exact`, every revision must equal the oracle's byte for byte, except for the last digits of `stability`. That
holds for the policy `always` without coalescing and without overload control, where a revision depends on its session's
messages only. Otherwise order, ids, lists, texts and all final labels are compared. The oracle has no clock: sessions
must not have expired.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from consumers.common.settings import Guarantee
from consumers.formats.decode import BadInput
from consumers.formats.readers import NormalReader
from consumers.kafka.in_flight import ConsumedRecord
from consumers.verify.invariants import InvariantChecker
from consumers.verify.report import VerifyReport
from consumers.verify.topic_contents import (
    ConsumedLetter,
    DeadLetterCause,
    Place,
    Revisions,
    decode_revision,
    index_dead_letters,
    name_revision,
    read_revisions,
)
from stream.engine.engine import Engine
from stream.messages.errors import InputError
from stream.messages.types import Message, Revision

CHUNK = 512
"""Messages submitted to the engine at once."""

ROUNDING = 1e-3
"""Tolerance of `stability`: matrices of other heights are summed in another order, in 16 bits."""

_NEVER = 1 << 63

Final = tuple[str, str, str, int]
"""Tagger, session, segment and offset of a final revision."""
SpanRows = list[tuple[int, int, str, str]]
FinalLabels = tuple[SpanRows, dict[str, float]]
"""Spans and text scores of a final revision."""


@dataclass(frozen=True, slots=True)
class RecordedTopics:
    """Records of the three topics (read committed), each partition in order of its offsets."""

    inputs: Iterable[ConsumedRecord]
    outputs: Iterable[ConsumedRecord]
    letters: Iterable[ConsumedLetter]


def verify_records(
    recorded: RecordedTopics,
    engine: Engine,
    topic: str,
    *,
    guarantee: Guarantee,
    exact: bool,
    until: Mapping[int, int] | None = None,
) -> VerifyReport:
    """Compare the published records with those of the engine.

    Args:
        engine: a new one with the service's taggers and policy, not coalescing and without idle expiry.
        topic: the input topic, as dead letters name it.
        guarantee: at_least_once allows identical repeats.
        until: first offset of each input partition that is not compared; answers to later ones are ignored.
    """
    report = VerifyReport()
    revisions = read_revisions(recorded.outputs, engine.tagger_names, guarantee, report)
    letters = index_dead_letters(recorded.letters, topic, guarantee, report)
    oracle = _Oracle(engine, exact, report, revisions, letters)
    limits, reader = until or {}, NormalReader()
    later: dict[str, int] = {}
    for record in recorded.inputs:
        if record.offset < limits.get(record.partition, _NEVER):
            oracle.add_record(record)
        else:
            with suppress(BadInput, InputError):
                for message in reader.read(record.value, None, record.offset):
                    later.setdefault(message.session, record.partition)
    oracle.finish(limits, later)
    return report


class _Oracle:
    def __init__(
        self,
        engine: Engine,
        exact: bool,
        report: VerifyReport,
        revisions: Revisions,
        letters: dict[Place, DeadLetterCause],
    ) -> None:
        self._engine = engine
        self._exact = exact
        self._report = report
        self._revisions = revisions
        self._letters = letters
        self._invariants = InvariantChecker(report)
        self._expected = self._invariants.expected
        self._chunk: list[tuple[ConsumedRecord, Message]] = []
        self._reader = NormalReader()

    def add_record(self, record: ConsumedRecord) -> None:
        """Add the next input record of its partition."""
        self._report.messages += 1
        try:
            for message in self._reader.read(record.value, record.key, record.offset):
                if self._expected.is_elsewhere(message.session, record.partition):
                    self._letters.pop((record.partition, record.offset), None)
                    return
                self._engine.submit(message, record.offset)
                self._expected.partitions.setdefault(message.session, record.partition)
                self._chunk.append((record, message))
        except (BadInput, InputError) as error:
            self._expect_letter(record, error.reason)
        if len(self._chunk) >= CHUNK:
            self._compare_chunk()

    def finish(self, until: Mapping[int, int], later: Mapping[str, int]) -> None:
        """Finish after the last input record: remaining output has no cause."""
        self._compare_chunk()
        partitions, scattered = self._expected.partitions, self._expected.scattered
        self._report.sessions, self._report.scattered = len(partitions), len(scattered)
        for (tagger, session), left in self._revisions.raw.items():
            limit = until.get(partitions.get(session, later.get(session, -1)), _NEVER)
            for rev, raw in left.items():
                if session not in scattered and decode_revision(raw).offset < limit:
                    self._report.add("stray", name_revision(tagger, session, rev), "no input explains it")
        for (partition, offset), letter in self._letters.items():
            if offset < until.get(partition, _NEVER):
                where = f"input partition {partition}, offset {offset}"
                self._report.add("stray", where, f"it has a dead letter ({letter.reason}), but is valid")

    def _expect_letter(self, record: ConsumedRecord, reason: str, optional: bool = False) -> None:
        where = f"input partition {record.partition}, offset {record.offset}"
        self._report.bad += 1
        letter = self._letters.pop((record.partition, record.offset), None)
        if letter is None:
            if not optional:
                self._report.add("lost", where, f"it has no dead letter ({reason})")
        elif letter.reason != reason:
            self._report.add("altered", where, f"its dead letter says {letter.reason} instead of {reason}")
        elif not letter.is_copy_of(record):
            self._report.add("altered", where, "its dead letter is not a copy of it")

    def _compare_chunk(self) -> None:
        """Label the chunk and compare. Failures must be known before its messages are checked."""
        wanted: list[Revision] = []
        failed: set[tuple[str, int]] = set()
        while self._engine.pending:
            result = self._engine.step()
            wanted += result.revisions
            failed.update((failure.session, failure.offset) for failure in result.failures)
        finals = _Finals(self._report)
        for record, message in self._chunk:
            self._check_record(record, message, (message.session, record.offset) in failed, finals)
        self._chunk.clear()
        for revision in wanted:
            if revision.session in self._expected.scattered:
                continue
            if self._exact:
                self._compare_bytes(revision)
            elif revision.final:
                finals.compare(revision)
        if not self._exact:
            finals.finish(self._expected.scattered)

    def _check_record(self, record: ConsumedRecord, message: Message, failed: bool, finals: "_Finals") -> None:
        session, offset = message.session, record.offset
        if failed:
            # With coalescing the service may have skipped a text that fails.
            self._expect_letter(record, "labelling_failed", optional=not self._exact)
        read = [decode_revision(raw) for raw in self._revisions.answers.pop((session, offset), [])]
        if not self._exact:
            for revision in read:
                del self._revisions.raw[revision.tagger, session][revision.rev]
        changes = self._invariants.check_message(message, read, reset=failed)
        finals.add_published(offset, read)
        deleted = [x.segment for x in changes if x.deleted and not x.was_closed]
        finals.optional.update((tagger, session, x, offset) for tagger in self._engine.tagger_names for x in deleted)

    def _compare_bytes(self, revision: Revision) -> None:
        raw = self._revisions.raw[revision.tagger, revision.session].pop(revision.rev, None)
        where = name_revision(revision.tagger, revision.session, revision.rev)
        if raw is None:
            self._report.add("lost", where, f"the answer to offset {revision.offset} is missing")
        elif raw == msgspec.json.encode(revision):
            self._report.finals += revision.final
        elif _is_rounded(got := decode_revision(raw), revision):
            self._report.rounded += 1
            self._report.finals += revision.final
        else:
            self._report.add("altered", where, f"it differs from the oracle's in {_differences(got, revision)}")


class _Finals:
    """Final revisions of one chunk, published and expected.

    Attributes:
        optional: deletes of open segments, which are published or not depending on coalescing.
    """

    def __init__(self, report: VerifyReport) -> None:
        self._report = report
        self._published: dict[Final, FinalLabels] = {}
        self.optional: set[Final] = set()

    def add_published(self, offset: int, revisions: list[Revision]) -> None:
        self._published.update(
            {(x.tagger, x.session, x.segment, offset): (_span_rows(x), x.scores or {}) for x in revisions if x.final}
        )

    def compare(self, revision: Revision) -> None:
        key = (revision.tagger, revision.session, revision.segment, revision.offset)
        got = self._published.pop(key, None)
        where = _name_final(key)
        if got is not None and got[0] == _span_rows(revision) and _are_close(got[1], revision.scores or {}):
            self._report.finals += 1
        elif got is not None:
            self._report.add("altered", where, "its final labels are not those of one process")
        elif key not in self.optional:
            self._report.add("lost", where, "its final revision is missing")

    def finish(self, scattered: set[str]) -> None:
        for key in self._published.keys() - self.optional:
            if key[1] not in scattered:
                self._report.add("stray", _name_final(key), "one process would not have published this final revision")


def _name_final(key: Final) -> str:
    tagger, session, segment, offset = key
    return f"session {session}, segment {segment}, tagger {tagger}, offset {offset}"


def _span_rows(revision: Revision) -> SpanRows:
    return [(span.start, span.end, span.label, span.text) for span in revision.spans]


def _is_rounded(got: Revision, wanted: Revision) -> bool:
    """Whether the revisions are equal except for the last digits of `stability`, `score` and `scores`."""
    if _span_rows(got) != _span_rows(wanted):
        return False
    pairs = [*zip(got.spans, wanted.spans, strict=True)]
    spans = [replace(a, stability=b.stability, score=b.score) for a, b in pairs]
    close = all(
        abs(a.stability - b.stability) <= ROUNDING and abs((a.score or 0) - (b.score or 0)) <= ROUNDING
        for a, b in pairs
    )
    close = close and abs((got.score or 0) - (wanted.score or 0)) <= ROUNDING
    close = close and _are_close(got.scores or {}, wanted.scores or {})
    return close and replace(got, spans=tuple(spans), score=wanted.score, scores=wanted.scores) == wanted


def _are_close(got: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    """Whether text scores are equal except for their last digits."""
    return got.keys() == wanted.keys() and all(abs(got[name] - x) <= ROUNDING for name, x in wanted.items())


def _differences(got: Revision, wanted: Revision) -> str:
    """Return the names of differing fields, never their values."""
    names = [x for x in wanted.__struct_fields__ if x != "spans" and getattr(got, x) != getattr(wanted, x)]
    if _span_rows(got) != _span_rows(wanted):
        names.append("spans")
    elif got.spans != wanted.spans:
        pairs = [*zip(got.spans, wanted.spans, strict=True)]
        names += sorted({x for a, b in pairs for x in a.__struct_fields__ if getattr(a, x) != getattr(b, x)})
    return ", ".join(names) or "its bytes only"
