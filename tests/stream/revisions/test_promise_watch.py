"""The e-process: Ville's bound under the null hypothesis, growth above it; units, alarms and merging of the watch."""

import itertools
import math

import numpy as np
import pytest

from stream.revisions.promise_evidence import Evidence, merge_evidence
from stream.revisions.promise_watch import UNIT_SPANS, PromiseWatch
from stream.revisions.span_fates import SpanFates

RUNS, UNITS = 300, 200


def peak(alpha, losses):
    """The largest value of the log of the e-process over a stream."""
    evidence, largest = Evidence(alpha), 0.0
    for loss in losses:
        evidence.add(float(loss))
        largest = max(largest, evidence.log10)
    return largest


def alarms(make, alpha, epsilon, seed=0):
    rng = np.random.default_rng(seed)
    return np.mean([peak(alpha, make(rng)) >= -math.log10(epsilon) for _ in range(RUNS)])


AT_THE_BOUNDARY = {
    "one span": lambda rng: rng.random(UNITS) < 0.2,
    "five spans": lambda rng: rng.binomial(5, 0.2, UNITS) / 5,
    "spans of a session alike": lambda rng: rng.binomial(12, rng.beta(1, 4, UNITS)) / 12,
    "rare and common in turns": lambda rng: np.where(np.arange(UNITS) % 2, 0.2, rng.random(UNITS) < 0.2),
}


@pytest.mark.parametrize("kind", AT_THE_BOUNDARY)
@pytest.mark.parametrize("epsilon", [0.2, 0.05])
def test_false_alarms_are_as_rare_as_promised(kind, epsilon):
    """At the boundary of the null hypothesis, however often one looks; 3.7 standard errors are allowed."""
    found = alarms(AT_THE_BOUNDARY[kind], 0.2, epsilon)
    assert found <= epsilon + 3.7 * math.sqrt(epsilon * (1 - epsilon) / RUNS)


def test_the_check_of_false_alarms_can_fail():
    """Half as much again is found: the same streams against a smaller alpha."""
    assert alarms(AT_THE_BOUNDARY["five spans"], 0.13, 0.05) > 0.9


