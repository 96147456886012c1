"""What a word costs by the threshold: how much doubt it takes for words to be computed again."""

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.dense import make_texts
from benchmarks.growth.subject import SEGMENT, Subject, Tell
from benchmarks.harness.engine_feed import NOTHING, Feed, Lap, closes, open_words
from encoder.restart.policies import resolve_policy

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
    subject: Subject, policies: Sequence[str], sessions: int, repeats: int, tell: Tell
) -> list[ThresholdRow]:
    """Measure policies in turns, each on the same texts."""
    texts, said = make_texts(sessions, SEGMENT), sessions * SEGMENT
    times: dict[str, list[tuple[Lap, Lap]]] = {policy: [] for policy in policies}
    rows: dict[str, ThresholdRow] = {}
    for turn in range(repeats * len(policies)):
        policy = policies[turn % len(policies)]
        tell(policy, turn / (repeats * len(policies)))
        feed = Feed(subject.tagger, resolve_policy(policy, subject.tagger.default_policy))
        live = sum((feed.say(open_words(texts, n + 1)) for n in range(SEGMENT)), NOTHING)
        recomputed = feed.stats.words_recomputed / said
        times[policy].append((live, feed.say(closes(texts))))
        feed.end()
        rows[policy] = ThresholdRow(
            policy=policy,
            ms=statistics.median(1000 * x.cpu / said for x, _ in times[policy]),
            words_per_second=statistics.median(said / x.wall for x, _ in times[policy]),
            closing_ms=statistics.median(1000 * x.cpu / said for _, x in times[policy]),
            recomputed=recomputed,
        )
    return list(rows.values())
