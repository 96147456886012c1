"""Confidence in whole spans: the kernel against the formula, the rows that it is fitted on, and the fit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.heads.span_model import (
    MORE_FEATURES,
    MOST_ODDS,
    SPAN_FEATURES,
    SpanModel,
    more_features,
    span_features,
    span_types,
    span_weights,
)
from encoder.train.data.batches import IGNORED
from encoder.train.stages.span_states import SpanCollector, SpanRows, fit_confidence, log_loss
from tests.tiny import LABELS, tiny_checkpoint

TYPES = {"person": 0, "place": 1}


def model(seed: int = 0) -> SpanModel:
    weights = np.random.default_rng(seed).normal(size=(2, span_weights(LABELS))).astype(np.float32) * 0.3
    return SpanModel(weights, TYPES)


def by_formula(span: tuple[int, int, str], words: np.ndarray, weights: np.ndarray) -> float:
    first, end, name = span
    p = words.astype(np.float64)
    odds = np.clip(np.log(np.clip(p, 1e-7, 1 - 1e-6)) - np.log1p(-np.clip(p, 1e-7, 1 - 1e-6)), -MOST_ODDS, MOST_ODDS)
    logs = np.log(np.maximum(p[first:end], 1e-4))
    last = end == len(p)
    features = [
        1.0,
        odds[first:end].min(),
        logs.mean(),
        logs.sum(),
        odds[first - 1] if first else 0.0,
        0.0 if last else odds[end],
        float(last),
        np.log1p(end - first),
        np.log1p(len(p) - end),
    ]
    kind = SPAN_FEATURES + TYPES[name]
    logit = float(weights[:SPAN_FEATURES] @ features) + weights[kind] + (weights[kind + len(TYPES)] if last else 0.0)
    return 1 / (1 + np.exp(-logit))


@given(st.data(), st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9), st.integers(0, 100))
def test_the_kernel_is_the_formula(data: st.DataObject, words: list[float], seed: int) -> None:
    stability = np.array(words, np.float32)
    probability = stability[::-1].copy()
    first = data.draw(st.integers(0, len(words) - 1))
    span = (first, data.draw(st.integers(first + 1, len(words))), data.draw(st.sampled_from([*TYPES])))
    used = model(seed)
    found = used.predict([span, span], stability, probability)
    assert found.shape == (2, 2)
    for column, values in enumerate((stability, probability)):
        assert found[0, column] == pytest.approx(by_formula(span, values, used.weights[column]), abs=2e-3)
    assert (found[0] == found[1]).all()
    closed = used.at_close.predict([span], stability, probability)
    assert closed[0].tolist() == [1.0, found[0, 1]]


@given(st.data(), st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9), st.integers(0, 100))
def test_a_calibrated_model_adds_its_further_inputs(data: st.DataObject, words: list[float], seed: int) -> None:
    """Its log odds are those of the plain model and of the further inputs, which plain weights know nothing of."""
    stability, rng = np.array(words, np.float32), np.random.default_rng(seed)
    probability = stability[::-1].copy()
    first = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(first + 1, len(words)))
    plain, more = model(seed), rng.normal(size=(2, MORE_FEATURES)).astype(np.float32) * 0.1
    whole = SpanModel(np.hstack([plain.weights, more]), TYPES)
    found, without = (x.predict([(first, end, "place")], stability, probability)[0] for x in (whole, plain))
    for i, own in enumerate((stability, probability)):
        added = float(more[i] @ more_features(own, probability, first, end))
        odds = np.log(without[i] / (1 - without[i])) + added
        assert found[i] == pytest.approx(1 / (1 + np.exp(-odds)), abs=2e-3)
    assert whole.at_close.predict([(first, end, "place")], stability, probability)[0].tolist() == [1.0, found[1]]


def test_the_further_inputs_are_those_that_are_described() -> None:
    words, others = np.array([0.5, 0.9, 0.8, 0.6], np.float32), np.array([0.5, 0.7, 0.3, 0.9], np.float32)
    found = dict(enumerate(more_features(words, others, 1, 2).tolist()))
    odds = {p: float(np.log(p / (1 - p))) for p in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)}
    expected = {0: odds[0.9], 1: odds[0.9], 2: odds[0.6], 3: odds[0.6], 4: odds[0.7], 5: np.log(0.7), 6: 0.0}
    assert {i: found[i] for i in expected} == pytest.approx(expected, abs=1e-4)
    assert [found[i] for i in (7, 8, 9, 10)] == pytest.approx([odds[0.3], 0, 1, 0], abs=1e-4)
    behind = np.log(3)
    assert [found[i] for i in (11, 13, 14)] == pytest.approx([behind * odds[x] for x in (0.9, 0.8, 0.7)], abs=1e-4)
    last = more_features(words, others, 0, 4)
    assert last[[2, 3, 7, 8, 9, 11]].tolist() == [0] * 6
    assert last[10] == 1
    assert last[15] == span_features(words, 0, 4)[1]


def test_rows_say_what_stood_and_what_was_right() -> None:
    """Two steps and the close: a person grows by a word; the place is right but of a type that the source lacks."""
    gold = np.array([1, 2, 0, 3, IGNORED])
    collector = SpanCollector(LABELS, gold, frozenset({"person"}))
    half, sure = np.full(5, 0.5, np.float32), np.full(5, 0.9, np.float32)
    collector.note(np.array([1]), half[:1], half[:1])
    collector.note(np.array([1, 2, 0, 3]), half[:4], half[:4])
    collector.note(np.array([1, 2, 0, 3, 1]), half, half)
    stands, right = collector.close(np.array([1, 2, 0, 3, 0]), sure)
    # one word; then two words and a place, each seen twice; then a person over the unknown word
    assert stands.outcome.tolist() == [False, True, True, True, True, False]
    assert stands.weight.tolist() == [1, 1, 1, 1, 1, 1]
    assert right.outcome.tolist() == [False, True, True, True]  # the last is the person of the close
    assert right.inputs[-1, 1] == pytest.approx(np.log(9), abs=1e-5)
    ends_text = stands.inputs[:, SPAN_FEATURES + len(TYPES) :].sum(1)
    assert ends_text.tolist() == [1, 0, 1, 0, 0, 1]


def test_the_fit_tells_probabilities() -> None:
    """Spans that end the text stand in 3 of 10 cases whatever their words say, others as their words say."""
    rng = np.random.default_rng(0)
    n = 4000
    inputs = np.zeros((n, span_weights(LABELS)), np.float32)
    last, kind = rng.random(n) < 0.4, rng.integers(0, 2, n)
    inputs[:, 0], inputs[:, 6], inputs[np.arange(n), SPAN_FEATURES + kind] = 1, last, 1
    inputs[last, SPAN_FEATURES + 2 + kind[last]] = 1
    inputs[:, 1] = np.where(last, 0, rng.normal(size=n) * 2)
    p = np.where(last, 0.3, 1 / (1 + np.exp(-inputs[:, 1])))
    rows = SpanRows(inputs, np.ones(n, np.float32), rng.random(n) < p, np.zeros(n, np.int64))
    weights = fit_confidence(rows)
    told = 1 / (1 + np.exp(-inputs @ weights))
    assert np.abs(told - p).mean() < 0.03
    assert log_loss(rows, weights) < log_loss(rows, np.zeros_like(weights))


def test_a_checkpoint_keeps_its_span_models(tmp_path: Path) -> None:
    made = tiny_checkpoint(stability=8, spans=True, labels=("O",), taggers={"a": LABELS, "b": ("O", "B-x", "I-x")})
    save_checkpoint(tmp_path, made.config, made.weights, made.tokenizer)
    loaded = load_checkpoint(str(tmp_path))
    for before, after in zip(made.span_models(), loaded.span_models(), strict=True):
        assert before is not None
        assert after is not None
        assert after.types == before.types
        np.testing.assert_allclose(after.weights, before.weights, atol=2e-3)
    assert tuple(loaded.single_head("b").span_models()[0].types) == span_types(("O", "B-x", "I-x"))  # type: ignore[union-attr]
    loaded.dense_model()
    plain = tiny_checkpoint(stability=8)
    assert plain.span_models() == [None]
    assert b"spans" not in plain.config.identity_bytes()  # older checkpoints keep their identity


def test_the_fit_is_no_surer_than_it_may_be_of_a_source_that_it_has_not_seen() -> None:
    """Each of three sources has a shift of its own, which the fit of the others does not know."""
    rng = np.random.default_rng(3)
    n, types = 1500, len(TYPES)
    inputs = np.zeros((3 * n, SPAN_FEATURES + 2 * types), np.float32)
    inputs[:, 0], inputs[:, 1], inputs[:, SPAN_FEATURES] = 1, rng.normal(size=3 * n) * 2, 1
    source = np.repeat(np.arange(3), n)
    shift = np.array([-2.5, 0, 2.5])[source]
    outcome = rng.random(3 * n) < 1 / (1 + np.exp(-(2 * inputs[:, 1] + shift)))
    ones = np.ones(3 * n, np.float32)
    scaled = fit_confidence(SpanRows(inputs, ones, outcome, source))
    plain = fit_confidence(SpanRows(inputs, ones, outcome, np.zeros(3 * n, np.int64)))
    assert scaled[1] < 0.9 * plain[1]
    few = fit_confidence(SpanRows(inputs[:2000], ones[:2000], outcome[:2000], source[:2000]))
    assert few[1] == pytest.approx(
        fit_confidence(SpanRows(inputs[:2000], ones[:2000], outcome[:2000], np.zeros(2000, np.int64)))[1]
    )
