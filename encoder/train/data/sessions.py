"""Made-up sessions for training: rows of all labelled sets, one after the other, as a live session has segments.

A labelled row mostly stands alone in its set, but live nearly every text has closed segments before it, of other
topics and other speakers. A tagger that never met that in training is disturbed by it. Here rows are drawn into
sessions of 1 to 40 segments; neighbours of a document stay together, in their order.
"""

import math
import random
from collections.abc import Iterator
from collections.abc import Sequence as Seq
from typing import NamedTuple

from encoder.train.config import AugmentConfig
from encoder.train.data.augment import join_sequences
from encoder.train.data.sequence import TextSequence

ALONE = 0.75
"""Share of the sessions that have one segment; it leaves a fifth of all rows alone."""
MOST_SEGMENTS = 40
FORMS = {"written": AugmentConfig(), "spoken": AugmentConfig(unpunctuated=1.0)}
"""Forms that dev text is measured in."""
GROUP = 20
"""Texts of a session of dev text where a set has no documents."""
ONE_SOURCE = 0.5
"""Share of the longer sessions whose rows are all of one source."""
SAME_SEGMENT = 0.2
"""Probability that the next sentence of a document continues the segment: people say more than one sentence."""


class SessionRow(NamedTuple):
    """One row of a session."""

    source: int
    """The number of its source."""
    sequence: TextSequence
    opens: bool
    """Whether it opens a segment; otherwise it continues that of the row before."""


def make_sessions(sources: Seq[Seq[TextSequence]], rng: random.Random) -> list[list[SessionRow]]:
    """Draw every sequence of every source into one session; documents are cut into runs of random length first."""
    waiting = [join_sequences(list(sequences), rng) for sequences in sources]
    for runs in waiting:
        rng.shuffle(runs)
    # a source is drawn as often as it has runs, so that all are used up together
    order = [i for i, runs in enumerate(waiting) for _ in runs]
    rng.shuffle(order)
    sessions: list[list[SessionRow]] = []
    for source in order:
        if not waiting[source]:
            continue
        segments = draw_segments(rng)
        one = rng.random() < ONE_SOURCE
        rows: list[SessionRow] = []
        while segments > 0:
            here = source if one or not rows else rng.choice(order)
            if not waiting[here]:
                break
            run = _segment_run(here, waiting[here].pop(), rng)
            rows += run
            segments -= sum(row.opens for row in run)
        sessions.append(rows)
    rng.shuffle(sessions)
    return sessions


def draw_segments(rng: random.Random) -> int:
    """Draw the number of segments of a session: one, or up to 40, evenly on a logarithmic scale."""
    if rng.random() < ALONE:
        return 1
    return round(math.exp(rng.uniform(math.log(2), math.log(MOST_SEGMENTS))))


def _segment_run(source: int, run: list[TextSequence], rng: random.Random) -> list[SessionRow]:
    return [SessionRow(source, x, opens=not i or rng.random() >= SAME_SEGMENT) for i, x in enumerate(run)]


def dev_sessions(sequences: list[TextSequence], mode: str) -> Iterator[list[TextSequence]]:
    """Cut dev text into sessions: documents where there are any, else groups of neighbours."""
    if mode == "alone":
        yield from ([x] for x in sequences)
        return
    loose = [x for x in sequences if not x.document]
    for i in range(0, len(loose), GROUP):
        yield loose[i : i + GROUP]
    documents: dict[str, list[TextSequence]] = {}
    for x in sequences:
        if x.document:
            documents.setdefault(x.document, []).append(x)
    yield from documents.values()
