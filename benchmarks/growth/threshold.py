"""Cost of a word by restart policy: how much doubt it takes for words to be computed again."""

import statistics
from collections.abc import Sequence
from functools import partial

import msgspec

from benchmarks.growth.subject import SEGMENT, Subject
from benchmarks.harness.engine_feed import NO_TIME, Elapsed, EngineFeed
from benchmarks.harness.interleaved import interleave
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.texts import make_texts
from encoder.restart.policy_text import resolve_policy

PRICES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
TAUS = (0.8, 0.9, 0.95, 0.98, 0.99)
POLICIES = ("always", *(f"price:{x}" for x in PRICES), *(f"stability:{x}" for x in TAUS), "last:3", "never")


class ThresholdRow(msgspec.Struct, frozen=True, kw_only=True):
    """One restart policy."""

    policy: str
    ms: float
    """Of the processor for a word while the segment is open; median over the repeats."""
    words_per_second: float
    """On the clock while the segment is open; median over the repeats."""
    closing_ms: float
    """Of the processor for closing the segment, for each of its words."""
    recomputed: float
    """Words computed for each word that is said, while the segment is open."""


def measure_threshold(
    subject: Subject, policies: Sequence[str], sessions: int, repeats: int, progress: ReportProgress
) -> list[ThresholdRow]:
    """Measure policies in turns, each on the same texts."""
    texts, said = make_texts(sessions, SEGMENT), sessions * SEGMENT

    def measure(policy: str) -> tuple[Elapsed, Elapsed, float]:
        feed = EngineFeed(subject.tagger, resolve_policy(policy, subject.tagger.default_policy))
        live = sum(feed.feed_word_by_word(texts), NO_TIME)
        recomputed = feed.stats.words_recomputed / said
        closing = feed.close_segments(texts)
        feed.end()
        return live, closing, recomputed

    runs = interleave([partial(measure, x) for x in policies], repeats, lambda share: progress("policies", share))
    return [
        ThresholdRow(
            policy=policy,
            ms=statistics.median(1000 * live.cpu / said for live, _, _ in found),
            words_per_second=statistics.median(said / live.wall for live, _, _ in found),
            closing_ms=statistics.median(1000 * closing.cpu / said for _, closing, _ in found),
            recomputed=found[-1][2],
        )
        for policy, found in zip(policies, runs, strict=True)
    ]
