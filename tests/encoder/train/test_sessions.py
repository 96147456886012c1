"""Made-up sessions: every row once, documents in order, segments, sources, and examples within the positions."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from encoder.train.config import AugmentConfig
from encoder.train.data.batches import WordPieces, make_examples
from encoder.train.data.sequence import TextSequence
from encoder.train.data.sessions import MOST_SEGMENTS, draw_segments, make_sessions
from tests.tiny import LABELS, tiny_tokenizer

NAMES = st.lists(st.lists(st.sampled_from(("", "a", "b")), max_size=12), min_size=1, max_size=3)


def sources_of(names: list[list[str]]) -> list[list[TextSequence]]:
    return [
        [TextSequence(name, ("we", f"x{i}", f"y{number}"), ("O",) * 3) for i, name in enumerate(rows)]
        for number, rows in enumerate(names)
    ]


@given(NAMES, st.integers(0, 1000))
def test_every_row_is_in_one_session_and_neighbours_keep_their_order(names: list[list[str]], seed: int) -> None:
    sources = sources_of(names)
    sessions = make_sessions(sources, random.Random(seed))
    rows = Counter((row.source, row.sequence) for session in sessions for row in session)
    assert rows == Counter((i, x) for i, sequences in enumerate(sources) for x in sequences)
    for session in sessions:
        assert session[0].opens
        for one, two in pairwise(session):
            if not two.opens:  # it continues a segment, so it is its neighbour
                assert two.source == one.source
                assert two.sequence.document == one.sequence.document != ""
                assert int(two.sequence.words[1][1:]) == int(one.sequence.words[1][1:]) + 1


def test_sessions_are_short_mostly_and_reach_forty_segments() -> None:
    rng = random.Random(0)
    drawn = [draw_segments(rng) for _ in range(20_000)]
    assert max(drawn) == MOST_SEGMENTS
    alone = drawn.count(1)
    assert 0.15 < alone / sum(drawn) < 0.3  # rows that stand alone


@given(NAMES, st.integers(0, 1000), st.integers(8, 40))
def test_examples_hold_every_token_once_with_its_source(names: list[list[str]], seed: int, limit: int) -> None:
    sources = sources_of(names)
    pieces = WordPieces(tiny_tokenizer(), LABELS)
    made = make_examples(pieces, sources, AugmentConfig(sessions=True), limit, random.Random(seed))
    assert all(0 < len(e.ids) <= limit for e in made)
    tokens = Counter((int(k), int(i)) for e in made for k, i in zip(e.known, e.ids, strict=True))
    expected: Counter[tuple[int, int]] = Counter()
    for number, sequences in enumerate(sources):
        for x in sequences:
            expected.update((number, i) for word in x.words for unit in pieces.units(word) for i in unit)
    assert tokens == expected
    for e in made:
        assert (np.diff(e.sentence) >= 0).all()
        assert (np.diff(e.sentence) <= 1).all()
        assert (np.diff(e.word) >= 0).all()
