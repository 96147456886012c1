"""A session at work: its truth, its labels in the tagger, and how both are kept and restored
(`stream.sessions.snapshot`).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from encoder.restart.policies import RestartPolicy
from stream.labelling.labeller import Labeller, Labelling, SavedSegment, SessionLabels
from stream.messages.types import Span
from stream.sessions.session import REMEMBERED_SEGMENTS, Counters, PublishedSpans, Segment, Session
from stream.sessions.snapshot import Entry, LabelState, SavedSession, SegmentState, SessionState, SpanState


@dataclass(slots=True)
class ActiveSession:
    """A session at work. Methods that change what must be kept give the entries that say so."""

    truth: Session
    live: SessionLabels[Any]
    remembered: int = REMEMBERED_SEGMENTS
    """Closed segments that can still be edited or deleted."""
    contexts: tuple[bytes, ...] = ()
    """What the labeller said of closed segments when one last changed: a failed step may have spoilt its own."""
    readings: dict[str, tuple[Labelling, ...]] = field(default_factory=dict)
    """The words of its segments as each tagger last read them."""
    _unread: set[str] = field(default_factory=set)
    """Restored segments whose words only the labeller has."""

    def before(self, name: str) -> tuple[Labelling, ...]:
        """The words of a segment as they stand for each tagger; nothing for a segment that is new."""
        if name in self._unread:
            self._unread.discard(name)
            self.readings[name] = self.live.reading(name)
        return self.readings.get(name, ())

    def restore(self, labeller: Labeller[Any], policy: RestartPolicy, saved: SavedSession) -> None:
        """Go on with the labels that were kept."""
        words = {name: {k: v.words for k, v in x.labels.items() if v.words} for name, x in saved.segments.items()}
        kept = [SavedSegment(name, x.text, x.closed, words[name]) for name, x in saved.segments.items() if words[name]]
        self.live = labeller.open(policy, kept, saved.contexts)
        self.contexts = saved.contexts
        self._unread = {x.segment for x in kept}

    def rebuild(self, labeller: Labeller[Any], policy: RestartPolicy) -> None:
        """Something failed on the way: begin again from what stood before it."""
        held = [(name, x, self.live.save(name)) for name, x in self.truth.segments.items()]
        self.live.free()
        self.live = labeller.open(
            policy, [SavedSegment(name, x.text, x.closed, b) for name, x, b in held if b], self.contexts
        )

    def save(self, name: str) -> dict[str, bytes]:
        """Take down what the labeller has of a segment; if it is closed, also what closed ones leave to be seen."""
        if self.truth.segments[name].closed:
            self.contexts = self.live.save_context()
        return self.live.save(name)

    def wrote(self, name: str, words: Mapping[str, bytes], forgotten: Iterable[str] = ()) -> list[Entry]:
        """A segment was written; `words` is what `save` gave."""
        segment = self.truth.segments[name]
        state = _pack(self.truth, segment, words)
        one = Entry(self.truth.id, name, state)
        alone = not segment.closed and self.truth.reset < self.truth.seq
        return [one] if alone else [self._head({name: state}, forgotten), one, *self._tombstones(forgotten)]

    def close(self, name: str) -> list[str]:
        """Close a segment; returns the closed ones forgotten for it."""
        forgotten = self.truth.close(name, self.remembered)
        for old, segment in forgotten.items():
            self.truth.gone[old] = segment.applied
            self._let_go(old)
            self.live.forget(old)
        return list(forgotten)

    def delete(self, name: str) -> None:
        """Let the labeller, and the context, go on without a segment."""
        self._let_go(name)
        self.live.delete(name)
        self.contexts = self.live.save_context()

    def removed(self, names: Sequence[str]) -> list[Entry]:
        """Segments were taken back."""
        self.truth.gone.update(dict.fromkeys(names, self.truth.offset))
        return [self._head({}, names), *self._tombstones(names)]

    def reset(self, labeller: Labeller[Any], policy: RestartPolicy) -> None:
        """No label stands; texts do. The next entry that is written of the session itself says so."""
        with suppress(Exception):
            self.live.free()
        self.live = labeller.open(policy)
        self.contexts = self.live.save_context()
        self.readings.clear()
        self._unread.clear()
        self.truth.reset = self.truth.seq
        for segment in self.truth.segments.values():
            segment.shown = {}

    def _head(self, closing: dict[str, SegmentState], removed: Iterable[str]) -> Entry:
        return _head(self.truth, self.contexts, closing, tuple(removed))

    def _tombstones(self, names: Iterable[str]) -> list[Entry]:
        return [Entry(self.truth.id, name, None) for name in names]

    def _let_go(self, name: str) -> None:
        self._unread.discard(name)
        self.readings.pop(name, None)


def end_session(truth: Session) -> list[Entry]:
    """Leave nothing but a gravestone of it."""
    names = list(truth.segments)
    truth.segments = {}
    truth.begun = truth.seq
    truth.reset = 0
    return [_head(truth, ended=True), *(Entry(truth.id, name, None) for name in names)]


def restore_truth(session: str, saved: SavedSession, taggers: Iterable[str]) -> Session:
    """The truth of a session that was kept; of other taggers than these it has only the numbers."""
    return Session(
        id=session,
        numbers={name: Counters(*numbers) for name, numbers in saved.numbers.items()},
        offset=saved.offset,
        segments={name: _unpack(x, taggers) for name, x in saved.segments.items()},
        seq=saved.seq,
        done=saved.offset,
        begun=saved.begun,
        reset=saved.reset,
        gone=dict(saved.gone),
    )


def _head(
    truth: Session,
    contexts: tuple[bytes, ...] = (),
    closing: dict[str, SegmentState] | None = None,
    removed: tuple[str, ...] = (),
    ended: bool = False,
) -> Entry:
    truth.gone = {name: offset for name, offset in truth.gone.items() if offset > truth.done}
    state = SessionState(
        seq=truth.seq,
        numbers=_pack_numbers(truth),
        offset=truth.done,
        ended=ended,
        begun=truth.begun,
        reset=truth.reset,
        contexts=contexts,
        closing=closing or {},
        removed=removed,
        gone=dict(truth.gone),
    )
    return Entry(truth.id, None, state)


def _pack(truth: Session, segment: Segment, words: Mapping[str, bytes]) -> SegmentState:
    return SegmentState(
        text=segment.text,
        order=segment.order,
        seq=truth.seq,
        numbers=_pack_numbers(truth),
        offset=truth.done,
        applied=segment.applied,
        closed=segment.closed,
        times=segment.times,
        speaker=segment.speaker,
        channel=segment.channel,
        opened=segment.opened,
        labels={
            name: _pack_labels(segment.shown.get(name) or PublishedSpans(), words.get(name, b""))
            for name in (*words, *[x for x in segment.shown if x not in words])
        },
    )


def _pack_numbers(truth: Session) -> dict[str, tuple[int, int]]:
    return {name: (x.rev, x.next_span) for name, x in truth.numbers.items()}


def _pack_labels(shown: PublishedSpans, words: bytes) -> LabelState:
    if shown.packed is None:
        shown.packed = tuple([_pack_span(x) for x in shown.spans])
    return LabelState(shown.published, shown.packed, words)


def _pack_span(x: Span) -> SpanState:
    return SpanState(x.id, x.start, x.end, x.label, x.stability, x.start_time, x.end_time, x.score, x.speaker)


def _unpack(x: SegmentState, taggers: Iterable[str]) -> Segment:
    shown = {
        name: PublishedSpans(_unpack_spans(x.text, x.channel, labels.spans), labels.published)
        for name in taggers
        if (labels := x.labels.get(name))
    }
    return Segment(x.text, x.closed, x.times, shown, x.order, x.applied, x.opened, x.speaker, x.channel)


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
