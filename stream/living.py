"""A session at work: its truth, its labels in the tagger, and how both are kept and restored (`stream.state`)."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from encoder.restart import RestartPolicy
from stream.labeller import NO_WORDS, Kept, Labeller, Live, Reading
from stream.messages import Span
from stream.session import Segment, Session
from stream.state import Entry, Saved, SegmentState, SessionState, SpanState


@dataclass(slots=True)
class Living:
    """A session at work. Methods that change what must be kept give the entries that say so."""

    truth: Session
    live: Live[Any]
    context: bytes = b""
    """What the labeller said of closed segments when one last changed: a failed step may have spoilt its own."""
    readings: dict[str, Reading] = field(default_factory=dict)
    """The words of its segments as last read."""
    _unread: set[str] = field(default_factory=set)
    """Restored segments whose words only the labeller has."""

    def before(self, name: str) -> Reading:
        """The words of a segment as they stand."""
        if name in self._unread:
            self._unread.discard(name)
            self.readings[name] = self.live.reading(name)
        return self.readings.get(name, NO_WORDS)

    def restore(self, labeller: Labeller[Any], policy: RestartPolicy, saved: Saved) -> None:
        """Go on with the labels that were kept."""
        kept = [Kept(name, x.text, x.closed, x.words) for name, x in saved.segments.items() if x.words]
        self.live = labeller.open(policy, kept, saved.context)
        self.context = saved.context
        self._unread = {x.segment for x in kept}

    def rebuild(self, labeller: Labeller[Any], policy: RestartPolicy) -> None:
        """Something failed on the way: begin again from what stood before it."""
        held = [(name, x, self.live.save(name)) for name, x in self.truth.segments.items()]
        self.live.free()
        self.live = labeller.open(policy, [Kept(name, x.text, x.closed, b) for name, x, b in held if b], self.context)

    def save(self, name: str) -> bytes:
        """Take down what the labeller has of a segment; if it is closed, also what closed ones leave to be seen."""
        if self.truth.segments[name].closed:
            self.context = self.live.save_context()
        return self.live.save(name)

    def wrote(self, name: str, words: bytes, forgotten: Iterable[str] = ()) -> list[Entry]:
        """A segment was written; `words` is what `save` gave."""
        segment = self.truth.segments[name]
        state = _pack(self.truth, segment, words)
        one = Entry(self.truth.id, name, state)
        alone = not segment.closed and self.truth.reset < self.truth.seq
        return [one] if alone else [self._head({name: state}, forgotten), one, *self._tombstones(forgotten)]

    def close(self, name: str) -> list[str]:
        """Close a segment; returns the closed ones forgotten for it."""
        forgotten = self.truth.close(name)
        for old, segment in forgotten.items():
            self.truth.gone[old] = segment.applied
            self._let_go(old)
            self.live.forget(old)
        return list(forgotten)

    def delete(self, name: str) -> None:
        """Let the labeller, and the context, go on without a segment."""
        self._let_go(name)
        self.live.delete(name)
        self.context = self.live.save_context()

    def removed(self, names: Sequence[str]) -> list[Entry]:
        """Segments were taken back."""
        self.truth.gone.update(dict.fromkeys(names, self.truth.offset))
        return [self._head({}, names), *self._tombstones(names)]

    def reset(self, labeller: Labeller[Any], policy: RestartPolicy) -> None:
        """No label stands; texts do. The next entry that is written of the session itself says so."""
        with suppress(Exception):
            self.live.free()
        self.live = labeller.open(policy)
        self.context = self.live.save_context()
        self.readings.clear()
        self._unread.clear()
        self.truth.reset = self.truth.seq
        for segment in self.truth.segments.values():
            segment.spans, segment.published = (), False

    def _head(self, closing: dict[str, SegmentState], removed: Iterable[str]) -> Entry:
        return _head(self.truth, self.context, closing, tuple(removed))

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


def restore_truth(session: str, saved: Saved) -> Session:
    """The truth of a session that was kept."""
    return Session(
        id=session,
        rev=saved.rev,
        next_span=saved.next_span,
        offset=saved.offset,
        segments={name: _unpack(x) for name, x in saved.segments.items()},
        seq=saved.seq,
        done=saved.offset,
        begun=saved.begun,
        reset=saved.reset,
        gone=dict(saved.gone),
    )


def _head(
    truth: Session,
    context: bytes = b"",
    closing: dict[str, SegmentState] | None = None,
    removed: tuple[str, ...] = (),
    ended: bool = False,
) -> Entry:
    truth.gone = {name: offset for name, offset in truth.gone.items() if offset > truth.done}
    state = SessionState(
        seq=truth.seq,
        rev=truth.rev,
        next_span=truth.next_span,
        offset=truth.done,
        ended=ended,
        begun=truth.begun,
        reset=truth.reset,
        context=context,
        closing=closing or {},
        removed=removed,
        gone=dict(truth.gone),
    )
    return Entry(truth.id, None, state)


def _pack(truth: Session, segment: Segment, words: bytes) -> SegmentState:
    return SegmentState(
        text=segment.text,
        order=segment.order,
        seq=truth.seq,
        rev=truth.rev,
        next_span=truth.next_span,
        offset=truth.done,
        applied=segment.applied,
        closed=segment.closed,
        published=segment.published,
        times=segment.times,
        spans=tuple(_pack_span(x) for x in segment.spans),
        words=words,
    )


def _pack_span(x: Span) -> SpanState:
    return x.id, x.start, x.end, x.label, x.stability, x.start_time, x.end_time, x.score


def _unpack(x: SegmentState) -> Segment:
    spans = tuple(
        Span(
            id=i,
            start=a,
            end=b,
            label=label,
            text=x.text[a:b],
            stability=stable,
            start_time=begins,
            end_time=ends,
            score=score,
        )
        for i, a, b, label, stable, begins, ends, score in x.spans
    )
    return Segment(x.text, x.closed, x.times, spans, x.published, x.order, x.applied)
