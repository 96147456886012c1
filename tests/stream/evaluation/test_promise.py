"""Calibration of promises: bounds that hold, and spans that are followed as an engine would show them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.evaluation.calibration import promise as module
from stream.evaluation.calibration.promise import FateReplay, PromiseTask, bound_share, run_promise
from stream.evaluation.calibration.promise_bound import _hoeffding_bentkus, bound_mean
from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.replay.update_stream import message_stream
from stream.messages.types import End
from stream.revisions.emission import LEVELS, LOW, Emission
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller
from tests.stream.helpers import drain
from tests.stream.streams import ALL, messages, steps
from tests.tiny import WORDS, tiny_checkpoint

TRIALS = 300

SESSIONS = {
    "one span each": lambda rng, n: (rng.random(n) < 0.2).astype(float),
    "spans of a session alike": lambda rng, n: rng.binomial(8, rng.beta(0.5, 2, n)) / 8,
    "of very different length": lambda rng, n: (lambda size: rng.binomial(size, 0.2) / size)(1 + rng.poisson(20, n)),
}
"""Shares of sessions, whose mean is .2."""


@pytest.mark.parametrize("kind", SESSIONS)
@pytest.mark.parametrize("sessions", [12, 150])
def test_the_bound_is_below_the_mean_no_more_often_than_promised(kind, sessions):
    """Spans of one session depend on each other as they like; 3.7 standard errors are allowed."""
    rng, epsilon = np.random.default_rng(0), 0.1
    wrong = np.mean([bound_mean(SESSIONS[kind](rng, sessions), epsilon) < 0.2 for _ in range(TRIALS)])
    assert wrong <= epsilon + 3.7 * math.sqrt(epsilon * (1 - epsilon) / TRIALS)


def test_the_check_of_the_bound_can_fail():
    """Were every span a unit of its own, sessions that are alike inside would break the bound."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(100):
        spans = np.concatenate([rng.random(30) < p for p in rng.beta(0.5, 2, 15)]).astype(float)
        wrong += bound_mean(spans, 0.1) < 0.2
    assert wrong > 20


def test_more_sessions_give_a_tighter_bound_and_none_gives_no_promise():
    bounds = [bound_mean(np.tile([1.0, *[0.0] * 9], n), 0.05) for n in (1, 10, 100, 1000)]
    assert bounds == sorted(bounds, reverse=True)
    assert 0.1 < bounds[-1] < 0.12
    assert bound_mean(np.array([]), 0.05) == bound_mean(np.ones(5), 0.05) == 1
    assert bound_mean(np.zeros(1), 0.05) > 0.9
    assert bound_mean(np.zeros(100), 0.05) < 0.05


def test_the_p_value_is_that_of_the_paper():
    """By whole sums of binomial chances, for a share that lies between two counts."""
    losses = np.array([0.5, 0, 0, 1, 0.25, 0, 0, 0, 0, 0])
    n, mean, alpha = 10, 0.175, 0.6
    chances = [math.comb(n, k) * alpha**k * (1 - alpha) ** (n - k) for k in range(math.ceil(n * mean) + 1)]
    divergence = mean * math.log(mean / alpha) + (1 - mean) * math.log((1 - mean) / (1 - alpha))
    assert _hoeffding_bentkus(losses, alpha) == pytest.approx(min(math.exp(-n * divergence), math.e * sum(chances)))
    assert _hoeffding_bentkus(losses, 0.1) == 1


def test_the_share_is_the_mean_of_sessions_and_not_of_spans():
    units = [{("low", "person"): (1, 1)}, {("low", "person"): (0, 9)}, {("low", "place"): (1, 1)}, {}]
    row = bound_share(units, "low", "person", 0.1)
    assert (row.units, row.spans, row.taken_back, row.share) == (2, 10, 1, 0.5)
    assert bound_share(units, "high", "person", 0.1).bound == 1


@settings(max_examples=40, deadline=None)
@given(steps(VOCABULARY, ALL))
def test_spans_are_followed_as_an_engine_counts_them(script):
    """Sessions with rewrites, edits, deletes and ends; each level against an engine that runs at that level."""
    told = messages(script)
    levels = {"low": LOW, "medium": Emission(0.5, 0.5), "high": Emission(0.97, 0.93)}
    replay = FateReplay(FakeLabeller(), Last(2), message_stream(told), levels)
    replay.run()
    for level, emission in levels.items():
        engine = Engine(FakeLabeller(), Last(2), emission=emission)
        for offset, message in enumerate(told):
            engine.submit(message, offset)
            drain(engine)
        for name in list(engine.intake.sessions):
            engine.submit(End(session=name), len(told))
            drain(engine)
        counts = {}
        for (_, label, outcome), n in engine.promises.counts.items():
            if outcome != "rewritten":
                lost, known = counts.get(label, (0, 0))
                counts[label] = lost + n * (outcome == "taken_back"), known + n
        found = {}
        for unit in replay.outcomes.values():
            for (name, label), (lost, known) in unit.items():
                if name == level:
                    before = found.get(label, (0, 0))
                    found[label] = before[0] + lost, before[1] + known
        assert found == counts


@pytest.fixture
def folder(tmp_path):
    made = tiny_checkpoint(stability=8)
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    return tmp_path / "tiny"


def write_documents(path, documents=12):
    lines = []
    for i in range(documents):
        for part in range(3):
            words = [WORDS[(5 * i + part + k) % len(WORDS)] for k in range(6)]
            lines.append(f"# doc = {i}\n" + "".join(f"{word}\tB-whatever\n" for word in words))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_file_needs_no_gold_labels_and_its_documents_are_the_units(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(LEVELS, "medium", Emission(0.25, 0.25))
    data = write_documents(tmp_path / "text.conll")
    report = run_promise(PromiseTask(tagger=str(folder), data=data, join=12))
    assert (report.promise.unit, report.promise.units) == ("document", 12)
    assert {x.level for x in report.rows} == set(LEVELS)
    published = {(x.level, x.label): x for x in report.rows if x.units}
    assert sum(x.spans for x in published.values()) > 50
    assert report.promise.levels["medium"].show == 0.25
    for level, stored in report.promise.levels.items():
        for label, promise in stored.labels.items():
            row = published[level, label]
            assert (promise.alpha, promise.share, promise.sessions) == (row.bound, row.share, row.units)
            assert row.bound < module.MOST_ALPHA
    alone = run_promise(PromiseTask(tagger=str(folder), data=data, unit="sequence"))
    assert (alone.promise.unit, alone.promise.units) == ("sequence", 36)


def test_the_bounds_of_a_tagger_share_the_error(folder, tmp_path, monkeypatch):
    """With probability 1 - epsilon all hold at once: each has its part of epsilon."""
    asked = []
    monkeypatch.setattr(module, "bound_mean", lambda losses, epsilon: asked.append(epsilon) or 0.3)
    run_promise(PromiseTask(tagger=str(folder), data=write_documents(tmp_path / "text.conll"), epsilon=0.06))
    assert sum(asked) == pytest.approx(0.06)
    with pytest.raises(EvaluationError, match="--epsilon"):
        run_promise(PromiseTask(tagger=str(folder), data=tmp_path / "text.conll", epsilon=1.0))
