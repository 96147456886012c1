"""Restart points of many segments at once are those that each policy gives for each of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.heads.stability import Settled, stability_of
from encoder.heads.word_record import WORD
from encoder.restart.batch_policies import pack_batch, restart_points
from encoder.restart.policies import RestartPolicy, StandingWords, combine_heads, parse_policy
from stream.overload.budget import Budget
from stream.overload.governor import Governor
from stream.overload.restart_pricing import RestartPricing

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
    """What a policy was asked before anything was packed."""
    found = []
    for one in data:
        words = np.frombuffer(one, WORD)[:stand]
        seen = words["seen"].astype(np.int32)
        settled = Settled(words["base"].astype(np.float32), words["drift"].astype(np.float32))
        stability = stability_of(settled, np.maximum(count - seen, 0))
        entropy, probability = (words[x].astype(np.float32) for x in ("entropy", "probability"))
        found.append(StandingWords(entropy, probability, stability, seen, count - stand))
    return combine_heads(found)


def one_by_one(policy: RestartPolicy, data: list[list[bytes]], told: list[tuple[int, int]]) -> list[int]:
    asked = [plain_standing([x[i] for x in data], *sizes) for i, sizes in enumerate(told)]
    return [min(max(policy.point(standing), 0), standing.words) for standing in asked]


@pytest.mark.parametrize("name", POLICIES)
@given(segments())
def test_points_of_many_are_the_points_of_each(name, given_segments):
    data, told = given_segments
    policy = parse_policy(name)
    assert restart_points(policy, pack_batch(data, told)) == one_by_one(policy, data, told)


@given(segments())
def test_a_policy_of_ones_own_is_asked_one_by_one(given_segments):
    class Middle:
        def point(self, standing: StandingWords) -> int:
            return standing.words // 2 if standing.stability.sum() > standing.words / 2 else -3

    data, told = given_segments
    assert restart_points(Middle(), pack_batch(data, told)) == one_by_one(Middle(), data, told)


@pytest.mark.parametrize("level", range(8))
@given(segments(), st.sampled_from(["always", "price:0.01", "last:3"]), st.floats(0, 30))
def test_what_is_paid_for_many_is_what_is_paid_for_each_in_turn(level, given_segments, name, left):
    data, told = given_segments
    both = [spending_at(level, left) for _ in range(2)]
    together, alone = (x.govern(parse_policy(name)) for x in both)
    assert restart_points(together, pack_batch(data, told)) == one_by_one(alone, data, told)
    assert both[0].shortened == both[1].shortened
    assert both[0].undone == both[1].undone
    assert both[0].price == both[1].price


def spending_at(level: int, left: float) -> RestartPricing:
    governor, budget = Governor(1.0), Budget(30.0)
    governor.level = level
    budget.refill(0.0)
    budget.pay(30.0 - left, 30)
    return RestartPricing(governor, budget)
