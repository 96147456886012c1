"""What a word costs, and a session takes, as more of them are live at the same time."""

import itertools
from collections.abc import Sequence

import msgspec

from benchmarks.dense import make_texts
from benchmarks.growth.subject import SEGMENT, Subject, Tell
from benchmarks.harness.engine_feed import NOTHING, Feed
from benchmarks.harness.machine import resident_bytes
from benchmarks.overload import speak

ENOUGH = 100
"""More sessions than before, from which on what the process takes more is theirs, not chance."""


class SessionsRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number of sessions, all speaking, each at another word of its segment."""

    sessions: int
    ms: float
    """Of the processor for a word, closing segments included."""
    words_per_second: float
    """On the clock."""
    resident_kib: float | None
    """Memory that the process took for each session that it has more than in the row before; None: too few to tell."""
    cached_kib: float
    """Of that the cache, for each session: pages in use, at their mean size."""
    most_kib: float
    """The most of the cache that one session can take, after many words: all positions and the whole window."""
    evictions: float
    """For each word: sessions whose states had to give way, and are computed again when they speak."""


def measure_sessions(subject: Subject, counts: Sequence[int], words: int, tell: Tell) -> list[SessionsRow]:
    """Measure at each number of sessions, rising: memory that was once taken is not given back.

    Args:
        subject: what is measured.
        counts: numbers of sessions.
        words: said at each of them at least, even where two rounds are fewer.
        tell: hears of progress.
    """
    rows = []
    feed = Feed(subject.tagger, subject.policy)  # compiles what is compiled before memory is looked at
    feed.say([message for _, message in itertools.islice(speak(make_texts(1, SEGMENT), 1.0), 20)])
    feed.end()
    before = (0, resident_bytes())
    for number, count in enumerate(counts):
        tell(f"{count:,} sessions", number / len(counts))
        row, taken = _measure(subject, count, words, *before)
        rows.append(row)
        before = (count, taken)
    return rows


def _measure(subject: Subject, count: int, words: int, fewer: int, held: int) -> tuple[SessionsRow, int]:
    """Measure so many sessions; with the memory that the process then has, which was `held` with `fewer`."""
    feed, source = Feed(subject.tagger, subject.policy), speak(make_texts(count, SEGMENT), 1.0)
    rounds = max(2, -(-words // count))
    feed.say([message for _, message in itertools.islice(source, count)])  # what each had said before
    evicted, laps = feed.engine.counters.evictions, NOTHING
    for _ in range(rounds):
        laps += feed.say([message for _, message in itertools.islice(source, count)])
    counters = feed.engine.counters
    taken = resident_bytes()
    row = SessionsRow(
        sessions=count,
        ms=1000 * laps.cpu / (rounds * count),
        words_per_second=rounds * count / laps.wall,
        resident_kib=(taken - held) / (count - fewer) / 1024 if count - fewer >= ENOUGH else None,
        cached_kib=counters.pages_used * page_bytes(subject) / count / 1024,
        most_kib=most_bytes(subject) / 1024,
        evictions=(counters.evictions - evicted) / (rounds * count),
    )
    feed.end()
    return row, taken


def page_bytes(subject: Subject) -> float:
    """Mean size of a page, of the prefix and of the tail."""
    prefix, tail = _page_bytes(subject)
    return (prefix + tail) / 2 if prefix else tail


def most_bytes(subject: Subject) -> float:
    """What a session takes that fills its positions and its window."""
    config, (prefix, tail) = subject.tagger.config, _page_bytes(subject)
    positions, window = config.positions // config.page_size, config.window // config.page_size + 1
    return positions * prefix + min(positions, window) * tail


def _page_bytes(subject: Subject) -> tuple[int, int]:
    """Sizes of a page of the prefix, which has keys and values, and of the tail, which has boundary states as well."""
    config = subject.tagger.config
    a_layer = 2 * config.page_size * config.hidden * subject.tagger.encoder.dtype.itemsize
    return config.causal_layers * a_layer, config.tail_layers * a_layer + 4 * config.page_size * config.hidden
