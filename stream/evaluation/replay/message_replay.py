"""Feeds messages in normal form, as a recogniser rewrote its text, through a labeller; keeps what stood after each.

The intake resolves them as it does for the engine. A final update is fed as an update and then a closing, so that the
closing restart can be told apart as it is in `stream.evaluation.replay.word_by_word`; the engine does both at once, for
a little less.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from encoder.restart.policies import RestartPolicy
from encoder.tagger import Tagger
from encoder.tokenizer.incremental import EMPTY, Encoded
from stream.evaluation.metrics.chart_metrics import Chart, Labels
from stream.evaluation.replay.flops import dense_flops
from stream.evaluation.replay.shown_spans import Audience, EmissionLevels
from stream.evaluation.replay.word_by_word import NO_LEVELS, Advance, ignore
from stream.ingest.queue import Intake
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.labeller import NO_WORDS, Labelling, PlanWork, SessionLabels, decode_single
from stream.messages.errors import InputError
from stream.messages.types import End, Message, Update
from stream.messages.word_times import Times, word_extents
from stream.revisions.spans import first_change
from stream.sessions.operations import EndSession, Operation, Remove, Write
from stream.sessions.session import close_and_forget

_ALL = 1 << 62


@dataclass(slots=True)
class _ReplayedSegment:
    """One segment as its labels stand, and its history."""

    text: str = ""
    closed: bool = False
    reading: Labelling = NO_WORDS
    encoded: Encoded = EMPTY
    rows: list[Labels] = field(default_factory=list)
    rewritten: list[int] = field(default_factory=list)
    work: list[PlanWork] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    said: Times = ()
    audiences: list[Audience] = field(default_factory=list)
    """Its readers under each level that is measured."""

    def chart(self) -> Chart:
        """What stood, as long as it was open."""
        said = word_ends(self.text, self.said, self.reading)
        return Chart(self.rows, rewritten=self.rewritten, work=self.work, times=self.times, said=said)

    def shown(self) -> list[Chart]:
        """What its readers were shown as long as it was open."""
        return [replace(self.chart(), rows=audience.rows, seen=audience.seen) for audience in self.audiences]


@dataclass(slots=True, eq=False)
class _ReplayedSession:
    live: SessionLabels[Any]
    segments: dict[str, _ReplayedSegment] = field(default_factory=dict)
    tokens: int = 0
    """Of closed segments."""


class _ReplayJob(NamedTuple):
    """A text to label: of which session and segment."""

    session: _ReplayedSession
    segment: _ReplayedSegment
    write: Write


class MessageReplay:
    """Streams fed as live sessions, each update in a step of its own.

    Args:
        tagger: what labels.
        policy: where restarts begin.
        messages: in order; times are seconds. A session that does not end is ended behind its last message.
        levels: under which what is found is also shown to readers (`charts_shown`).
    """

    def __init__(
        self, tagger: Tagger, policy: RestartPolicy, messages: Iterable[Message], levels: EmissionLevels = NO_LEVELS
    ) -> None:
        self.flops = 0
        """Of the updates, edits of closed segments among them."""
        self.closing_flops = 0
        """Of the closing restarts."""
        self.dense = 0.0
        """FLOPs of the dense encoder re-run on every update, over what the window shows of the session."""
        self.dense_open = 0.0
        """The same over the updated segment alone."""
        self.refused = 0
        """Messages that the intake refused."""
        self.charts_shown: list[list[Chart]] = [[] for _ in levels.emissions]
        """What readers were shown under each level; each in the order of the charts."""
        self.edits = 0
        """Updates of closed segments; they are computed whole under any policy, and are in no chart."""
        self._tagger = tagger
        self._policy = policy
        self._levels = levels
        self._labeller = HybridLabeller(tagger)
        self._sessions: dict[str, _ReplayedSession] = {}
        self._intake = Intake(coalesce=False)
        self._times: list[float | None] = []
        self._charts: list[Chart] = []
        self._listen(messages)

    def run(self, advance: Advance = ignore) -> list[Chart]:
        """Do all that was said, once; returns a chart a segment, in the same order under every policy.

        Args:
            advance: is told of operations done.
        """
        while operations := self._intake.take_operations(_ALL):
            self._do(operations)
            advance(len(operations))
        return self._charts

    @property
    def waiting(self) -> int:
        """Operations to do."""
        return self._intake.waiting

    def _listen(self, messages: Iterable[Message]) -> None:
        offset = -1
        for offset, message in enumerate(messages):
            self._times.append(message.time if isinstance(message, Update) else None)
            try:
                self._intake.accept(message, offset, 0.0)
            except InputError:
                self.refused += 1
        for name in self._intake.sessions:
            self._times.append(None)
            self._intake.accept(End(session=name), offset := offset + 1, 0.0)

    def _do(self, operations: Sequence[Operation]) -> None:
        """At most one operation of each session computes, and it is the last of its session."""
        jobs = []
        for operation in operations:
            if isinstance(operation, Write):
                jobs.append(self._open(operation))
            elif isinstance(operation, Remove):
                self._remove(operation)
            elif isinstance(operation, EndSession) and operation.session in self._sessions:
                self._sessions.pop(operation.session).live.free()
        self._update([job for job in jobs if job.segment.text != job.write.text])
        self._close([job for job in jobs if job.write.final and not job.segment.closed])

    def _open(self, write: Write) -> _ReplayJob:
        session = self._sessions.get(write.session)
        if session is None:
            session = self._sessions[write.session] = _ReplayedSession(self._labeller.open_session(self._policy))
        segment = session.segments.get(write.segment)
        if segment is None:
            segment = session.segments[write.segment] = _ReplayedSegment(audiences=self._levels.open())
        segment.said = write.times if segment.text == write.text else segment.said
        return _ReplayJob(session, segment, write)

    def _remove(self, operation: Remove) -> None:
        session = self._sessions[operation.session]
        segment = session.segments.pop(operation.segment, None)
        if segment is None:
            return
        session.live.delete_segment(operation.segment)
        if segment.closed:
            session.tokens -= len(segment.encoded.ids)
        elif segment.rows:
            self._keep(segment.chart(), segment.shown())

    def _keep(self, chart: Chart, shown: Sequence[Chart]) -> None:
        self._charts.append(chart)
        for charts, one in zip(self.charts_shown, shown, strict=True):
            charts.append(one)

    def _update(self, jobs: Sequence[_ReplayJob]) -> None:
        """Texts that changed."""
        readings, flops = self._run(jobs, closing=False)
        self.flops += flops
        for (session, segment, write), reading in zip(jobs, readings, strict=True):
            encoded, _, _ = self._tagger.tokenizer.update(segment.encoded, write.text)
            if segment.closed:
                self.edits += 1
                session.tokens -= len(segment.encoded.ids)
            self._count_dense(session.tokens, len(encoded.ids))
            if segment.closed:
                session.tokens += len(encoded.ids)
            else:
                segment.rows.append(reading.labels)
                segment.rewritten.append(first_change(segment.text, segment.reading, write.text, reading)[0])
                segment.work.append(reading.work)
                segment.times.append(self._times[write.offset])
                for audience in segment.audiences:
                    audience.rows.append(audience.update(write.text, reading).labels)
            segment.text, segment.said, segment.reading, segment.encoded = write.text, write.times, reading, encoded

    def _close(self, jobs: Sequence[_ReplayJob]) -> None:
        """Segments that are final now, with the text that they have."""
        readings, flops = self._run(jobs, closing=True)
        self.closing_flops += flops
        for (session, segment, write), reading in zip(jobs, readings, strict=True):
            if segment.rows:
                self._keep(*_closed(segment, write.text, reading))
            segment.reading = reading
            session.tokens += len(segment.encoded.ids)
            for name in close_and_forget(session.segments, write.segment):
                session.live.forget_segment(name)

    def _run(self, jobs: Sequence[_ReplayJob], *, closing: bool) -> tuple[list[Labelling], int]:
        if not jobs:
            return [], 0
        plans = [job.session.live.plan_segment(job.write.segment, job.write.text, closing) for job in jobs]
        before = self._labeller.counters().flops
        self._labeller.compute(plans)
        return decode_single(self._labeller, plans), self._labeller.counters().flops - before

    def _count_dense(self, before: int, tokens: int) -> None:
        self.dense += dense_flops(self._tagger.config, np.array([before + tokens]))
        self.dense_open += dense_flops(self._tagger.config, np.array([tokens]))


def _closed(segment: _ReplayedSegment, text: str, reading: Labelling) -> tuple[Chart, list[Chart]]:
    """What stood in a segment that closes, and what its readers were shown."""
    chart, shown = segment.chart(), segment.shown()
    for i, audience in enumerate(segment.audiences):
        labels = audience.update(text, reading, final=True).labels
        shown[i] = replace(shown[i], closed=labels, closing=reading.work, closed_seen=audience.seen)
    return replace(chart, closed=reading.labels, closing=reading.work), shown


def word_ends(text: str, times: Times, reading: Labelling) -> list[float | None]:
    """When each of the tagger's words was over, by the words between white space that hold them: (words,)."""
    if not times:
        return [None] * len(reading.ends)
    ends = [end for _, end in word_extents(text)]
    under = np.searchsorted(ends, reading.ends)
    return [None if (time := times[i]) is None else time[1] for i in under.tolist()]
