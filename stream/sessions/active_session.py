"""Active session: its state, its labels in the labeller, and how both become snapshot entries and come back from them
(`stream.sessions.snapshot`).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from encoder.restart.policies import RestartPolicy
from stream.labelling.labeller import Labeller, Labelling, SavedSegment, SessionLabels
from stream.messages.types import Revision, Span
from stream.revisions.span_diff import Difference
from stream.sessions.operations import Write
from stream.sessions.redactor import Redactor
from stream.sessions.session import REMEMBERED_SEGMENTS, Counters, PublishedSpans, Segment, Session
from stream.sessions.snapshot import Entry, LabelState, SavedSession, SegmentState, SessionState, SpanState


@dataclass(slots=True)
class ActiveSession:
    """Session with its state and labels. Methods that change what is stored return the snapshot entries for it."""

    state: Session
    labels: SessionLabels[Any]
    remember_segments: int = REMEMBERED_SEGMENTS
    """Closed segments that can still be edited or deleted."""
    number_formats: Mapping[str, str] = field(default_factory=dict)
    """Of each tagger of this engine, to be stored with its labels."""
    redactor: Redactor | None = None
    contexts: tuple[bytes, ...] = ()
    """The closed contexts as saved after the last closing: a failed step may have damaged those of the labeller."""
    readings: dict[str, tuple[Labelling, ...]] = field(default_factory=dict)
    """The last reading of each segment by each tagger."""
    _unread: set[str] = field(default_factory=set)
    """Restored segments whose words only the labeller has."""

    def previous_readings(self, name: str) -> tuple[Labelling, ...]:
        """Return the last reading of a segment by each tagger; empty for a new segment."""
        if name in self._unread:
            self._unread.discard(name)
            self.readings[name] = self.labels.restored_readings(name)
        return self.readings.get(name, ())

    def restore_labels(self, labeller: Labeller[Any], policy: RestartPolicy, saved: SavedSession) -> None:
        """Continue with the labels of a snapshot."""
        words = {name: {k: v.words for k, v in x.labels.items() if v.words} for name, x in saved.segments.items()}
        segments = [
            SavedSegment(name, x.text, x.closed, words[name]) for name, x in saved.segments.items() if words[name]
        ]
        self.labels = labeller.open_session(policy, segments, saved.contexts)
        self.contexts = saved.contexts
        self._unread = {x.segment for x in segments}

    def rebuild_labels(self, labeller: Labeller[Any], policy: RestartPolicy) -> None:
        """Replace the labels after a failed step by those from before it."""
        held = [(name, x, self.labels.save_segment(name)) for name, x in self.state.segments.items()]
        self.labels.free()
        self.labels = labeller.open_session(
            policy, [SavedSegment(name, x.text, x.closed, b) for name, x, b in held if b], self.contexts
        )

    def commit_update(
        self,
        write: Write,
        readings: tuple[Labelling, ...],
        differences: Iterable[tuple[str, Difference]],
        settled: Mapping[str, int],
    ) -> tuple[list[Revision], list[Entry]]:
        """Store the new text and readings of a segment, close it if it is final, and publish what changed.

        Args:
            write: the update; `Session.begin_change` and `Session.open_segment` were called for it.
            readings: of the new text, by each tagger.
            differences: by tagger; an empty one is published only if the segment closes.
            settled: the settled offset of the new text, by tagger.
        """
        name, segment = write.segment, self.state.segments[write.segment]
        closing = write.final and not segment.closed
        segment.store_text(write)
        for tagger, offset in settled.items():
            self.state.spans_of(tagger, name).settled = offset
        self.readings[name] = readings
        if self.redactor is not None:
            by_tagger = dict(zip(self.number_formats, readings, strict=True))
            self.redactor.redact_write(self.state, write, closing, by_tagger)
        forgotten = self.close_segment(name) if closing else ()
        words = self.save_segment(name)
        closed_by = write.closed_by if closing else None
        revisions = [self.state.revise(tagger, name, x, closed_by) for tagger, x in differences if x or closing]
        return revisions, self.snapshot_entries_after_write(name, words, forgotten)

    def save_segment(self, name: str) -> dict[str, bytes]:
        """Return the labeller's records of a segment; if it is closed, also save the closed contexts."""
        if self.state.segments[name].closed:
            self.contexts = self.labels.save_context()
        return self.labels.save_segment(name)

    def snapshot_entries_after_write(
        self, name: str, words: Mapping[str, bytes], forgotten: Iterable[str] = ()
    ) -> list[Entry]:
        """Return the entries of a segment that was written; `words` comes from `save_segment`."""
        segment = self.state.segments[name]
        state = _pack_segment(self.state, segment, words, self.number_formats)
        entry = Entry(self.state.id, name, state)
        if not segment.closed and self.state.labels_void_before < self.state.seq:
            return [entry]
        return [
            _session_entry(self.state, self.contexts, {name: state}, tuple(forgotten)),
            entry,
            *self._segment_tombstones(forgotten),
        ]

    def close_segment(self, name: str) -> list[str]:
        """Close a segment; returns the closed segments that are forgotten because of it."""
        forgotten = self.state.close_segment(name, self.remember_segments)
        for old, segment in forgotten.items():
            self.state.removed_at[old] = segment.applied
            self._forget_readings(old)
            self.labels.forget_segment(old)
        return list(forgotten)

    def delete_labels(self, name: str) -> None:
        """Remove a segment from the labeller and from the closed context."""
        self._forget_readings(name)
        self.labels.delete_segment(name)
        self.contexts = self.labels.save_context()

    def snapshot_entries_after_removal(self, names: Sequence[str]) -> list[Entry]:
        """Return the entries of segments that were removed."""
        self.state.removed_at.update(dict.fromkeys(names, self.state.offset))
        return [_session_entry(self.state, self.contexts, {}, tuple(names)), *self._segment_tombstones(names)]

    def reset_labels(self, labeller: Labeller[Any], policy: RestartPolicy) -> None:
        """Discard all labels and keep the texts. The next entry of the session itself says so."""
        with suppress(Exception):
            self.labels.free()
        self.labels = labeller.open_session(policy)
        self.contexts = self.labels.save_context()
        self.readings.clear()
        self._unread.clear()
        self.state.labels_void_before = self.state.seq
        for segment in self.state.segments.values():
            segment.published_spans = {}

    def _segment_tombstones(self, names: Iterable[str]) -> list[Entry]:
        return [Entry(self.state.id, name, None) for name in names]

    def _forget_readings(self, name: str) -> None:
        self._unread.discard(name)
        self.readings.pop(name, None)


