"""The truth of one session: what was said, what each tagger shows of it, and its two counters. Plain data, bounded."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import msgspec

from stream.messages.types import Revision, Span
from stream.messages.word_times import Times
from stream.revisions.span_diff import Difference, retract
from stream.sessions.operations import Write
from stream.sessions.snapshot import NEVER_OPENED, Opened, SpanState

REMEMBERED_SEGMENTS = 64
"""Closed segments of a session that can still be edited or deleted, unless an engine is told otherwise."""
REMEMBERED_TEXT = 1 << 18
"""Characters of closed segments remembered at most."""


class PublishedSpans(msgspec.Struct):
    """What readers of one tagger know of a segment."""

    spans: tuple[Span, ...] = ()
    published: bool = False
    """Whether any revision told of it."""
    whole: bool = False
    """Whether the spans are all that was found when they were last looked at."""
    packed: tuple[SpanState, ...] | None = None
    """The spans as they are kept; None: to be made."""


class Counters(msgspec.Struct):
    """What rises with the revisions of one tagger in one session."""

    rev: int = 0
    next_span: int = 1


class Segment(msgspec.Struct):
    """One segment as its labels stand."""

    text: str = ""
    closed: bool = False
    times: Times = ()
    shown: dict[str, PublishedSpans] = {}
    """By tagger."""
    order: int = 0
    """The session's `seq` when it was first written, then when it closed."""
    applied: int = -1
    """The last input message applied to it."""
    opened: Opened = NEVER_OPENED
    """The input message that opened it."""
    speaker: str | None = None
    channel: str | None = None

    def write(self, write: Write) -> None:
        """Take over what was said, by whom and where."""
        self.text, self.times, self.speaker, self.channel = write.text, write.times, write.speaker, write.channel


class Session(msgspec.Struct):
    """One session: open segments in order of their first write, closed ones in order of closing."""

    id: str
    numbers: dict[str, Counters] = {}
    """By tagger; those that label no more are among them."""
    offset: int = -1
    """The last input message applied."""
    segments: dict[str, Segment] = {}
    seq: int = 0
    """Counts what changed any of this; see `stream.sessions.snapshot`, also for the rest."""
    done: int = -1
    begun: int = 0
    reset: int = 0
    gone: dict[str, int] = {}

    def advance(self, offset: int, floor: int) -> None:
        """Something begins to change, because of the message `offset`; after it, all up to `floor` is done."""
        self.seq += 1
        self.offset = offset
        self.done = max(self.done, floor)

    def open(self, write: Write) -> Segment:
        """The segment that is written; an unknown one opens."""
        segment = self.segments.get(write.segment)
        if segment is None:
            segment = self.segments[write.segment] = Segment(order=self.seq, opened=write.opened)
        segment.applied = self.offset
        return segment

    def close(self, name: str, remembered: int) -> dict[str, Segment]:
        """Close a segment; returns the closed ones forgotten for it."""
        self.segments[name].order = self.seq
        return close_segment(self.segments, name, remembered)

    def shown(self, tagger: str, name: str) -> PublishedSpans:
        """What readers of that tagger know of a segment."""
        return self.segments[name].shown.setdefault(tagger, PublishedSpans())

    def numbers_of(self, tagger: str) -> Counters:
        """The tagger's counters; a new one begins."""
        return self.numbers.setdefault(tagger, Counters())

    def revise(self, tagger: str, name: str, difference: Difference) -> Revision:
        """Make the difference stand, and tell of it."""
        segment, shown, numbers = self.segments[name], self.shown(tagger, name), self.numbers_of(tagger)
        shown.spans, shown.packed = difference.spans, None
        shown.published = True
        numbers.next_span += len(difference.added)
        numbers.rev += 1
        return Revision(
            tagger=tagger,
            session=self.id,
            segment=name,
            rev=numbers.rev,
            offset=self.offset,
            final=segment.closed,
            spans=difference.spans,
            added=tuple(difference.added),
            changed=tuple(difference.changed),
            retracted=tuple(difference.retracted),
            score=difference.score,
        )

    def delete(self, taggers: Iterable[str], name: str) -> list[Revision]:
        """Take a segment back; of these taggers, those tell of it that ever told of it."""
        self.segments[name].closed = True
        revisions = []
        for tagger in taggers:
            shown = self.shown(tagger, name)
            if shown.published:
                gone = Difference((), retracted=[retract(x, "delete") for x in shown.spans])
                revisions.append(self.revise(tagger, name, gone))
        del self.segments[name]
        return revisions


class _Closable(Protocol):
    text: str
    closed: bool


S = TypeVar("S", bound=_Closable)


def close_segment(segments: dict[str, S], name: str, remembered: int = REMEMBERED_SEGMENTS) -> dict[str, S]:
    """Close one of `segments`, put it last, and forget the closed ones beyond `remembered`; returns those."""
    segment = segments.pop(name)
    segment.closed = True
    segments[name] = segment
    return {old: segments.pop(old) for old in list(_too_many(segments, remembered, keep=name))}


def _too_many(segments: dict[str, S], remembered: int, keep: str) -> Iterator[str]:
    closed = [(name, len(x.text)) for name, x in segments.items() if x.closed]
    count, size = len(closed), sum(length for _, length in closed)
    for name, length in closed:
        if name == keep or (count <= remembered and size <= REMEMBERED_TEXT):
            return
        yield name
        count, size = count - 1, size - length
