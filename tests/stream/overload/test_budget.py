"""Restarts for sale: what one is worth, the price that a budget makes, and that it keeps it. No real clock."""

from collections.abc import Sequence
from itertools import accumulate
from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.harness.open_loop import drive
from encoder.restart.expected_gain import RESOLVED, best_point, expected_changes
from encoder.restart.policies import Always, Last, Never, RestartPolicy, StabilityThreshold
from stream.engine.engine import Engine
from stream.labelling.labeller import LabellerCounters
from stream.overload.budget import Budget
from stream.overload.governor import Governor
from stream.overload.restart_pricing import RestartPricing
from tests.encoder.restart.reference import batch_of, doubtful, expected_changes_reference, point_of
from tests.stream.fake_tagger import FakeLabeller, FakePlan
from tests.stream.helpers import tell
from tests.stream.overload.test_governor import WORDS, SimulatedTime, finals, talk
from tests.stream.streams import ALL, messages, steps

WORD = 10
"""FLOPs of a computed word."""


class Counting(FakeLabeller):
    """FLOPs are words computed; time stands still meanwhile."""

    flops = 0

    def compute(self, plans: Sequence[FakePlan]) -> None:
        super().compute(plans)
        self.flops += WORD * sum(len(plan.text.split()) - plan.point for plan in plans)

    def counters(self) -> LabellerCounters:
        return LabellerCounters(flops=self.flops)


# What a restart is worth


@given(data=st.data(), doubt=st.lists(st.floats(0, 1, width=32), max_size=12), coming=st.integers(1, 6))
def test_expected_changes_are_doubt_and_what_was_not_seen(data: st.DataObject, doubt: list[float], coming: int) -> None:
    n = len(doubt)
    seen = [data.draw(st.integers(i + 1, n)) for i in range(n)]
    wanted = [
        RESOLVED * d * (log(n + coming - 1 - i + 0.5) - log(s - 1 - i + 0.5))
        for i, (d, s) in enumerate(zip(doubt, seen, strict=True))
    ]
    standing = doubtful(doubt, seen, coming)
    assert expected_changes(batch_of(standing), 0) == pytest.approx(wanted, abs=1e-6)
    assert expected_changes_reference(standing) == pytest.approx(wanted, abs=1e-6)


@given(
    changes=st.lists(st.floats(0, 1), max_size=12), data=st.data(), price=st.sampled_from([0.0, 0.01, 0.1, 0.5, inf])
)
def test_the_best_point_is_that_of_all_points(changes: list[float], data: st.DataObject, price: float) -> None:
    """Tried one by one; at no price the policy has its way, at an infinite one nothing is bought."""
    first = data.draw(st.integers(0, len(changes)))
    found = best_point(np.array(changes), first, price)
    assert first <= found <= len(changes)
    if price in (0.0, inf):
        assert found == (first if not price else len(changes))
        return
    gains = [sum(changes[p:]) - price * (len(changes) - p) for p in range(first, len(changes) + 1)]
    assert gains[found - first] == pytest.approx(max(gains))


def test_a_dearer_restart_never_begins_earlier() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        changes = rng.random(20) ** 4
        points = [best_point(changes, 3, price) for price in (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)]
        assert points == sorted(points)


# The bucket


def test_half_of_it_is_free_and_below_nothing_nothing_is_bought() -> None:
    budget, prices = Budget(100.0), []
    budget.refill(0.0)
    for _ in range(12):
        prices.append(budget.price)
        budget.charge(10.0, 1)
    assert prices[:6] == [0.0] * 6
    assert prices == sorted(prices)
    assert prices[9] < inf
    assert prices[10:] == [inf, inf]
    budget.refill(0.4)  # 20 below nothing
    assert budget.level == pytest.approx(20)
    budget.refill(100.0)
    assert budget.full
    assert not budget.price


def test_what_is_booked_cannot_be_spent_again_before_it_is_paid() -> None:
    budget = Budget(100.0)
    budget.refill(0.0)
    budget.charge(10.0, 1)
    budget.reserve(8)
    assert budget.price == 0
    budget.reserve(1)
    assert budget.price == inf
    budget.charge(20.0, 2)
    assert budget.level == 70
    assert budget.price == 0


def test_a_budget_of_seconds_is_charged_by_the_clock() -> None:
    engine = Engine(Counting(), Always(), budget=Budget(0.5, "seconds"))
    engine.update_load(0.0)
    tell(engine, *[m for _, m in talk(1, 3)])
    assert engine.pricing.budget is not None
    assert engine.pricing.budget.full
    engine.record_step_time(0.4)
    assert engine.pricing.budget.level == pytest.approx(0.1)
    assert engine.pricing.budget.price > 0


# An engine with a budget


def run(
    rate: float | None, policy: RestartPolicy, load: float, sessions: int, seconds: float
) -> tuple[list[tuple[float, int]], Engine]:
    """A step for each message; the time and FLOPs of each."""
    engine, spent = Engine(Counting(), policy, budget=None if rate is None else Budget(rate)), []
    for number, (at, message) in enumerate(talk(load, seconds, sessions=sessions)):
        engine.update_load(at)
        before = engine.stats.flops
        tell(engine, message, first=number)
        spent.append((at, engine.stats.flops - before))
    return spent, engine


