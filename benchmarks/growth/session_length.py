"""Cost of a word by length of the session: the same segments at the end of a long one and of a short one, in turns."""

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.growth.subject import SEGMENT, Subject
from benchmarks.harness.engine_feed import NO_TIME, Elapsed, EngineFeed
from benchmarks.harness.machine import resident_bytes
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.texts import make_texts
from stream.messages.types import End, Update

SHORT = 10
"""Segments before in the short session: as many as its window and positions can hold."""


class LengthRow(msgspec.Struct, frozen=True, kw_only=True):
    """One slice, of some segments."""

    words: int
    """Words of the long session before the slice."""
    ms: float
    """Processor time of a word of the slice in milliseconds; median over its segments."""
    short_ms: float
    """The same in the short session."""
    resident_mib: float
    """Memory of the process after the slice."""
    pages: int
    """Cache pages in use."""


def measure_length(subject: Subject, marks: Sequence[int], segments: int, progress: ReportProgress) -> list[LengthRow]:
    """Measure a slice at each mark.

    Args:
        subject: what is measured.
        marks: numbers of words, rising.
        segments: of `SEGMENT` words in each slice, fed word by word. Between slices segments arrive whole, which leads
            to the same session in a thirtieth of the time.
        progress: called with what is done next.
    """
    feed, spoken, rows = EngineFeed(subject.tagger, subject.policy), _SegmentSource(), []
    _feed_segment(feed, "first", "1", make_texts(1, SEGMENT)[0])  # warm
    feed.end()
    for mark in marks:
        while spoken.words < mark:
            progress(f"a session of {spoken.words:,} words", spoken.words / (marks[-1] + 1))
            feed.feed([spoken.whole("long")])
        rows.append(_slice(feed, spoken, segments))
    feed.end()
    return rows


class _SegmentSource:
    """An unlimited sequence of segments."""

    def __init__(self) -> None:
        self.number = 0

    @property
    def words(self) -> int:
        return self.number * SEGMENT

    def text(self) -> list[str]:
        self.number += 1
        (text,) = make_texts(1, SEGMENT, seed=self.number)
        return text

    def whole(self, session: str) -> Update:
        text = self.text()
        return Update(session=session, segment=str(self.number), text=" ".join(text), final=True)


def _slice(feed: EngineFeed, spoken: _SegmentSource, segments: int) -> LengthRow:
    before = spoken.words
    for number in range(SHORT):
        said = " ".join(make_texts(1, SEGMENT, seed=-1 - number)[0])
        feed.feed([Update(session="short", segment=f"before {number}", text=said, final=True)])
    times: dict[str, list[float]] = {"long": [], "short": []}
    for number in range(segments):
        text, segment = spoken.text(), str(spoken.number)
        for session in ("long", "short") if number % 2 else ("short", "long"):
            times[session].append(1000 * _feed_segment(feed, session, segment, text).cpu / len(text))
    feed.feed([End(session="short")])
    return LengthRow(
        words=before,
        ms=statistics.median(times["long"]),
        short_ms=statistics.median(times["short"]),
        resident_mib=resident_bytes() / 2**20,
        pages=feed.engine.labeller.counters().pages_used,
    )


def _feed_segment(feed: EngineFeed, session: str, segment: str, text: Sequence[str]) -> Elapsed:
    """Feed a segment word by word and close it with the last one."""
    took = [
        feed.feed([Update(session=session, segment=segment, text=" ".join(text[: n + 1]), final=n + 1 == len(text))])
        for n in range(len(text))
    ]
    return sum(took, NO_TIME)
