"""What a word costs while its source rewrites itself: a share of the updates changes words that it had sent."""

import random
import statistics
from collections.abc import Iterator, Sequence

import msgspec

from benchmarks.dense import FILLERS, FILLINGS, make_texts
from benchmarks.growth.subject import SEGMENT, Subject, Tell
from benchmarks.harness.engine_feed import NOTHING, Feed, Lap
from stream.messages.types import Message, Update

ONE_WORD = 0.72
"""Share of the rewriting updates that change just one word, as recorded telephone speech has it (docs/measuring.md)."""
REACH = 5
"""Changed words are among so many last ones."""


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
    subject: Subject, shares: Sequence[float], sessions: int, repeats: int, tell: Tell
) -> list[RewritingRow]:
    """Measure shares in turns, each on the same texts."""
    steps = {share: list(rewritten(make_texts(sessions, SEGMENT), share)) for share in shares}
    laps: dict[float, list[Lap]] = {share: [] for share in shares}
    rows: dict[float, RewritingRow] = {}
    said = sessions * SEGMENT
    for turn in range(repeats * len(shares)):
        share = shares[turn % len(shares)]
        tell(f"{share:.0%} of the updates rewrite", turn / (repeats * len(shares)))
        feed = Feed(subject.tagger, subject.policy)
        laps[share].append(sum((feed.say(step) for step in steps[share]), NOTHING))
        stats = feed.stats
        rows[share] = RewritingRow(
            share=share,
            ms=statistics.median(1000 * lap.cpu / said for lap in laps[share]),
            words_per_second=statistics.median(said / lap.wall for lap in laps[share]),
            recomputed=stats.words_recomputed / said,
            flips=(stats.flips_input + stats.flips_model) / said,
        )
        feed.end()
    return list(rows.values())


def rewritten(texts: Sequence[Sequence[str]], share: float, seed: int = 5) -> Iterator[list[Message]]:
    """Say each text a word a step, to the close; in a share of the updates also change words that were said."""
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
