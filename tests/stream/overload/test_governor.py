"""Load beyond capacity, in simulated time: a step costs what it computes, and nothing here reads a real clock."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.open_loop import Outcome, drive
from encoder.restart.policies import Always, Last, RestartPolicy
from stream.engine.engine import Engine
from stream.messages.types import Message, Revision
from stream.overload.governor import Governor
from tests.stream.checks import Reader
from tests.stream.fake_tagger import FakeLabeller, FakePlan
from tests.stream.helpers import drain, tell, update
from tests.stream.streams import ALL, messages, steps

TARGET = 0.5
SESSIONS, LENGTH = 16, 30
STEP, WORD = 0.005, 0.0005
"""Seconds of a step, and of each word that it computes."""
WORDS = ["we", "met", "anna", "may", "said", "bob", "river", "jordan", "rome", "there"]


class SimulatedTime:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def skip(self, to: float) -> None:
        self.time = max(self.time, to)


class Costly(FakeLabeller):
    """Computing takes (simulated) time."""

    def __init__(self, clock: SimulatedTime) -> None:
        super().__init__()
        self.clock = clock

    def compute(self, plans: Iterable[FakePlan]) -> None:
        super().compute(plans)
        words = sum(len(plan.text.split()) - plan.point for plan in plans)
        self.clock.time += STEP + WORD * words


def talk(rate: float, seconds: float, begin: float = 0.0, sessions: int = SESSIONS) -> Iterator[tuple[float, Message]]:
    """All sessions in turns, a word more each time; after so many the segment closes and the next one begins."""
    for i in range(int(rate * seconds)):
        session, turn = i % sessions, i // sessions
        segment, word = divmod(turn + session * LENGTH // sessions, LENGTH)
        said = [WORDS[(7 * session + 3 * segment + j * j) % len(WORDS)] for j in range(word + 1)]
        yield begin + i / rate, update(f"{begin:g}-{segment}", " ".join(said), f"s{session}", final=word == LENGTH - 1)


def run(
    *parts: Iterable[tuple[float, Message]],
    policy: RestartPolicy | None = None,
    target: float | None = TARGET,
    coalesce: bool = False,
    queue: int = 100_000,
) -> tuple[Outcome, Engine]:
    clock = SimulatedTime()
    governor = Governor(target) if target else None
    engine = Engine(Costly(clock), policy or Always(), coalesce=coalesce, governor=governor)
    return drive(engine, [x for part in parts for x in part], clock, queue=queue), engine


@pytest.fixture(scope="module")
def capacity() -> float:
    """Updates a second with full restarts: so many come that something always waits."""
    outcome, _ = run(talk(1000, 3), target=None)
    return 3000 / max(arrived + seconds for arrived, seconds in outcome.latencies)


def finals(revisions: Iterable[Revision]) -> dict[tuple[str, str], list[tuple[int, int, str]]]:
    return {(x.session, x.segment): [(s.start, s.end, s.label) for s in x.spans] for x in revisions if x.final}


def p99(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 99))


# A whole load


def test_below_capacity_nothing_is_shortened(capacity: float) -> None:
    governed, engine = run(talk(0.7 * capacity, 15))
    free, _ = run(talk(0.7 * capacity, 15), target=None)
    assert not governed.shifts
    assert engine.stats.restarts_shortened == 0
    assert governed.revisions == free.revisions


@pytest.mark.parametrize("load", [1.2, 2.0, 4.0])
def test_beyond_capacity_restarts_shrink_before_latency_grows_and_come_back_after_it(
    capacity: float, load: float
) -> None:
    heavy, light = talk(load * capacity, 30), talk(0.3 * capacity, 40, begin=30)
    governed, engine = run(heavy, light)
    free, _ = run(talk(load * capacity, 30), target=None)
    assert max(free.between(25, 30)) > 4
    assert max(governed.between(0, 8)) < 2 * TARGET
    assert max(governed.between(8, 30)) < 2 * TARGET
    assert [shift.overloaded for _, shift in governed.shifts] == [True, False]
    ended, shift = governed.shifts[-1]
    assert 30 < ended < 55
    assert shift.seconds == pytest.approx(ended - governed.shifts[0][0])
    assert 0 < shift.shortened == engine.stats.restarts_shortened
    assert engine.pricing.governor is not None
    assert engine.pricing.governor.level == 0
    assert p99(governed.between(60, 70)) < TARGET / 4


def test_a_steady_overload_is_tried_less_and_less_often(capacity: float) -> None:
    outcome, _ = run(talk(2 * capacity, 60))
    first, second = (sum(a <= at < a + 30 for at, _ in outcome.prices) for a in (0, 30))
    assert second <= 10 < 2 * first
    assert len({price for at, price in outcome.prices if at > 15}) <= 2


def test_what_closes_is_computed_whole_all_the_same(capacity: float) -> None:
    governed, engine = run(talk(4 * capacity, 10))
    free, _ = run(talk(4 * capacity, 10), target=None)
    assert engine.stats.restarts_shortened > 1000
    assert engine.stats.flips_model > 0
    assert len(finals(free.revisions)) > 100
    assert finals(governed.revisions) == finals(free.revisions)


def test_far_beyond_capacity_the_queue_bounds_memory_and_delay(capacity: float) -> None:
    outcome, engine = run(talk(10 * capacity, 8), queue=256)
    assert engine.pricing.governor is not None
    assert max(price for _, price in outcome.prices) == np.inf
    assert outcome.most_in_flight == 256
    alone = STEP + 2 * WORD  # one update in a step of its own: its new word and its share of the closing
    assert max(outcome.queued[3000:]) < 256 * alone
    assert len(outcome.latencies) == int(80 * capacity)


def test_a_queue_that_holds_its_source_back_is_an_overload_however_short_the_waits(capacity: float) -> None:
    """The bound of the queue is a bound of the wait: below the target it would hide every overload."""
    queue = int(capacity * TARGET / 2)
    outcome, engine = run(talk(3 * capacity, 20), talk(0.3 * capacity, 20, begin=30), queue=queue)
    assert max(outcome.queued) < TARGET * 1.2
    assert [shift.overloaded for _, shift in outcome.shifts] == [True, False]
    assert engine.stats.restarts_shortened > 1000
    assert p99(outcome.between(15, 20)) < TARGET


def test_coalescing_alone_can_be_enough(capacity: float) -> None:
    """Superseded updates cost nothing: a few sessions, however fast they speak, make no overload."""
    outcome, engine = run(talk(4 * capacity, 10), coalesce=True)
    assert engine.stats.coalesced > 1000
    assert not outcome.shifts
    assert max(seconds for _, seconds in outcome.latencies) < TARGET


def test_many_sessions_overload_in_spite_of_coalescing(capacity: float) -> None:
    outcome, engine = run(talk(8 * capacity, 20, sessions=400), coalesce=True)
    free, _ = run(talk(8 * capacity, 20, sessions=400), coalesce=True, target=None)
    assert outcome.shifts
    assert engine.stats.restarts_shortened > 100
    assert p99(outcome.between(10, 20)) < p99(free.between(10, 20))


# The policy


@given(script=steps(WORDS, ALL, most=40), waits=st.lists(st.sampled_from([0.0, 0.3, 0.6, 2.0]), min_size=1))
def test_final_labels_never_depend_on_how_long_updates_waited(script: list, waits: list[float]) -> None:
    """Any history of waits; every revision on the way is a good one for a reader that trusts nothing."""
    governor = Governor(TARGET)
    engine, reader, told = Engine(FakeLabeller(), Always(), governor=governor), Reader(), []
    for number, message in enumerate(messages(script)):
        governor.observe(waits[number % len(waits)], number * 0.4)
        told.append(tell(engine, message, first=number))
        reader.message(message, told[-1])
    free = tell(Engine(FakeLabeller(), Always()), *messages(script))
    assert finals(x for revisions in told for x in revisions) == finals(free)


@given(script=steps(WORDS, ALL, most=40))
def test_without_a_clock_nothing_is_shortened(script: list) -> None:
    governed = Engine(FakeLabeller(), Last(3), governor=Governor(1e-9))
    assert tell(governed, *messages(script)) == tell(Engine(FakeLabeller(), Last(3)), *messages(script))


# The governor


def press(governor: Governor, start: float, waits: Iterable[float]) -> list[int]:
    """Look every quarter of a second; the level of the price after each look."""
    levels = []
    for i, waited in enumerate(waits):
        governor.observe(waited, start + i / 4)
        levels.append(governor.level)
    return levels


def test_the_price_rises_while_the_wait_does_not_fall() -> None:
    governor = Governor(TARGET)
    assert governor.price == 0
    assert press(governor, 0, [0.5, 0.6, 0.6, 0.7, 0.6, 0.5, 0.6]) == [0, 1, 2, 3, 3, 3, 4]
    assert press(governor, 10, [0.6, 0.6, 0.6, 9.0, 9.0]) == [5, 6, 7, 7, 7]
    assert governor.price == np.inf


def test_a_rise_is_given_time_to_be_seen() -> None:
    governor = Governor(TARGET)
    for at in (0.0, 0.05, 0.1):
        governor.observe(0.6, at)
        assert governor.level == 1
    governor.observe(0.6, 0.13)
    assert governor.level == 2


def test_a_trial_that_fails_is_put_off_for_twice_as_long() -> None:
    governor = Governor(TARGET)
    press(governor, 0, [0.6, 0.6])
    pauses, at = [], 0.25
    for _ in range(6):
        began = at
        while governor.level == 2:
            at += 0.25
            governor.observe(0.0, at)
        pauses.append(at - began)
        governor.observe(0.3, at)  # half of the target is enough to fail
        assert governor.level == 2
    assert pauses == [1, 2, 4, 8, 8, 8]


def test_a_wait_that_rises_is_no_calm() -> None:
    governor = Governor(TARGET)
    press(governor, 0, [0.6])
    assert press(governor, 0.25, [0.05, 0.1, 0.15, 0.2]) == [1] * 4
    assert press(governor, 1.25, [0.2] * 4) == [1, 1, 1, 0]


def test_overload_begins_and_ends_once_and_says_for_how_long() -> None:
    governor = Governor(TARGET)
    shifts = [governor.observe(0.6, at / 4) for at in range(3)]
    begins = shifts[0]
    assert begins is not None
    assert (begins.overloaded, begins.waited) == (True, 0.6)
    assert shifts[1:] == [None, None]
    governor.shortened += 3
    found = [shift for at in range(3, 40) if (shift := governor.observe(0.0, at / 4))]
    assert [(x.overloaded, x.shortened) for x in found] == [(False, 3)]
    assert found[0].seconds > 1


def test_expired_and_dropped_sessions_are_nobody_who_waits() -> None:
    engine = Engine(FakeLabeller(), Always(), idle_seconds=10, governor=Governor(TARGET))
    for i in range(3):
        engine.submit(update("u", "anna met bob", f"s{i}"), i, now=0.0)
    drain(engine)
    assert engine.expire(100.0) == 3
    engine.drop("s1")
    assert engine.pending
    assert engine.update_load(100.0, crowded=True) is None
    assert engine.update_load(100.4, crowded=True) is None
    engine.submit(update("u", "anna", "new"), 3, now=100.0)
    drain(engine)
    engine.submit(update("u", "anna", "newer"), 4, now=100.0)
    shift = engine.update_load(100.6)
    assert shift is not None
    assert shift.waited == pytest.approx(0.6)


def test_a_full_queue_counts_only_while_something_waits_for_the_engine() -> None:
    """A slow reader, a broker for example, holds places too: shorter restarts would not help it."""
    engine = Engine(FakeLabeller(), Always(), governor=Governor(TARGET))
    assert engine.update_load(0.0, crowded=True) is None
    assert engine.update_load(10.0, crowded=True) is None


def test_a_queue_that_was_empty_in_between_was_not_crowded_all_the_time() -> None:
    rested, crowded = Governor(TARGET), Governor(TARGET)
    for governor in (rested, crowded):
        assert governor.observe(0.1, 0.0, crowded=True) is None
    rested.note_idle()
    assert rested.observe(0.1, 1.0, crowded=True) is None
    assert crowded.observe(0.1, 1.0, crowded=True) is not None