@settings(max_examples=6, deadline=None)
@given(
    rate=st.floats(200, 4000),
    load=st.floats(10, 30),
    sessions=st.integers(1, 24),
    policy=st.sampled_from([Always(), Last(3), StabilityThreshold(0.97)]),
)
def test_it_is_kept_whatever_comes(rate: float, load: float, sessions: int, policy: RestartPolicy) -> None:
    """Over any time restarts cost at most what it brought, one bucket and what one step may be off."""
    kept, engine = run(rate, policy, load, sessions, 6)
    least, _ = run(None, Never(), load, sessions, 6)  # what new words and closings cost alone
    extra = [a - b for (_, a), (_, b) in zip(kept, least, strict=True)]
    off = max(flops for _, flops in kept)
    left = [x - rate * at for (at, _), x in zip(kept, accumulate(extra), strict=True)]
    assert max(b - a for a, b in zip(accumulate(left, min), left, strict=True)) <= rate + 2 * off
    assert engine.stats.flops == sum(flops for _, flops in kept)


def test_restarts_use_what_new_words_leave() -> None:
    """Not only kept but spent: with a budget of twice what has to be computed, at least two thirds of it are used."""
    least, _ = run(None, Never(), 40, 8, 10)
    rate = 2 * sum(flops for _, flops in least) / 10
    kept, engine = run(rate, Always(), 40, 8, 10)
    assert 0.67 < sum(flops for _, flops in kept) / 10 / rate < 1.1
    assert engine.stats.restarts_shortened > 100
    assert engine.stats.forgone_changes > 1


@settings(max_examples=12, deadline=None)
@given(script=steps(WORDS, ALL, most=20))
def test_a_budget_that_is_never_half_spent_changes_no_byte(script: list) -> None:
    rich = Engine(Counting(), Last(3), budget=Budget(1e9))
    told = []
    for number, message in enumerate(messages(script)):
        rich.update_load(number / 10)
        told += tell(rich, message, first=number)
    assert told == tell(Engine(Counting(), Last(3)), *messages(script))
    assert rich.stats.restarts_shortened == 0


@settings(max_examples=12, deadline=None)
@given(script=steps(WORDS, ALL, most=20))
def test_without_a_clock_a_budget_shortens_nothing(script: list) -> None:
    poor = Engine(Counting(), Always(), budget=Budget(1e-9))
    assert tell(poor, *messages(script)) == tell(Engine(Counting(), Always()), *messages(script))


@settings(max_examples=12, deadline=None)
@given(script=steps(WORDS, ALL, most=20), rate=st.floats(0.1, 1000))
def test_final_labels_never_depend_on_the_budget(script: list, rate: float) -> None:
    poor, told = Engine(Counting(), Always(), budget=Budget(rate)), []
    for number, message in enumerate(messages(script)):
        poor.update_load(number / 10)
        told += tell(poor, message, first=number)
    assert finals(told) == finals(tell(Engine(Counting(), Always()), *messages(script)))


def test_it_says_when_restarts_begin_and_end_to_be_shortened() -> None:
    budget = Budget(300.0)
    engine = Engine(Counting(), Always(), governor=Governor(100.0), budget=budget)
    loads = [*talk(40, 4), *talk(1, 5, begin=20)]
    outcome = drive(engine, loads, SimulatedTime(), queue=100_000)
    assert [(shift.overloaded, shift.cause) for _, shift in outcome.shifts] == [(True, "budget"), (False, "budget")]
    assert outcome.shifts[1][1].shortened == engine.stats.restarts_shortened > 0
    assert outcome.shifts[1][0] < 20, "the engine looks by itself when nothing comes"


# Who gets it


class Speaker:
    """A text without an end whose words all have the same doubt; remembers when each was read."""

    def __init__(self, doubt: float) -> None:
        self.doubt = doubt
        self.seen: list[int] = []
        self.waited = self.longest = self.restarts = 0

    def speak(self, spending: RestartPricing) -> int:
        """One more word; returns how many are computed."""
        n = len(self.seen)
        point = point_of(spending.apply_to(Last(40)), doubtful([self.doubt] * n, self.seen))
        self.seen[point:] = [n + 1] * (n + 1 - point)
        self.waited = 0 if point < n else self.waited + 1
        self.restarts += point < n
        self.longest = max(self.longest, self.waited)
        return n + 1 - point


def speak(doubts: list[float], words_a_word: float) -> list[Speaker]:
    """In turns, each a word every tenth of a second, for 60 seconds; the budget is so many computed words a word."""
    budget = Budget(10 * len(doubts) * words_a_word)
    spending, speakers = RestartPricing(None, budget), [Speaker(doubt) for doubt in doubts]
    for step in range(600 * len(doubts)):
        spending.observe(0.0, step / len(doubts) / 10)
        words = speakers[step % len(doubts)].speak(spending)
        budget.charge(words, words)
    return speakers


def test_who_doubts_alike_is_served_alike() -> None:
    speakers = speak([0.2] * 12, 1.6)
    assert min(x.restarts for x in speakers) >= 15
    assert max(x.restarts for x in speakers) <= 1.3 * min(x.restarts for x in speakers)
    assert max(x.longest for x in speakers) < 150


def test_who_doubts_more_is_served_first() -> None:
    """The others wait, in the end for their closing."""
    loud, calm = speak([0.6] * 10 + [0.3] * 2, 2.5)[::11]
    assert 10 < calm.restarts < loud.restarts
