"""The truth of one session: what was said, what is shown of it, and the two counters. Plain data, small, bounded."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

import msgspec

from stream.diff import Difference, retract
from stream.messages import Revision, Span
from stream.rewrite import Times

REMEMBERED_SEGMENTS = 64
"""Closed segments that can still be edited or deleted."""
REMEMBERED_TEXT = 1 << 18
"""Characters of closed segments remembered at most."""


class Segment(msgspec.Struct):
    """One segment as its labels stand."""

    text: str = ""
    closed: bool = False
    times: Times = ()
    spans: tuple[Span, ...] = ()
    published: bool = False
    """Whether any revision told of it."""


class Session(msgspec.Struct):
    """One session: open segments in order of opening, closed ones in order of closing."""

    id: str
    rev: int = 0
    next_span: int = 1
    offset: int = -1
    """The last input message applied."""
    segments: dict[str, Segment] = {}

    def open(self, name: str) -> Segment:
        """The segment of that name; an unknown one opens."""
        return self.segments.setdefault(name, Segment())

    def close(self, name: str) -> list[str]:
        """Close a segment; returns the names of the closed ones forgotten for it."""
        return close_segment(self.segments, name)

    def revise(self, tagger: str, name: str, difference: Difference) -> Revision:
        """Make the difference stand, and tell of it."""
        segment = self.segments[name]
        segment.spans = difference.spans
        segment.published = True
        self.next_span += len(difference.added)
        self.rev += 1
        return Revision(
            tagger=tagger,
            session=self.id,
            segment=name,
            rev=self.rev,
            offset=self.offset,
            final=segment.closed,
            spans=difference.spans,
            added=tuple(difference.added),
            changed=tuple(difference.changed),
            retracted=tuple(difference.retracted),
        )

    def delete(self, tagger: str, name: str) -> Revision | None:
        """Take a segment back; tells of it if anything was ever told of it."""
        segment = self.segments[name]
        segment.closed = True
        gone = Difference((), retracted=[retract(x, "delete") for x in segment.spans])
        revision = self.revise(tagger, name, gone) if segment.published else None
        del self.segments[name]
        return revision


class _Closable(Protocol):
    text: str
    closed: bool


S = TypeVar("S", bound=_Closable)


def close_segment(segments: dict[str, S], name: str) -> list[str]:
    """Close one of `segments`, put it last, and forget the closed ones that are too many; returns their names."""
    segment = segments.pop(name)
    segment.closed = True
    segments[name] = segment
    forgotten = list(_too_many(segments, keep=name))
    for old in forgotten:
        del segments[old]
    return forgotten


def _too_many(segments: dict[str, S], keep: str) -> Iterator[str]:
    closed = [(name, len(x.text)) for name, x in segments.items() if x.closed]
    count, size = len(closed), sum(length for _, length in closed)
    for name, length in closed:
        if name == keep or (count <= REMEMBERED_SEGMENTS and size <= REMEMBERED_TEXT):
            return
        yield name
        count, size = count - 1, size - length
