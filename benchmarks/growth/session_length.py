"""What a word costs deep in a session: the same segments at the end of a long one and of a short one, in turns."""

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.dense import make_texts
from benchmarks.growth.subject import SEGMENT, Subject, Tell
from benchmarks.harness.engine_feed import NOTHING, Feed, Lap
from benchmarks.harness.machine import resident_bytes
from stream.messages.types import End, Update

SHORT = 10
"""Segments that the short session has heard: as much as its window and all of its positions can hold."""


class LengthRow(msgspec.Struct, frozen=True, kw_only=True):
    """One slice."""

    words: int
    """That the long session had heard before."""
    ms: float
    """Of the processor for each word of the slice; median over its segments."""
    short_ms: float
    """The same in the short session."""
    resident_mib: float
    """Memory of the process after the slice."""
    pages: int
    """Of the cache that the long session holds."""


def measure_length(subject: Subject, marks: Sequence[int], segments: int, tell: Tell) -> list[LengthRow]:
    """Measure a slice at each mark.

    Args:
        subject: what is measured.
        marks: numbers of words, rising.
        segments: of `SEGMENT` words in each slice, said word by word. Between slices segments come whole, which leaves
            the same session and takes a thirtieth of the time.
        tell: hears of progress.
    """
    feed, spoken, rows = Feed(subject.tagger, subject.policy), _Spoken(), []
    _say(feed, "first", "1", make_texts(1, SEGMENT)[0])  # warm
    feed.end()
    for mark in marks:
        while spoken.words < mark:
            tell(f"a session of {spoken.words:,} words", spoken.words / (marks[-1] + 1))
            feed.say([spoken.whole("long")])
        rows.append(_slice(feed, spoken, segments))
    feed.end()
    return rows


class _Spoken:
    """Segments, one after the other, for ever."""

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


def _slice(feed: Feed, spoken: _Spoken, segments: int) -> LengthRow:
    before = spoken.words
    for number in range(SHORT):
        said = " ".join(make_texts(1, SEGMENT, seed=-1 - number)[0])
        feed.say([Update(session="short", segment=f"before {number}", text=said, final=True)])
    times: dict[str, list[float]] = {"long": [], "short": []}
    for number in range(segments):
        text, segment = spoken.text(), str(spoken.number)
        for session in ("long", "short") if number % 2 else ("short", "long"):
            times[session].append(1000 * _say(feed, session, segment, text).cpu / len(text))
    feed.say([End(session="short")])
    return LengthRow(
        words=before,
        ms=statistics.median(times["long"]),
        short_ms=statistics.median(times["short"]),
        resident_mib=resident_bytes() / 2**20,
        pages=feed.engine.counters.pages_used,
    )


def _say(feed: Feed, session: str, segment: str, text: Sequence[str]) -> Lap:
    """Word by word, closed with the last one."""
    laps = [
        feed.say([Update(session=session, segment=segment, text=" ".join(text[: n + 1]), final=n + 1 == len(text))])
        for n in range(len(text))
    ]
    return sum(laps, NOTHING)