def test_spans_of_one_session_counted_one_by_one_would_ring_falsely():
    """Why a session is one unit: its spans are alike, so the second one taken back is no news after the first."""

    def one_by_one(rng):
        return np.concatenate([rng.random(12) < p for p in rng.choice([0.0, 1.0], UNITS // 6, p=[0.8, 0.2])])

    assert alarms(one_by_one, 0.2, 0.05) > 0.2


@pytest.mark.parametrize(("share", "expected"), [(0.3, 1.0), (0.2, None)])
def test_the_expected_value_is_exactly_one_at_the_boundary_and_less_below_it(share, expected):
    """Over all outcomes of ten units that lose nothing or all, weighed by their probability."""
    mean = 0.0
    for outcome in itertools.product([0, 1], repeat=10):
        evidence = Evidence(0.3)
        for loss in outcome:
            evidence.add(float(loss))
        mean += share ** sum(outcome) * (1 - share) ** (10 - sum(outcome)) * 10**evidence.log10
    assert mean < 0.95 if expected is None else mean == pytest.approx(expected, abs=1e-9)


def test_the_value_is_the_mixture_that_the_page_derives():
    """The slow way: every bet, from every beginning, weighed."""
    rng, alpha = np.random.default_rng(1), 0.3
    losses = rng.random(40)
    evidence, bets = Evidence(alpha), [2.0**-i / alpha for i in range(1, 7)]
    for n in range(1, len(losses) + 1):
        evidence.add(float(losses[n - 1]))
        total = 1 / (n + 1)  # what has not been bet yet
        for begin in range(1, n + 1):
            capitals = [math.prod(1 + bet * (x - alpha) for x in losses[begin - 1 : n]) for bet in bets]
            total += sum(capitals) / len(capitals) / (begin * (begin + 1))
        assert evidence.log10 == pytest.approx(math.log10(total), abs=1e-9)


def test_evidence_grows_when_more_is_taken_back_and_the_more_the_faster():
    rng = np.random.default_rng(2)
    needed = []
    for share in (0.3, 0.45, 0.9):
        evidence = Evidence(0.15)
        while evidence.log10 < 3:
            evidence.add(rng.binomial(8, share) / 8)
            assert evidence.units < 2000
        needed.append(evidence.units)
    assert needed == sorted(needed, reverse=True)
    assert needed[0] < 150


def test_a_long_good_time_hardly_delays_the_alarm():
    """The capital that is not bet yet begins anew after every unit."""
    fresh, old = Evidence(0.15), Evidence(0.15)
    for _ in range(5000):
        old.add(0.0)
    assert old.log10 >= -math.log10(5001)
    for evidence in (fresh, old):
        while evidence.log10 < 3:
            evidence.add(0.5)
    assert old.units - 5000 < 4 * fresh.units


def test_numbers_stay_finite():
    evidence = Evidence(0.01)
    for _ in range(2000):
        evidence.add(1.0)
    assert evidence.log10 == 300
    for _ in range(2000):
        evidence.add(0.0)
    assert math.isfinite(evidence.log10)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Evidence(0.0)


def test_merged_evidence_is_the_mean_and_does_not_ring_falsely_either():
    assert merge_evidence([]) == 0
    assert merge_evidence([2.0, -5.0]) == pytest.approx(math.log10((100 + 1e-5) / 2))
    assert merge_evidence([300.0, 300.0]) == 300
    rng, rung = np.random.default_rng(3), 0
    for _ in range(RUNS):
        parts = [Evidence(0.2) for _ in range(4)]
        largest = 0.0
        for _ in range(60):
            alike = rng.random() < 0.2  # the labels of a session break together
            for part in parts:
                part.add(float(alike))
            largest = max(largest, merge_evidence([x.log10 for x in parts]))
        rung += largest >= 1
    assert rung / RUNS <= 0.1 + 3.7 * math.sqrt(0.09 / RUNS)


def watched(alpha=0.2, epsilon=0.01):
    rung = []
    return PromiseWatch({("ner", "person"): alpha, ("ner", "place"): alpha}, epsilon, rung.append), rung


def test_an_alarm_is_told_once_and_stays():
    watch, rung = watched()
    for i in range(40):
        watch.observe(f"s{i}", "ner", SpanFates(["person"] * 3, ["place"]))
        watch.end_session(f"s{i}")
    assert [(x.tagger, x.label, x.alpha) for x in rung] == [("ner", "person", 0.2)]
    assert rung[0].log10 >= 2
    assert set(watch.alarms) == {("ner", "person")}
    for i in range(400):
        watch.observe(f"t{i}", "ner", SpanFates((), ["person"]))
        watch.end_session(f"t{i}")
    assert watch.evidence["ner", "person"].log10 < rung[0].log10
    assert set(watch.alarms) == {("ner", "person")}
    assert len(rung) == 1


def test_labels_without_a_promise_and_rewritten_spans_are_counted_and_not_watched():
    watch, _ = watched()
    watch.observe("s", "ner", SpanFates(["time"], (), ["person"]))
    watch.observe("s", "other", SpanFates(["person"]))
    watch.end_session("s")
    assert watch.counts == {
        ("ner", "time", "taken_back"): 1,
        ("ner", "person", "rewritten"): 1,
        ("other", "person", "taken_back"): 1,
    }
    assert [x.units for x in watch.evidence.values()] == [0, 0]


def test_a_session_that_never_ends_is_watched_in_parts():
    watch, _ = watched()
    for _ in range(2 * UNIT_SPANS + 1):
        watch.observe("s", "ner", SpanFates((), ["person"]))
    assert watch.evidence["ner", "person"].units == 2
    watch.end_session("s")
    watch.end_session("s")
    assert watch.evidence["ner", "person"].units == 3
    assert watch._open == {}
