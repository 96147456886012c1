"""Replay of a stream of updates through a labeller; it keeps the labels after each update as charts.

A final update is replayed as an update and then a closing, so that the cost of the closing restart is known; the engine
does both at once, for slightly less.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.model.config import HybridConfig
from encoder.restart.policies import RestartPolicy
from encoder.tagger import Tagger
from encoder.tokenizer.incremental import EMPTY, Encoded
from stream.evaluation.metrics.chart_metrics import Chart, Extents, Labels
from stream.evaluation.replay.examples import LabelledText, word_labels
from stream.evaluation.replay.shown_spans import Audience, EmissionLevels
from stream.evaluation.replay.update_stream import UpdateStream
from stream.labelling.labeller import NO_WORDS, Labeller, Labelling, PlanWork, SessionLabels, decode_single
from stream.messages.word_times import Times, word_extents
from stream.revisions.spans import first_change
from stream.sessions.operations import EndSession, Operation, Remove, Write
from stream.sessions.session import close_and_forget

Advance = Callable[[int], None]
"""Receives the number of operations (words, for labelled text) that were done."""
NO_LEVELS = EmissionLevels((), ())


def ignore_progress(operations: int) -> None:
    """Report no progress."""


@dataclass(slots=True)
class ReplayedSegment:
    """One segment: its current reading, and its history while it is open."""

    gold: LabelledText | None
    number: int
    """Position of its charts; charts of equal numbers stay in the order in which segments closed."""
    audiences: list[Audience]
    """Its readers under each level."""
    text: str = ""
    closed: bool = False
    reading: Labelling = NO_WORDS
    encoded: Encoded = EMPTY
    rows: list[Labels] = field(default_factory=list)
    rewritten: list[int] = field(default_factory=list)
    work: list[PlanWork] = field(default_factory=list)
    update_times: list[float | None] = field(default_factory=list)
    times: Times = ()

    def charts(self) -> list[Chart]:
        """Return the chart of the labels that were found, then of those shown under each level, while it was open."""
        if self.gold is not None:
            arrived, found = len(self.reading.ends), self.extents(self.reading)
            chart = Chart(self.rows, work=self.work, arrived=arrived, found=found)
        else:
            chart = Chart(
                self.rows,
                rewritten=self.rewritten,
                work=self.work,
                update_times=self.update_times,
                word_ends=word_ends(self.text, self.times, self.reading),
            )
        shown = (
            replace(chart, rows=x.rows, found=self.extents(x.shown.published), seen=x.seen) for x in self.audiences
        )
        return [chart, *shown]

    def extents(self, reading: Labelling) -> Extents | None:
        """Return the characters under the spans, if the gold text has some; white space in a span belongs to it."""
        if self.gold is None or self.gold.marks is None:
            return None
        return [(int(reading.starts[first]), int(reading.ends[end - 1])) for first, end, _ in reading.spans]


@dataclass(slots=True, eq=False)
class ReplayedSession:
    """One session."""

    labels: SessionLabels[Any]
    segments: dict[str, ReplayedSegment] = field(default_factory=dict)
    closed_tokens: int = 0
    """Tokens of its closed segments."""


class ReplayJob(NamedTuple):
    """A text to label."""

    session: ReplayedSession
    segment: ReplayedSegment
    write: Write


class StreamReplay:
    """Replay of one stream: its sessions run side by side, as live ones do.

    Args:
        labeller: labels the texts; it has one tagger.
        policy: where restarts begin.
        stream: the updates.
        levels: emission levels under which the found labels are also shown to readers (`charts_shown`).
        tagger: counts the FLOPs of the dense encoder (`dense_flops`); None: they are not counted.
    """

    def __init__(
        self,
        labeller: Labeller[Any],
        policy: RestartPolicy,
        stream: UpdateStream,
        levels: EmissionLevels = NO_LEVELS,
        tagger: Tagger | None = None,
    ) -> None:
        self.gold = stream.gold
        self.flops = 0
        """FLOPs of the updates, including edits of closed segments, which are in no chart."""
        self.closing_flops = 0
        """FLOPs of the closing restarts."""
        self._labeller = labeller
        self._policy = policy
        self._stream = stream
        self._levels = levels
        self._tagger = tagger
        self._sessions: dict[str, ReplayedSession] = {}
        self._charts: list[tuple[int, list[Chart]]] = []
        self._tokens: list[tuple[int, int]] = []
        """Tokens of the session, and of the updated segment alone, after each update."""

    def run(self, advance: Advance = ignore_progress) -> list[Chart]:
        """Replay the stream, once.

        Returns:
            A chart for each segment: in the order of the gold texts if there are any, else in an order that is the same
            for every policy.
        """
        for operations in self._stream.rounds:
            self._apply(operations)
            advance(len(operations))
        for session in self._sessions.values():
            for segment in session.segments.values():
                if not segment.closed:
                    self._charts.append((segment.number, segment.charts()))
            session.labels.free()
        self._charts.sort(key=lambda numbered: numbered[0])
        return [charts[0] for _, charts in self._charts]

    @property
    def charts_shown(self) -> list[list[Chart]]:
        """Charts of what readers were shown, by level, each in the order of `run`."""
        return [[charts[i + 1] for _, charts in self._charts] for i in range(len(self._levels.emissions))]

    @property
    def dense_flops(self) -> tuple[float, float]:
        """FLOPs of the dense encoder re-run on every update: over the session's last tokens, over the segment alone."""
        if self._tagger is None or not self._tokens:
            return 0.0, 0.0
        session, segment = np.array(self._tokens, np.int64).T
        return count_dense_flops(self._tagger.config, session), count_dense_flops(self._tagger.config, segment)

    def _apply(self, operations: Sequence[Operation]) -> None:
        jobs = []
        for operation in operations:
            if isinstance(operation, Write):
                jobs.append(self._make_job(operation))
            elif isinstance(operation, Remove):
                self._remove(operation)
            elif isinstance(operation, EndSession) and operation.session in self._sessions:
                self._sessions.pop(operation.session).labels.free()
        if changed := [job for job in jobs if job.segment.text != job.write.text]:
            self._update(changed)
        if closing := [job for job in jobs if job.write.final and not job.segment.closed]:
            self._close(closing)

    def _make_job(self, write: Write) -> ReplayJob:
        session = self._sessions.get(write.session)
        if session is None:
            session = self._sessions[write.session] = self._open_session()
        segment = session.segments.get(write.segment)
        if segment is None:
            gold = self.gold[write.offset] if self.gold else None
            segment = ReplayedSegment(gold, write.offset if gold else 0, self._levels.open_audiences())
            session.segments[write.segment] = segment
        segment.times = write.times if segment.text == write.text else segment.times
        return ReplayJob(session, segment, write)

    def _open_session(self) -> ReplayedSession:
        return ReplayedSession(self._labeller.open_session(self._policy))

    def _remove(self, operation: Remove) -> None:
        session = self._sessions[operation.session]
        segment = session.segments.pop(operation.segment, None)
        if segment is None:
            return
        session.labels.delete_segment(operation.segment)
        if segment.closed:
            session.closed_tokens -= len(segment.encoded.ids)
        elif segment.rows:
            self._charts.append((segment.number, segment.charts()))

    def _update(self, jobs: Sequence[ReplayJob]) -> None:
        """Label texts that changed."""
        readings, flops = self._compute(jobs, closing=False)
        self.flops += flops
        for job, reading in zip(jobs, readings, strict=True):
            segment, write = job.segment, job.write
            self._count_tokens(job)
            if not segment.closed:
                self._add_row(segment, write, reading)
            segment.text, segment.times, segment.reading = write.text, write.times, reading

    def _add_row(self, segment: ReplayedSegment, write: Write, reading: Labelling) -> None:
        for audience in segment.audiences:
            audience.rows.append(self._row(segment, audience.update(write.text, reading), len(segment.rows)))
        segment.rows.append(self._row(segment, reading, len(segment.rows)))
        segment.work.append(reading.work)
        if segment.gold is None:
            segment.rewritten.append(first_change(segment.text, segment.reading, write.text, reading)[0])
            segment.update_times.append(self._stream.times[write.offset])

    def _row(self, segment: ReplayedSegment, reading: Labelling, row: int) -> Labels:
        """Return the labels of row `row`: of the gold text's words if there is one, else of the tagger's words."""
        if segment.gold is None:
            return reading.labels
        return word_labels(reading, segment.gold.ends[: row + 1], self._stream.begin_table)

    def _close(self, jobs: Sequence[ReplayJob]) -> None:
        """Close segments with the text that they have."""
        readings, flops = self._compute(jobs, closing=True)
        self.closing_flops += flops
        for (session, segment, write), reading in zip(jobs, readings, strict=True):
            if segment.rows:
                self._charts.append((segment.number, self._closed_charts(segment, write.text, reading)))
            segment.reading = reading
            session.closed_tokens += len(segment.encoded.ids)
            for name in close_and_forget(session.segments, write.segment):
                session.labels.forget_segment(name)

    def _closed_charts(self, segment: ReplayedSegment, text: str, reading: Labelling) -> list[Chart]:
        charts, audiences = segment.charts(), segment.audiences
        finals = [reading, *(audience.update(text, reading, final=True) for audience in audiences)]
        return [
            replace(
                chart,
                closed=self._row(segment, final, len(segment.rows) - 1),
                closing=reading.work,
                closed_found=segment.extents(final),
                closed_seen=seen,
            )
            for chart, final, seen in zip(charts, finals, [None, *(x.seen for x in audiences)], strict=True)
        ]

    def _compute(self, jobs: Sequence[ReplayJob], *, closing: bool) -> tuple[list[Labelling], int]:
        """Label or close the texts of jobs (at least one); also returns the FLOPs."""
        plans = [job.session.labels.plan_segment(job.write.segment, job.write.text, closing) for job in jobs]
        before = self._labeller.counters().flops
        self._labeller.compute(plans)
        return decode_single(self._labeller, plans), self._labeller.counters().flops - before

    def _count_tokens(self, job: ReplayJob) -> None:
        if self._tagger is None:
            return
        session, segment = job.session, job.segment
        encoded, _, _ = self._tagger.tokenizer.update(segment.encoded, job.write.text)
        tokens, old = len(encoded.ids), len(segment.encoded.ids)
        if segment.closed:
            self._tokens.append((session.closed_tokens - old + tokens, tokens))
            session.closed_tokens += tokens - old
        else:
            self._tokens.append((session.closed_tokens + tokens, tokens))
        segment.encoded = encoded


def word_ends(text: str, times: Times, reading: Labelling) -> list[float | None]:
    """Return the end time of each word of the tagger, that of the timed word which contains it: (words,)."""
    if not times:
        return [None] * len(reading.ends)
    ends = [end for _, end in word_extents(text)]
    under = np.searchsorted(ends, reading.ends)
    return [None if (time := times[i]) is None else time[1] for i in under.tolist()]


def count_dense_flops(config: HybridConfig, tokens: NDArray[np.int64]) -> float:
    """Count the FLOPs of a bidirectional encoder of this shape over texts of these lengths, one pass each.

    They are those of every linear layer, both attention products and the head; a longer text is cut to the window.
    """
    n = np.minimum(tokens, config.window).astype(np.float64)
    linear = 2 * config.hidden * (4 * config.hidden + 2 * config.intermediate)
    layers = config.layers * (n * linear + n * n * 4 * config.hidden)
    ends = (config.embedding or 0) + config.scores  # linear layers before and after the encoder layers
    return float((layers + n * 2 * config.hidden * ends).sum())
