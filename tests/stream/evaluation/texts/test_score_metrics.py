"""Measures of scores against the definitions, counted pair by pair and threshold by threshold."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.train.ranking import rank_auc
from stream.evaluation.texts.score_metrics import (
    average_precision,
    brier_score,
    controlled_auc,
    count_covered,
    length_groups,
    moments_of,
    share_of,
    text_reliability,
)

# few values, so that ties are common
texts = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans(), st.integers(1, 6)), max_size=40
)


def arrays(rows):
    scores, positive, words = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(scores, np.float64), np.array(positive, np.bool_), np.array(words, np.int64)


def wins(rows):
    """Pairs that the positive text wins, by halves for ties, and all pairs."""
    ones, zeros = [x for x in rows if x[1]], [x for x in rows if not x[1]]
    won = sum(1.0 if a[0] > b[0] else 0.5 if a[0] == b[0] else 0.0 for a in ones for b in zeros)
    return won, len(ones) * len(zeros)


@given(texts)
def test_controlled_auc_counts_only_pairs_of_one_group(rows):
    scores, positive, words = arrays(rows)
    inside = [wins([x for x in rows if x[2] == length]) for length in range(1, 7)]
    won, pairs = (sum(x) for x in zip(*inside, strict=True))
    assert controlled_auc(scores, positive, words) == (pytest.approx(won / pairs) if pairs else None)


def test_a_score_that_is_only_the_length_is_worth_nothing_once_length_is_controlled():
    words = np.repeat(np.arange(1, 21), 2)
    positive = np.tile([True, False], 20)
    positive[words > 10] = True
    positive[words == 11] = [True, False]
    assert rank_auc(words.astype(float), positive) > 0.7
    assert controlled_auc(words.astype(float), positive, length_groups(words, 20)) == 0.5


@given(st.lists(st.integers(1, 12), max_size=60), st.integers(1, 10))
def test_length_groups_keep_equal_lengths_together_and_in_order(words, groups):
    found = length_groups(np.array(words, np.int64), groups).tolist()
    assert len(set(found)) <= groups
    assert sorted(set(found)) == list(range(len(set(found))))
    for a, x in zip(words, found, strict=True):
        for b, y in zip(words, found, strict=True):
            assert (x <= y) if a < b else (x == y) if a == b else (x >= y)


def test_length_groups_of_different_lengths_are_equally_large():
    sizes = np.bincount(length_groups(np.arange(100), 10))
    assert (len(sizes), sizes.min() >= 9, sizes.max() <= 11) == (10, True, True)


@given(texts)
def test_average_precision_goes_down_the_thresholds(rows):
    scores, positive, _ = arrays(rows)
    total, before, found = sum(x[1] for x in rows), 0, 0.0
    for threshold in sorted({x[0] for x in rows}, reverse=True):
        above = [x for x in rows if x[0] >= threshold]
        right = sum(x[1] for x in above)
        found += right / len(above) * (right - before)
        before = right
    assert average_precision(scores, positive) == (pytest.approx(found / total) if total else None)


@given(texts)
def test_calibration_error_is_the_distance_in_each_bin(rows):
    scores, positive, _ = arrays(rows)
    found = text_reliability(scores, positive)
    if not rows:
        assert found is None
        assert brier_score(scores, positive) is None
        return
    bins = {}
    for p, fits, _ in rows:
        bins.setdefault(min(14, int(np.float32(p) * 15)), []).append((p, fits))
    error = sum(abs(sum(p for p, _ in x) - sum(fits for _, fits in x)) for x in bins.values()) / len(rows)
    assert found.ece == pytest.approx(error, abs=1e-6)
    assert {i for i, share in enumerate(found.share) if share} == set(bins)
    assert brier_score(scores, positive) == pytest.approx(sum((p - fits) ** 2 for p, fits, _ in rows) / len(rows))


def test_reliability_of_many_texts_counts_every_one():
    rng = np.random.default_rng(1)
    scores = rng.random(2501)
    found = text_reliability(scores, rng.random(2501) < scores)
    assert (found.pairs, found.ece < 0.05) == (2501, True)
    assert found.ece_low <= found.ece_high


def test_shares():
    assert share_of(np.array([], np.bool_)) is None
    assert share_of(np.array([True, False])) == 0.5


extents = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)).map(lambda x: (x[0], x[0] + x[1])), max_size=3)


@given(st.text("aB1 .-", max_size=16), extents, extents)
def test_covered_characters_are_letters_and_digits(text, found, gold):
    words = [(m.start(), m.end()) for m in re.finditer(r"\w+|[^\w\s]", text)]
    ours, theirs = (
        {i for a, b in x for i in range(a, b) if i < len(text) and text[i].isalnum()} for x in (found, gold)
    )
    real = [set(range(a, b)) for a, b in words if text[a].isalnum()]
    plain = [x for x in real if not x & theirs]
    counts = count_covered(text, np.array([end for _, end in words], np.int32), found, gold)
    assert counts == (len(theirs), len(ours), len(ours & theirs), len(plain), sum(bool(x & ours) for x in plain))


sets = st.sets(st.sampled_from("abc"), max_size=3)


@given(st.lists(st.tuples(sets, st.integers(1, 9)), min_size=1, max_size=8))
def test_moments_look_back_from_the_close(rows):
    states, seen = [x for x, _ in rows], sorted(n for _, n in rows)
    found = moments_of(states, seen, 10)
    assert set(found) == states[-1]
    for x, (share, at_close) in found.items():
        first = min(i for i in range(len(states)) if all(x in later for later in states[i:]))
        assert (share, at_close) == (seen[first] / 10, first == len(states) - 1)


def test_nothing_has_no_moment():
    assert moments_of([], [], 3) == {}
    assert moments_of([{"a"}, set()], [1, 3], 3) == {}
