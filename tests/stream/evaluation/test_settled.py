"""Calibration of settled text: a risk that is kept, and text that settles as in an engine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.evaluation.calibration.settled import (
    BROKEN,
    LABELLED,
    LEVEL,
    PLAIN,
    THRESHOLDS,
    SettledReplay,
    SettledTask,
    UnitLosses,
    _delays,
    choose_threshold_number,
    run_settled,
    unit_losses,
)
from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.replay.update_stream import message_stream
from stream.messages.types import End
from stream.revisions.emission import LEVELS
from stream.revisions.settled import SettledRules
from stream.revisions.settled_watch import SettledOutcome
from tests.stream.evaluation.test_promise import write_documents
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller
from tests.stream.helpers import drain
from tests.stream.streams import ALL, messages, steps
from tests.tiny import tiny_checkpoint

ALPHA = 0.05
ALL_RULES = (*PLAIN, *LABELLED)


def make_losses(rng: np.random.Generator, units: int) -> np.ndarray:
    """(units, thresholds) losses that fall as thresholds rise: each loses all below a threshold of its own."""
    return (rng.random((units, 1)) > np.linspace(0, 1, 1000)).astype(float)


@pytest.mark.parametrize("units", [20, 60, 100])
def test_the_next_session_loses_no_more_than_promised_in_the_mean(units):
    """Over calibrations and next sessions alike; 3.7 standard errors are allowed."""
    rng, lost = np.random.default_rng(units), []
    for _ in range(2000):
        losses = make_losses(rng, units + 1)
        chosen = choose_threshold_number(losses[:-1], ALPHA)
        lost.append(losses[-1, chosen])
    assert 0 < np.mean(lost) <= ALPHA + 3.7 * np.std(lost) / len(lost) ** 0.5


def test_the_check_of_the_risk_can_fail():
    """Were the mean of few sessions taken for the risk, it would be broken."""
    rng, lost = np.random.default_rng(0), []
    for _ in range(4000):
        losses = make_losses(rng, 9)
        lost.append(losses[-1, int(np.flatnonzero(losses[:-1].mean(axis=0) <= ALPHA)[0])])
    assert np.mean(lost) > ALPHA + 3.7 * np.std(lost) / len(lost) ** 0.5


def test_too_few_sessions_promise_nothing():
    assert choose_threshold_number(np.zeros((98, len(THRESHOLDS))), 0.01) is None
    assert choose_threshold_number(np.zeros((99, len(THRESHOLDS))), 0.01) == 0
    assert choose_threshold_number(np.zeros((0, len(THRESHOLDS))), 0.01) is None


def test_losses_are_shares_of_a_session_that_fall_as_thresholds_rise():
    unit, other = UnitLosses(len(THRESHOLDS)), UnitLosses(len(THRESHOLDS))
    for number in range(len(THRESHOLDS)):
        missed = 4 if number == 3 else 1 if number < 5 else 0
        unit.add("", [number], SettledOutcome(10, missed - (number == 2), int(number == 2)))
    losses = unit_losses([unit, other], "", BROKEN)
    assert losses[0, :6].tolist() == [0.4, 0.4, 0.4, 0.4, 0.1, 0]
    assert len(losses) == 1, "a session without labels is none"
    assert len(unit_losses([unit], "person", BROKEN)) == 0


def test_delays_are_words_behind_the_newest_one():
    text = "call me on four one"
    history = np.array([[2, 0, 7], [3, 5, 7], [5, 5, 5], [5, 19, 19]])
    first, second = _delays(text, history)
    assert first.tolist() == [2, 3, 2, 1, 0]
    assert second.tolist() == [1, 0, 2, 1, 0]


@settings(max_examples=30, deadline=None)
@given(steps(VOCABULARY, ALL), st.sampled_from([0, 4, 7, 11, len(THRESHOLDS) - 1, len(THRESHOLDS) + 3]))
def test_text_settles_as_in_an_engine(script, number):
    """Sessions with rewrites, edits, deletes and ends."""
    told = messages(script)
    replay = SettledReplay(FakeLabeller(), Last(2), message_stream(told), ALL_RULES)
    replay.run()
    rules = SettledRules({"fake": ALL_RULES[number]})
    engine = Engine(FakeLabeller(), Last(2), emission=LEVELS[LEVEL], rules=rules)
    for offset, message in enumerate(told):
        engine.submit(message, offset)
        drain(engine)
    for name in list(engine.intake.sessions):
        engine.submit(End(session=name), len(told))
        drain(engine)
    counts = engine.promises.settled.counts
    found = sum((x.labels[""][number] for x in replay.outcomes.values() if "" in x.labels), np.zeros(3, int))
    assert found.tolist() == [counts.get(("fake", name), 0) for name in SettledOutcome._fields]


@pytest.fixture
def folder(tmp_path):
    made = tiny_checkpoint(stability=8)
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    return tmp_path / "tiny"


def test_a_file_needs_no_gold_labels_and_its_documents_are_the_units(folder, tmp_path):
    data = write_documents(tmp_path / "text.conll")
    report = run_settled(SettledTask(tagger=str(folder), data=data, join=12, alpha=0.5))
    assert report.unit == "document"
    assert 1 < report.units <= 12
    assert [x.threshold for x in report.rows] == list(THRESHOLDS)
    chosen = report.chosen
    assert chosen is not None
    assert chosen.risk <= 0.5
    for kind, threshold in (("plain", chosen.threshold), ("labelled", chosen.labelled)):
        losses = [getattr(x, kind) for x in report.rows]
        bounds = [x.bound for x in losses]
        assert bounds == sorted(bounds, reverse=True)
        assert losses[0].delay <= losses[-1].delay
        assert losses[-1].risk == 0
        assert losses[THRESHOLDS.index(threshold)].bound <= 0.25
        assert all(x.bound > 0.25 for x in losses[: THRESHOLDS.index(threshold)])
    for risk in chosen.labels.values():
        assert risk.sessions <= report.units
    with pytest.raises(EvaluationError, match="--settled-risk"):
        run_settled(SettledTask(tagger=str(folder), data=data, alpha=0.0))
    few = run_settled(SettledTask(tagger=str(folder), data=data, limit=3, alpha=0.01))
    assert few.chosen is None
    assert "at least 199 are needed" in few.refusal()
