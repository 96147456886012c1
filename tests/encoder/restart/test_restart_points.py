"""Restart points of many segments at once are those that the plain reference gives for each of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.heads.stability import StabilityLogit, stability_of
from encoder.heads.word_record import WORD
from encoder.restart.expected_gain import best_point
from encoder.restart.policies import RestartPolicy, parse_policy
from encoder.restart.standing import pack_batch
from stream.overload.budget import Budget
from stream.overload.governor import Governor
from stream.overload.restart_pricing import RestartPricing
from tests.encoder.restart.reference import (
    StandingWords,
    combine_heads_reference,
    expected_changes_reference,
    restart_point_reference,
)

POLICIES = ["always", "never", "last:1", "last:4", "entropy:0.5", "stability:0.7", "whether:0.3"]
POLICIES += ["price:0", "price:0.01", "price:0.2"]


@st.composite
def segments(draw: st.DrawFn) -> tuple[list[list[bytes]], list[tuple[int, int]]]:
    """Words of one to three taggers, and how many stand of each segment and how many there are."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    sizes = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 4)), max_size=5))
    told = [(min(stand, words), min(stand, words) + coming) for words, stand, coming in sizes]
    data = [[random_words(rng, words) for words, _, _ in sizes] for _ in range(draw(st.integers(1, 3)))]
    return data, told


def random_words(rng: np.random.Generator, count: int) -> bytes:
    words = np.zeros(count, WORD)
    for name, scale in (("probability", 1.0), ("entropy", 1.5), ("base", 6.0), ("drift", 2.0)):
        words[name] = rng.random(count) * scale - (name in ("base", "drift")) * scale / 3
    words["seen"] = np.arange(count) + rng.integers(0, 4, count)
    return words.tobytes()


def plain_standing(data: list[bytes], stand: int, count: int) -> StandingWords:
    """What the reference is asked."""
    found = []
    for one in data:
        words = np.frombuffer(one, WORD)[:stand]
        seen = words["seen"].astype(np.int32)
        settled = StabilityLogit(words["base"].astype(np.float32), words["drift"].astype(np.float32))
        stability = stability_of(settled, np.maximum(count - seen, 0))
        found.append(StandingWords(words["entropy"].astype(np.float32), stability, seen, count - stand))
    return combine_heads_reference(found)


def one_by_one(policy: RestartPolicy, data: list[list[bytes]], told: list[tuple[int, int]]) -> list[int]:
    asked = [plain_standing([x[i] for x in data], *sizes) for i, sizes in enumerate(told)]
    return [restart_point_reference(policy, standing) for standing in asked]


@pytest.mark.parametrize("name", POLICIES)
@given(segments())
def test_points_of_many_are_the_points_of_each(name, given_segments):
    data, told = given_segments
    policy = parse_policy(name)
    assert policy.restart_points(pack_batch(data, told)) == one_by_one(policy, data, told)


@pytest.mark.parametrize("level", range(8))
@given(segments(), st.sampled_from(["always", "price:0.01", "last:3"]), st.floats(0, 30))
def test_what_is_paid_for_many_is_what_is_paid_for_each_in_turn(level, given_segments, name, left):
    data, told = given_segments
    together, alone = (spending_at(level, left) for _ in range(2))
    policy = parse_policy(name)
    points = together.apply_to(policy).restart_points(pack_batch(data, told))
    paid, shortened, forgone = [], 0, 0.0
    for i, sizes in enumerate(told):
        standing = plain_standing([x[i] for x in data], *sizes)
        point = restart_point_reference(policy, standing)
        changes = expected_changes_reference(standing)
        best = best_point(changes, point, alone.price)
        budget_of(alone).reserve(standing.words - best)  # what it buys makes the next one dearer
        paid.append(best)
        shortened += best > point
        forgone += changes[point:best].sum()
    assert points == paid
    assert together.price == alone.price
    assert together.shortened == shortened
    assert together.forgone_changes == pytest.approx(forgone)


def budget_of(spending: RestartPricing) -> Budget:
    assert spending.budget is not None
    return spending.budget


def spending_at(level: int, left: float) -> RestartPricing:
    governor, budget = Governor(1.0), Budget(30.0)
    governor.level = level
    budget.refill(0.0)
    budget.charge(30.0 - left, 30)
    return RestartPricing(governor, budget)
