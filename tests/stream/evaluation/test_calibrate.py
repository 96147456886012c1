"""Calibration over a real tagger with random weights; its labels are noise, what is counted is not."""

import msgspec
import numpy as np
import pytest

from encoder.checkpoints.calibration import save_calibration
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.heads.viterbi import labels_to_spans
from encoder.restart.policies import Always, Last, StabilityThreshold, parse_policy
from encoder.tagger import load_tagger
from stream.evaluation.calibration import calibrate as module
from stream.evaluation.calibration.calibrate import (
    CalibrationReport,
    CalibrationTask,
    ThresholdResult,
    choose_threshold,
    run_calibration,
)
from stream.evaluation.calibration.risk_control import judge
from stream.evaluation.calibration.stability_replay import StabilityReplay
from stream.evaluation.plots.reliability import plot_reliability
from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.replay.update_stream import word_stream
from stream.labelling.hybrid import HybridLabeller
from tests.stream.evaluation.replays import evaluate_policy, replay_words
from tests.stream.evaluation.test_policy_evaluation import made_up
from tests.tiny import LABELS, tiny_checkpoint

TAUS = (1.0, 0.55, 0.5)
"""The random head says .44 to .77."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tiny_checkpoint(stability=8)
    path = tmp_path_factory.mktemp("made") / "tiny"
    save_checkpoint(path, made.config, made.weights, made.tokenizer)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory, folder):
    """Sentences whose gold labels are the tagger's own, so that it is right often enough to lose anything."""
    examples = made_up(60, 9, seed=3)
    charts = replay_words(HybridLabeller(load_tagger(str(folder))), Always(), examples, closing=False).run()
    path = tmp_path_factory.mktemp("data") / "own.conll"
    with path.open("w", encoding="utf-8") as lines:
        for i, (example, chart) in enumerate(zip(examples, charts, strict=True)):
            tags = [LABELS[label] for label in chart.final]
            lines.write(f"# doc = {i // 3}\n" if i < 30 else "")
            lines.writelines(f"{word}\t{tag}\n" for word, tag in zip(example.text.split(" "), tags, strict=True))
            lines.write("\n")
    return path


def task(folder, data, **changes):
    wish = {"tagger": str(folder), "data": data, "delta": 0.5, "taus": TAUS, "unit": "sequence", "policy": "stability"}
    return CalibrationTask(**(wish | changes))


def trial(folder, data, unit="sequence"):
    return module._read(task(folder, data, unit=unit), load_tagger(str(folder), calibrated=False))[0]


@pytest.fixture(scope="module")
def report(folder, data):
    return run_calibration(task(folder, data))


# What is counted.


@pytest.mark.parametrize("policy", ["last:2", "stability:0.5"])
def test_what_is_lost_is_the_difference_of_the_streaming_em_that_evaluate_measures(folder, data, policy):
    made = trial(folder, data)
    lost = made.sum_by_unit(made.run_policy(Always()).right - made.run_policy(parse_policy(policy)).right)
    full, less = (
        evaluate_policy(made.tagger, x, made.examples, name="", closing=False)[0].metrics for x in ("always", policy)
    )
    assert lost.sum() / made.rows.sum() == pytest.approx(full.streaming_em - less.streaming_em, abs=1e-12)
    assert lost.any()
    assert made.rows.sum() == full.words


def test_flops_and_words_are_those_that_evaluate_measures(folder, data, report):
    made = trial(folder, data)
    full, less = (
        evaluate_policy(made.tagger, x, made.examples, name="", closing=False)[0].metrics
        for x in ("always", "stability:0.5")
    )
    found = next(x for x in report.tried if x.tau == 0.5)
    assert found.words_recomputed == pytest.approx(less.words_recomputed)
    assert 1 - found.flops_saved == pytest.approx((1 - less.flops_saved) / (1 - full.flops_saved))


def test_sequences_of_a_document_are_one_unit(folder, data):
    alone, together = trial(folder, data), trial(folder, data, "document")
    assert len(alone.rows) == 60
    assert len(together.rows) == 10 + 30  # three sequences each, and those that have no document
    assert together.rows.sum() == alone.rows.sum()
    run = alone.run_policy(Last(2))
    assert together.sum_by_unit(run.right)[0] == alone.sum_by_unit(run.right)[:3].sum()


def test_readings_are_the_same_when_recorded_and_pairs_are_what_they_say(folder, data):
    made = trial(folder, data)
    group = made.examples[:8]
    labeller, policy = HybridLabeller(made.tagger), StabilityThreshold(0.55)
    recorded = StabilityReplay(labeller, policy, word_stream(group, LABELS, closing=True), LABELS)
    charts = recorded.run()
    plain = replay_words(HybridLabeller(made.tagger), policy, group, closing=True).run()
    for a, b in zip(charts, plain, strict=True):
        assert [x.tolist() for x in a.standing] == [x.tolist() for x in b.standing]
    # words of one part only: the file's words are the tagger's
    assert sorted(recorded.predictions) == list(range(len(group)))
    for number, outcome in recorded.predictions.items():
        chart = charts[number]
        if not any(mark in group[number].text for mark in ".'(),"):
            stood = [bool(x) for row in chart.rows for x in row == chart.final[: len(row)]]
            assert outcome.words.stood.tolist() == stood
        assert ((outcome.words.stability > 0) & (outcome.words.stability < 1)).all()
        assert len(outcome.spans.stability) == len(outcome.spans.stood)
        assert len(outcome.first.stability) <= len(outcome.spans.stability)
        if not any(mark in group[number].text for mark in ".'(),"):
            final, gold = (set(labels_to_spans(x, LABELS)) for x in (chart.final, group[number].gold))
            assert len(outcome.scores.stood) == len(final)
            assert outcome.scores.stood.sum() == len(final & gold)


