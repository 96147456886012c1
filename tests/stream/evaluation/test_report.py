import numpy as np
import pytest
from msgspec.structs import asdict, replace

from stream.evaluation.metrics.chart_metrics import Chart
from stream.evaluation.metrics.corpus_metrics import CorpusTally
from stream.evaluation.metrics.report import PolicyResult, compare, spread, summarize


def metrics(**figures):
    tally = CorpusTally(("O", "B-a"))
    tally.add(Chart([np.array([1], np.int32)]), np.array([1], np.int32))
    return replace(tally.result(), **figures)


def result(tagger, policy, closing=False, **figures):
    return PolicyResult(tagger=tagger, policy=policy, closing=closing, metrics=metrics(**figures))


RESULTS = [
    result("b1", "always", offline_f1=0.9, streaming_em=0.7, flips_per_word=0.2),
    result("b2", "always", offline_f1=0.8, streaming_em=0.6, flips_per_word=0.1),
    result("t1", "never", offline_f1=0.85, streaming_em=0.75, flips_per_word=0.05, flops_saved=0.8),
    result("t1", "never", True, offline_f1=0.95, streaming_em=0.8, flips_per_word=0.1, flops_saved=0.7),
    result("t2", "never", offline_f1=0.8, streaming_em=0.65, flips_per_word=0.05, flops_saved=0.9),
    result("t2", "never", True, offline_f1=0.8, streaming_em=0.7, flips_per_word=0.1, flops_saved=0.6),
]


def test_spread_is_that_of_a_sample():
    values = [0.1, 0.4, 0.35]
    found = spread(values)
    assert (found.mean, found.low, found.high) == (pytest.approx(np.mean(values)), 0.1, 0.4)
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    assert spread([0.5]).sd is None


def test_seeds_of_one_policy_are_taken_together():
    base, never, closed = summarize(RESULTS, ["b1", "b2"])
    assert (base.baseline, base.policy, base.seeds) == (True, "always", 2)
    assert [(x.baseline, x.policy, x.closing, x.seeds) for x in (never, closed)] == [
        (False, "never", False, 2), (False, "never", True, 2)
    ]  # fmt: skip
    assert never.metrics["offline_f1"].mean == pytest.approx(0.825)
    assert (closed.metrics["flops_saved"].low, closed.metrics["flops_saved"].high) == (0.6, 0.7)
    missing = {name for name, value in asdict(metrics()).items() if value is None}
    assert missing & never.metrics.keys() == {"flops_saved"}


def test_as_many_baselines_are_compared_seed_by_seed():
    never, closed = compare(RESULTS, ["b1", "b2"])
    assert (never.offline_f1.low, never.offline_f1.high) == (pytest.approx(-0.05), pytest.approx(0))
    assert (never.streaming_em.low, never.streaming_em.high) == (pytest.approx(0.05), pytest.approx(0.05))
    assert (never.flips_ratio.low, never.flips_ratio.high) == (pytest.approx(0.25), pytest.approx(0.5))
    assert closed.closing
    assert closed.flops_saved.mean == pytest.approx(0.65)


def test_other_numbers_of_baselines_are_compared_by_their_mean():
    never, _ = compare(RESULTS[:1] + RESULTS[2:], ["b1"])
    assert (never.streaming_em.low, never.streaming_em.high) == (pytest.approx(-0.05), pytest.approx(0.05))
    assert compare(RESULTS[2:], []) == []


def test_a_baseline_without_flips_has_no_ratio_and_without_gold_no_gain():
    calm = [result("b", "always", flips_per_word=0.0, offline_f1=None), RESULTS[2]]
    [found] = compare(calm, ["b"])
    assert found.flips_ratio is None
    assert found.offline_f1 is None
    assert found.streaming_em is not None
