"""Cost of a word and memory of a session by number of live sessions."""

import itertools
from collections.abc import Sequence

import msgspec

from benchmarks.growth.subject import SEGMENT, Subject
from benchmarks.harness.engine_feed import NO_TIME, EngineFeed
from benchmarks.harness.machine import resident_bytes
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.texts import make_texts, speak_in_turns
from encoder.model.number_types import ITEM_BYTES

ENOUGH = 100
"""Additional sessions from which on the growth of the process is theirs and not noise."""


class SessionsRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number of sessions, all speaking, each at a different word of its segment."""

    sessions: int
    ms: float
    """Processor time of a word in milliseconds, closing included."""
    words_per_second: float
    """By wall time."""
    resident_kib: float | None
    """Growth of the process for each session more than in the row before; None: too few to tell."""
    cached_kib: float
    """Cache pages in use at their mean size, for each session."""
    most_kib: float
    """Most cache of one session, after many words: all positions and the whole window."""
    evictions: float
    """For each word: evicted sessions, which are computed again with their next word."""


def measure_sessions(
    subject: Subject, counts: Sequence[int], words: int, progress: ReportProgress
) -> list[SessionsRow]:
    """Measure at each number of sessions, in rising order: the process does not give memory back.

    Args:
        subject: what is measured.
        counts: numbers of sessions.
        words: to say at least at each of them, even where two rounds are fewer.
        progress: called with what is done next.
    """
    rows = []
    feed = EngineFeed(subject.tagger, subject.policy)  # compiles what is compiled before memory is looked at
    feed.feed([message for _, message in itertools.islice(speak_in_turns(make_texts(1, SEGMENT), 1.0), 20)])
    feed.end()
    before = (0, resident_bytes())
    for number, count in enumerate(counts):
        progress(f"{count:,} sessions", number / len(counts))
        row, taken = _measure(subject, count, words, *before)
        rows.append(row)
        before = (count, taken)
    return rows


def _measure(subject: Subject, count: int, words: int, fewer: int, held: int) -> tuple[SessionsRow, int]:
    """Measure `count` sessions; returns also the resident bytes, which were `held` with `fewer` sessions."""
    feed, source = EngineFeed(subject.tagger, subject.policy), speak_in_turns(make_texts(count, SEGMENT), 1.0)
    rounds = max(2, -(-words // count))
    feed.feed([message for _, message in itertools.islice(source, count)])  # what each had said before
    evicted, took = feed.engine.labeller.counters().evictions, NO_TIME
    for _ in range(rounds):
        took += feed.feed([message for _, message in itertools.islice(source, count)])
    counters = feed.engine.labeller.counters()
    taken = resident_bytes()
    row = SessionsRow(
        sessions=count,
        ms=1000 * took.cpu / (rounds * count),
        words_per_second=rounds * count / took.wall,
        resident_kib=(taken - held) / (count - fewer) / 1024 if count - fewer >= ENOUGH else None,
        cached_kib=counters.pages_used * page_bytes(subject) / count / 1024,
        most_kib=most_bytes(subject) / 1024,
        evictions=(counters.evictions - evicted) / (rounds * count),
    )
    feed.end()
    return row, taken


def page_bytes(subject: Subject) -> float:
    """Return the mean size of a prefix and a tail page in bytes."""
    prefix, tail = _page_bytes(subject)
    return (prefix + tail) / 2 if prefix else tail


def most_bytes(subject: Subject) -> float:
    """Return the bytes of a session that fills its positions and its window."""
    config, (prefix, tail) = subject.tagger.config, _page_bytes(subject)
    positions, window = config.positions // config.page_size, config.window // config.page_size + 1
    return positions * prefix + min(positions, window) * tail


def _page_bytes(subject: Subject) -> tuple[int, int]:
    """Return the bytes of a prefix page (keys and values) and of a tail page (boundary states as well)."""
    config = subject.tagger.config
    a_layer = 2 * config.page_size * config.hidden * ITEM_BYTES[subject.tagger.encoder.page_numbers]
    return config.causal_layers * a_layer, config.tail_layers * a_layer + 4 * config.page_size * config.hidden