# What is chosen.


def test_it_stops_at_the_first_that_is_not_shown_and_stores_what_it_chose(folder, data, report, tmp_path):
    assert report.tried[0].certified
    assert report.tried[0].risk == 0
    assert all(x.certified for x in report.tried[:-1])
    made = trial(folder, data)
    lost = made.sum_by_unit(
        made.run_policy(Always()).right - made.run_policy(StabilityThreshold(report.best.tau)).right
    )
    verdict = judge(lost, made.rows, 0.5, 0.05)
    assert (report.best.p_value, report.best.bound) == (verdict.p_value, verdict.bound)
    certificate = report.chosen.certificate
    assert (certificate.units, certificate.unit, certificate.data) == (60, "sequence", f"{data.parent.name}/own.conll")
    assert msgspec.json.decode(msgspec.json.encode(report), type=CalibrationReport) == report
    assert msgspec.json.encode(run_calibration(task(folder, data))) == msgspec.json.encode(report)
    plot_reliability(report, tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_the_stored_threshold_restarts_where_the_certified_one_did(folder, data, report, tmp_path):
    """Scaling moves the stability and the threshold together."""
    made = trial(folder, data)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    # a scale that moves things far, whatever was fitted
    scaled = module.Scaling(1.4, -0.8)
    tau = float(scaled.apply(np.array([0.55], np.float32))[0])
    chosen = msgspec.structs.replace(report.chosen, tau=tau, scale=scaled.scale, shift=scaled.shift)
    save_calibration(copy, load_checkpoint(str(copy)).identity(), {"": chosen})
    served = load_tagger(str(copy))
    assert served.default_policy == f"stability:{tau!r}"
    assert tau != 0.55
    before = replay_words(HybridLabeller(made.tagger), StabilityThreshold(0.55), made.examples, closing=False)
    after = replay_words(HybridLabeller(served), StabilityThreshold(tau), made.examples, closing=False)
    for a, b in zip(before.run(), after.run(), strict=True):
        assert [x.tolist() for x in a.rows] == [x.tolist() for x in b.rows]
        assert a.work == b.work
    assert before.flops == after.flops
    again = run_calibration(task(copy, data))  # as if it had never been calibrated
    assert again.tried == report.tried


def tried(tau, saved, certified):
    return ThresholdResult(
        tau=tau,
        streaming_em=0.8,
        risk=0,
        bound=0,
        p_value=0,
        certified=certified,
        flops_saved=saved,
        words_recomputed=1,
    )


def test_the_cheapest_certified_is_chosen_even_if_it_is_not_the_last():
    rows = [tried(1, 0.0, True), tried(0.9, 0.5, True), tried(0.8, 0.4, True), tried(0.7, 0.9, False)]
    assert choose_threshold(rows) is rows[1]
    assert choose_threshold(rows[3:]) is None


def test_too_few_sequences_are_refused_with_how_many_it_takes(folder, data):
    report = run_calibration(task(folder, data, delta=0.01))
    assert report.chosen is None
    assert report.reliability == {}
    assert len(report.tried) == 1
    assert report.needed > 300
    assert f"about {report.needed} sequences" in report.refusal()


def test_documents_are_the_units_where_they_are_known(folder, data):
    report = run_calibration(task(folder, data, unit=None, delta=0.02, taus=(1.0,)))
    assert (report.unit, report.units) == ("document", 40)
    assert "--unit sequence" in report.refusal()


def test_joined_sequences_are_one_unit_a_session(folder, data):
    made = module._read(task(folder, data, join=12), load_tagger(str(folder)))[0]
    assert len(made.rows) < len(made.examples)
    assert sum(len(x.words.stood) > 0 for x in made.record_stability(StabilityThreshold(0.55))) == len(made.rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delta": 0.0}, "--delta must be between 0 and 1"),
        ({"epsilon": 1.0}, "--epsilon must be between 0 and 1"),
        ({"taus": (0.5, 0.9)}, "thresholds must fall"),
        ({"taus": (1.5,)}, "a probability"),
        ({"unit": "document", "data": "plain.conll"}, "names no documents"),
    ],
)
def test_mistakes_are_told(folder, data, changes, message, tmp_path):
    if "data" in changes:
        changes = changes | {"data": tmp_path / changes["data"]}
        changes["data"].write_text("rome\tB-place\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match=message):
        run_calibration(task(folder, **({"data": data} | changes)))
