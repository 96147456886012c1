"""State of one session: its texts, the spans that each tagger has published, and its counters. Plain data, bounded."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from stream.messages.types import Cause, ClosedBy, Revision, Span
from stream.messages.word_times import Times
from stream.redaction.session_redaction import SegmentRedaction, SessionRedaction
from stream.revisions.score_thresholds import ScoreThresholds
from stream.revisions.span_diff import Difference, retract
from stream.sessions.operations import Write
from stream.sessions.snapshot import NEVER_OPENED, Opened, SpanState

REMEMBERED_SEGMENTS = 64
"""Default number of closed segments of a session that can still be edited or deleted."""
REMEMBERED_TEXT = 1 << 18
"""Maximum number of characters of closed segments that are remembered."""


class PublishedSpans(msgspec.Struct):
    """Spans of one segment that the readers of one tagger have."""

    spans: tuple[Span, ...] = ()
    published: bool = False
    """Whether any revision of the segment was published."""
    complete: bool = False
    """Whether the spans were all that the tagger found when they were last compared."""
    scores: dict[str, float] = {}
    """Text scores that the readers have."""
    settled: int = 0
    """Settled offset of the open segment (`stream.revisions.settled`)."""
    settled_told: int = 0
    """The offset that readers have."""
    packed: tuple[SpanState, ...] | None = None
    """The spans in their stored form; None until it is needed."""


class Counters(msgspec.Struct):
    """Numbers that rise with the revisions of one tagger in one session."""

    rev: int = 0
    next_span: int = 1


class Segment(msgspec.Struct):
    """One labelled segment."""

    text: str = ""
    closed: bool = False
    times: Times = ()
    published_spans: dict[str, PublishedSpans] = {}
    """For each tagger."""
    order: int = 0
    """The session's `seq` when the segment was first written, later when it closed."""
    applied: int = -1
    """Offset of the last input message that was applied to it."""
    opened: Opened = NEVER_OPENED
    """The input message that opened it."""
    speaker: str | None = None
    channel: str | None = None
    redaction: SegmentRedaction | None = None
    """What was released of it; None before anything was, or if nothing is redacted."""
    confirmed: int = 0
    """Characters at its beginning that its source will not rewrite; formats read it after a crash."""

    def store_text(self, write: Write) -> None:
        """Take over text, times, speaker, channel and the confirmed part of a write."""
        self.text, self.times, self.speaker, self.channel = write.text, write.times, write.speaker, write.channel
        self.confirmed = write.confirmed


class Session(msgspec.Struct):
    """One session: open segments in order of their first write, closed ones in order of closing."""

    id: str
    counters: dict[str, Counters] = {}
    """For each tagger, including those that are no longer configured."""
    offset: int = -1
    """The last input message that was applied."""
    segments: dict[str, Segment] = {}
    seq: int = 0
    """Number of changes of this state; `stream.sessions.snapshot` describes it and the fields below."""
    fully_applied_through: int = -1
    life_started_at: int = 0
    labels_void_before: int = 0
    removed_at: dict[str, int] = {}
    redaction: SessionRedaction | None = None
    """None if nothing is redacted."""

    def begin_change(self, offset: int, fully_applied_through: int) -> None:
        """Start applying the message at `offset`; afterwards each message up to the second one is fully applied."""
        self.seq += 1
        self.offset = offset
        self.fully_applied_through = max(self.fully_applied_through, fully_applied_through)

    def open_segment(self, write: Write) -> Segment:
        """Return the segment of a write, a new one if it is unknown, and mark it as changed by the write's message."""
        segment = self.segments.get(write.segment)
        if segment is None:
            segment = self.segments[write.segment] = Segment(order=self.seq, opened=write.opened)
        segment.applied = self.offset if write.applied is None else write.applied
        return segment

    def close_segment(self, name: str, remember_segments: int) -> dict[str, Segment]:
        """Close a segment; returns the closed segments that are forgotten because of it."""
        self.segments[name].order = self.seq
        return close_and_forget(self.segments, name, remember_segments)

    def spans_of(self, tagger: str, name: str) -> PublishedSpans:
        """Return what the readers of a tagger have of a segment."""
        return self.segments[name].published_spans.setdefault(tagger, PublishedSpans())

    def counters_of(self, tagger: str) -> Counters:
        """Return the counters of a tagger, new ones if it has none."""
        return self.counters.setdefault(tagger, Counters())

    def revise(
        self,
        tagger: str,
        name: str,
        difference: Difference,
        closed_by: ClosedBy | None = None,
        settled_cause: Cause = "input",
    ) -> Revision:
        """Store the new spans of a segment and make the revision that tells readers of them.

        `settled_cause` is why the settled text became shorter, if it did.
        """
        segment, shown, counters = self.segments[name], self.spans_of(tagger, name), self.counters_of(tagger)
        settled, told = len(segment.text) if segment.closed else shown.settled, shown.settled_told
        shown.settled_told = settled
        shown.spans, shown.packed, shown.scores = difference.spans, None, difference.scores
        shown.published = True
        counters.next_span += len(difference.added)
        counters.rev += 1
        revision = Revision(
            tagger=tagger,
            session=self.id,
            segment=name,
            rev=counters.rev,
            offset=self.offset,
            final=segment.closed,
            spans=difference.spans,
            added=tuple(difference.added),
            changed=tuple(difference.changed),
            retracted=tuple(difference.retracted),
            score=difference.score,
            closed_by=closed_by or msgspec.UNSET,
            scores=difference.scores or msgspec.UNSET,
            crossed=difference.crossed or msgspec.UNSET,
            settled=settled,
            settled_cause=msgspec.UNSET if settled >= told else settled_cause,
        )
        return revision if self.redaction is None else _without_text(revision)

    def retract_segment(self, taggers: Iterable[str], name: str, thresholds: ScoreThresholds) -> list[Revision]:
        """Remove a segment; each of these taggers that ever published a revision of it takes all back."""
        segment = self.segments[name]
        segment.closed, segment.text = True, ""
        revisions = []
        for tagger in taggers:
            shown = self.spans_of(tagger, name)
            if shown.published:
                retraction = Difference((), retracted=[retract(x, "delete") for x in shown.spans])
                retraction.crossed = thresholds.crossed(tagger, shown.scores, {})
                revisions.append(self.revise(tagger, name, retraction, settled_cause="delete"))
        del self.segments[name]
        return revisions


def _without_text(revision: Revision) -> Revision:
    """Return a revision whose spans have no text: it may be sensitive, whatever their label."""
    replace = msgspec.structs.replace
    return replace(
        revision,
        spans=tuple(replace(x, text="") for x in revision.spans),
        retracted=tuple(replace(x, text="") for x in revision.retracted),
    )


class _Closable(Protocol):
    text: str
    closed: bool


S = TypeVar("S", bound=_Closable)


def close_and_forget(segments: dict[str, S], name: str, remember_segments: int = REMEMBERED_SEGMENTS) -> dict[str, S]:
    """Close one of `segments` and move it to the end; removes and returns the closed ones beyond the limits."""
    segment = segments.pop(name)
    segment.closed = True
    segments[name] = segment
    closed = [(old, len(x.text)) for old, x in segments.items() if x.closed]
    count, size, forgotten = len(closed), sum(length for _, length in closed), dict[str, S]()
    for old, length in closed:
        if old == name or (count <= remember_segments and size <= REMEMBERED_TEXT):
            break
        forgotten[old] = segments.pop(old)
        count, size = count - 1, size - length
    return forgotten
