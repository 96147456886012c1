"""The guarantee on made-up units whose risk is known: how often it is broken, and how much it can show."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.evaluation.calibration.risk_control import (
    BETS,
    WEIGHTS,
    LossAllowance,
    certify,
    compute_allowance,
    judge,
    p_value,
    units_needed,
)
from tests.stream.rivals import empirical_bernstein, hoeffding_bentkus

DELTA, EPSILON = 0.03, 0.05


def lengths(rng, n):
    """Sentences: mostly short, a few many times as long."""
    return np.clip(rng.lognormal(2.3, 0.6, n), 1, 60).astype(np.int64)


def alike(rng, n):
    return np.full(n, 10)


def heavy(rng, n):
    """A few units are most of the rows."""
    return np.where(rng.random(n) < 0.02, 300, 2)


# Units lose rows in stretches: all or nothing of a share of them, so that rows of a unit are anything but independent.


def lose(rng, rows, risk, share=0.5):
    """Units lose `share` of their rows (as near as whole rows allow) or none; `risk` of all rows on average."""
    most = np.maximum(1, np.round(share * rows))
    return np.where(rng.random(len(rows)) < risk * rows / most, most, 0).astype(np.int64)


def lose_whole(rng, rows, risk):
    return lose(rng, rows, risk, share=1.0)


def lose_and_gain(rng, rows, risk):
    """What one unit loses, another gains; only the difference is a risk."""
    loss = np.maximum(1, np.round(0.3 * rows))
    up = 0.05
    down = risk * rows / loss + up
    u = rng.random(len(rows))
    return np.where(u < down, loss, np.where(u < down + up, -loss, 0)).astype(np.int64)


def lose_the_longest(rng, rows, risk):
    """Whole units, only of the longest, until what is allowed is used up: the hardest to see."""
    lost, left = np.zeros(len(rows), np.int64), risk * rows.sum()
    for i in np.argsort(-rows):
        chance = min(1.0, left / rows[i])
        lost[i] = rows[i] * (rng.random() < chance * 0.5) if chance == 1.0 else rows[i] * (rng.random() < chance)
        left -= rows[i] * (0.5 if chance == 1.0 else chance)
        if left <= 0:
            return lost
    return lost


LOSSES = [lose, lose_whole, lose_and_gain, lose_the_longest]
LENGTHS = [lengths, alike, heavy]


def at_most(share, trials):
    """A share of `trials` that is above what chance does to `share` in one of 10,000 tests."""
    return share + 3.7 * math.sqrt(share * (1 - share) / trials)


# The p-value.


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("n", [30, 500])
def test_p_values_are_superuniform_at_the_edge_of_the_null(loss, length, n):
    """Exactly `DELTA` is lost on average: p-values at or below x come with a probability of x at most."""
    trials = 1000
    rng = np.random.default_rng(n)
    rows = length(rng, n)
    allowance = compute_allowance(rows, DELTA)
    assert abs(np.mean([loss(rng, rows, DELTA).sum() for _ in range(trials)]) / rows.sum() / DELTA - 1) < 0.2
    p = np.array([p_value(loss(rng, rows, DELTA), allowance) for _ in range(trials)])
    for level in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert (p <= level).mean() <= at_most(level, trials)


@given(
    rows=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    chances=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    delta=st.floats(0.01, 0.9),
)
@settings(max_examples=300, deadline=None)
def test_the_capital_is_at_most_one_on_average_whoever_loses(rows, chances, delta):
    """Few units that lose all of their rows or none, each with a chance of its own: every outcome is summed up."""
    lengths = np.array(rows)
    share = sum(a * b for a, b in zip(chances, rows, strict=False)) / lengths.sum()
    delta = min(delta, share)  # at or above what is allowed: in the null
    if not 0 < delta < 1:
        return
    allowance = compute_allowance(lengths, delta)
    mean = 0.0
    for outcome in np.ndindex(*[2] * len(rows)):
        lost = np.array(outcome)
        probability = np.prod([a if x else 1 - a for a, x in zip(chances, outcome, strict=False)])
        mean += probability * slow_capital(lost * lengths, allowance)
    assert mean <= 1 + 1e-9


def slow_capital(lost, allowance):
    """The definition, bet by bet and unit by unit."""
    cap, mean = allowance
    total = 0.0
    for bet, weight in zip(BETS.tolist(), WEIGHTS.tolist(), strict=True):
        capital = weight
        for one in lost.tolist():
            capital *= 1 + bet / (cap - mean) * (mean - min(one, cap))
        total += capital
    return total


@given(
    rows=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    delta=st.floats(0.001, 0.99),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_p_values_and_allowances_are_what_they_are_defined_to_be(rows, delta, seed):
    lengths = np.array(rows)
    allowance = compute_allowance(lengths, delta)
    assert allowance.mean < allowance.cap <= lengths.max()
    # what is lost under the cap, and all beyond it, add up to no more than delta
    assert len(rows) * allowance.mean + np.maximum(lengths - allowance.cap, 0).sum() == pytest.approx(delta * sum(rows))
    lost = np.random.default_rng(seed).integers(-lengths, lengths + 1)
    assert p_value(lost, allowance) == pytest.approx(min(1.0, 1 / max(slow_capital(lost, allowance), 1e-300)))


def test_weights_are_a_mean():
    assert WEIGHTS.sum() == pytest.approx(1)
    assert (WEIGHTS > 0).all()
    assert BETS.max() == 1


def test_without_losses_the_p_value_is_nearly_the_binomial_one():
    """Nobody can show more: if each unit lost all with chance b/cap, none would with (1 - b/cap)^n."""
    rows = np.full(200, 10)
    allowance = compute_allowance(rows, 0.02)
    assert allowance == LossAllowance(10.0, pytest.approx(0.2))
    p = p_value(np.zeros(200, np.int64), allowance)
    assert 0.98**200 <= p <= 0.98**200 / 0.9


def test_a_few_long_units_do_not_spoil_it_while_they_are_few():
    rows = np.append(np.full(2000, 10), 100)
    lost = np.zeros(2001, np.int64)
    assert compute_allowance(rows, 0.01).cap == 10
    assert judge(lost, rows, 0.01, 0.05).p_value < 1e-3
    assert p_value(lost, compute_allowance(rows, 0.01, cap=100.0)) > 0.1


# The bound.


@pytest.mark.parametrize("loss", [lose, lose_and_gain])
def test_the_bound_holds_as_often_as_it_says(loss):
    rng, trials, risk = np.random.default_rng(1), 300, 0.01
    rows = lengths(rng, 600)
    bounds = np.array([judge(loss(rng, rows, risk), rows, DELTA, EPSILON).bound for _ in range(trials)])
    assert (bounds < risk).mean() <= at_most(EPSILON, trials)
    assert np.median(bounds) < 4 * risk


def test_bound_and_p_value_agree():
    rng = np.random.default_rng(2)
    rows = lengths(rng, 400)
    for risk in (0.0, 0.01, 0.03):
        verdict = judge(lose(rng, rows, risk), rows, DELTA, EPSILON)
        assert (verdict.p_value <= EPSILON) == (verdict.bound <= DELTA + 1e-12)


# The choice of a threshold.

RISKS = (0.0, 0.002, 0.01, 0.0295, 0.0305, 0.031, 0.05, 0.02)
"""Of thresholds in the order in which they are tested; those from the fifth on break the promise, but for the last."""


def simulate(rng, rows, allowance, loss):
    """Number of thresholds that are certified."""
    return len(list(certify((p_value(loss(rng, rows, risk), allowance) for risk in RISKS), EPSILON)))


@pytest.mark.parametrize("loss", [lose, lose_whole, lose_and_gain])
@pytest.mark.parametrize("n", [100, 500, 3000])
def test_a_threshold_that_breaks_the_promise_is_seldom_chosen(loss, n):
    trials = 1000
    rng = np.random.default_rng(n + 7)
    rows = lengths(rng, n)
    allowance = compute_allowance(rows, DELTA)
    counts = np.array([simulate(rng, rows, allowance, loss) for _ in range(trials)])
    assert (counts > 4).mean() <= at_most(EPSILON, trials)
    if n == 100:
        assert counts.max() == 0  # too few to promise anything
    if n == 3000:
        assert (counts >= (2 if loss is lose_whole else 3)).mean() > 0.9


def test_a_threshold_at_the_edge_is_chosen_in_no_more_than_epsilon_of_the_cases():
    """Hardest for the rule: all before it are safe without doubt."""
    trials, rng = 2000, np.random.default_rng(5)
    rows = lengths(rng, 1500)
    allowance = compute_allowance(rows, DELTA)
    wrong = 0
    for _ in range(trials):
        p = [p_value(lose(rng, rows, risk), allowance) for risk in (0.0, 0.001, DELTA)]
        wrong += len(list(certify(p, EPSILON))) == 3
    assert wrong / trials <= at_most(EPSILON, trials)


def test_certifying_stops_at_the_first_that_fails_and_asks_for_no_more():
    asked = []

    def values():
        for p in (0.01, 0.05, 0.06, 0.01):
            asked.append(p)
            yield p

    assert list(certify(values(), 0.05)) == [0.01, 0.05]
    assert asked == [0.01, 0.05, 0.06]


# How much it can show, beside others.


@pytest.mark.parametrize(
    ("n", "loss", "risk"),
    [(900, lose_and_gain, 0.0), (900, partial(lose, share=0.1), 0.008)],
)
def test_it_shows_more_than_hoeffding_bentkus_and_empirical_bernstein(n, loss, risk):
    rng, trials = np.random.default_rng(3), 100
    shown = np.zeros(3)
    for _ in range(trials):
        rows = lengths(rng, n)
        lost = loss(rng, rows, risk)
        rivals = hoeffding_bentkus(lost, rows, DELTA), empirical_bernstein(lost, rows, DELTA)
        shown += [p <= EPSILON for p in (p_value(lost, compute_allowance(rows, DELTA)), *rivals)]
    ours, bentkus, bernstein = shown / trials
    assert ours > 0.7
    assert ours >= bentkus + 0.2
    assert ours >= bernstein + 0.2


# How many units it takes.


def test_units_needed_is_about_right():
    rows = np.tile([5, 10, 15, 30], 10)
    needed = units_needed(np.zeros(40, np.int64), rows, 0.02, 0.05)
    assert needed is not None
    for n, enough in ((needed - 8, False), (needed + 8, True)):
        more = np.resize(rows, n // 4 * 4)
        assert (judge(np.zeros(len(more), np.int64), more, 0.02, 0.05).p_value <= 0.05) == enough


def test_no_number_of_units_suffices_when_too_much_is_lost():
    rows = np.full(50, 10)
    assert units_needed(np.where(np.arange(50) < 5, 5, 0), rows, 0.04, 0.05) is None
    assert units_needed(np.where(np.arange(50) < 5, 5, 0), rows, 0.06, 0.05) is not None


@pytest.mark.parametrize(
    ("delta", "epsilon", "rows"), [(0, 0.05, [3]), (0.1, 1, [3]), (0.1, 0.05, []), (0.1, 0.05, [0])]
)
def test_what_cannot_be_tested_is_refused(delta, epsilon, rows):
    with pytest.raises(ValueError, match=r"between 0 and 1|at least one"):
        judge(np.zeros(len(rows), np.int64), np.array(rows, np.int64), delta, epsilon)
