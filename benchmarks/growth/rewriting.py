"""Cost of a word while its source rewrites: a share of the updates changes words sent before."""

import random
import statistics
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from benchmarks.growth.subject import SEGMENT, Subject
from benchmarks.harness.engine_feed import NO_TIME, Elapsed, EngineFeed
from benchmarks.harness.interleaved import interleave
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.texts import FILLERS, FILLINGS, make_texts
from stream.messages.types import Message, Update
from stream.sessions.stats import EngineStats

ONE_WORD = 0.72
"""Share of the rewriting updates that change just one word, as recorded telephone speech has it (docs/measuring.md)."""
REACH = 5
"""Changed words are among the last REACH ones."""


class RewritingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One share of rewriting updates."""

    share: float
    ms: float
    """Of the processor for a word that is added; median over the repeats."""
    words_per_second: float
    """On the clock; median over the repeats."""
    recomputed: float
    """Words computed for each word that is added."""
    flips: float
    """Labels that changed, for each word that is added, whatever the cause."""


def measure_rewriting(
    subject: Subject, shares: Sequence[float], sessions: int, repeats: int, progress: ReportProgress
) -> list[RewritingRow]:
    """Measure shares in turns, each on the same texts."""
    steps = {share: list(rewritten(make_texts(sessions, SEGMENT), share)) for share in shares}
    said = sessions * SEGMENT

    def measure(share: float) -> tuple[Elapsed, EngineStats]:
        feed = EngineFeed(subject.tagger, subject.policy)
        took = sum((feed.feed(step) for step in steps[share]), NO_TIME)
        feed.end()
        return took, feed.stats

    runs = interleave([partial(measure, x) for x in shares], repeats, lambda done: progress("rewriting", done))
    return [
        RewritingRow(
            share=share,
            ms=statistics.median(1000 * took.cpu / said for took, _ in found),
            words_per_second=statistics.median(said / took.wall for took, _ in found),
            recomputed=found[-1][1].words_recomputed / said,
            flips=(found[-1][1].flips_input + found[-1][1].flips_model) / said,
        )
        for share, found in zip(shares, runs, strict=True)
    ]


def rewritten(texts: Sequence[Sequence[str]], share: float, seed: int = 5) -> Iterator[list[Message]]:
    """Yield steps of one word for each text, to the close; a share of the updates also changes words said before."""
    rng = random.Random(seed)
    phrases = [*FILLERS, *(phrase for filling in FILLINGS.values() for phrase in filling)]
    others = sorted({word for phrase in phrases for word in phrase.split()})
    said: list[list[str]] = [[] for _ in texts]
    for n in range(len(texts[0])):
        for text, so_far in zip(texts, said, strict=True):
            if rng.random() < share and so_far:
                for _ in range(1 if rng.random() < ONE_WORD else rng.choice((2, 3))):
                    so_far[-rng.randint(1, min(REACH, len(so_far)))] = rng.choice(others)
            so_far.append(text[n])
        final = n + 1 == len(texts[0])
        yield [Update(session=f"s{i}", segment="1", text=" ".join(x), final=final) for i, x in enumerate(said)]