def end_session(state: Session) -> list[Entry]:
    """Reduce a session to its gravestone."""
    names = list(state.segments)
    state.segments = {}
    state.redaction = None
    state.life_started_at = state.seq
    state.labels_void_before = 0
    return [_session_entry(state, ended=True), *(Entry(state.id, name, None) for name in names)]


def restore_state(session: str, saved: SavedSession, taggers: Iterable[str]) -> Session:
    """Build the state of a saved session; of taggers other than these it has only the counters."""
    return Session(
        id=session,
        counters={name: Counters(*counters) for name, counters in saved.counters.items()},
        offset=saved.offset,
        segments={name: _unpack_segment(x, taggers) for name, x in saved.segments.items()},
        seq=saved.seq,
        fully_applied_through=saved.offset,
        life_started_at=saved.life_started_at,
        labels_void_before=saved.labels_void_before,
        removed_at=dict(saved.removed_at),
    )


def _session_entry(
    state: Session,
    contexts: tuple[bytes, ...] = (),
    closing: dict[str, SegmentState] | None = None,
    removed: tuple[str, ...] = (),
    ended: bool = False,
) -> Entry:
    applied = state.fully_applied_through
    state.removed_at = {name: offset for name, offset in state.removed_at.items() if offset > applied}
    value = SessionState(
        seq=state.seq,
        counters=_pack_counters(state),
        offset=applied,
        ended=ended,
        life_started_at=state.life_started_at,
        labels_void_before=state.labels_void_before,
        contexts=contexts,
        closing=closing or {},
        removed=removed,
        removed_at=dict(state.removed_at),
        redaction=None if state.redaction is None else state.redaction.save(),
    )
    return Entry(state.id, None, value)


def _pack_segment(
    state: Session, segment: Segment, words: Mapping[str, bytes], number_formats: Mapping[str, str]
) -> SegmentState:
    return SegmentState(
        text=segment.text,
        order=segment.order,
        seq=state.seq,
        counters=_pack_counters(state),
        offset=state.fully_applied_through,
        applied=segment.applied,
        closed=segment.closed,
        times=segment.times,
        speaker=segment.speaker,
        channel=segment.channel,
        opened=segment.opened,
        confirmed=segment.confirmed,
        redaction=None
        if state.redaction is None or segment.redaction is None
        else state.redaction.save_segment_redaction(segment.redaction, segment.text),
        labels={
            name: _pack_labels(
                segment.published_spans.get(name) or PublishedSpans(),
                words.get(name, b""),
                number_formats.get(name, ""),
            )
            for name in (*words, *[x for x in segment.published_spans if x not in words])
        },
    )


def _pack_counters(state: Session) -> dict[str, tuple[int, int]]:
    return {name: (x.rev, x.next_span) for name, x in state.counters.items()}


def _pack_labels(shown: PublishedSpans, words: bytes, number_format: str) -> LabelState:
    if shown.packed is None:
        shown.packed = tuple(
            [
                SpanState(x.id, x.start, x.end, x.label, x.stability, x.start_time, x.end_time, x.score, x.speaker)
                for x in shown.spans
            ]
        )
    return LabelState(
        shown.published, shown.packed, words, number_format, shown.scores, shown.settled, shown.settled_told
    )


def _unpack_segment(x: SegmentState, taggers: Iterable[str]) -> Segment:
    shown = {
        name: PublishedSpans(
            _unpack_spans(x.text, x.channel, labels.spans),
            labels.published,
            scores=dict(labels.scores),
            settled=labels.settled,
            settled_told=labels.settled_told,
        )
        for name in taggers
        if (labels := x.labels.get(name))
    }
    return Segment(
        x.text, x.closed, x.times, shown, x.order, x.applied, x.opened, x.speaker, x.channel, confirmed=x.confirmed
    )


def _unpack_spans(text: str, channel: str | None, spans: Iterable[SpanState]) -> tuple[Span, ...]:
    return tuple(
        Span(
            id=x.id,
            start=x.start,
            end=x.end,
            label=x.label,
            text=text[x.start : x.end],
            stability=x.stability,
            start_time=x.start_time,
            end_time=x.end_time,
            speaker=x.speaker,
            channel=channel,
            score=x.score,
        )
        for x in spans
    )
