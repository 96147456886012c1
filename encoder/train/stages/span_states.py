"""Spans that live texts show while they grow, whether they stood and were right, and the fit of their confidence.

A row is one span at one step. Where a span is first seen weighs as much as all of its later steps, since that is when a
reader acts on it. What stands is what the close has: same words, same type. What is right is what the gold labels have;
spans over words of unknown label, and of types that their source does not annotate, are not judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.heads.span_model import SPAN_FEATURES, span_features, span_types, span_weights
from encoder.heads.viterbi import labels_to_spans
from encoder.train.stages.scaling import fit_scale

RIDGE = 1.0
"""Penalty on squared weights: rare types stay near what holds for all."""
FEWEST_SOURCES, FEWEST_ROWS = 3, 50
"""Sources that are needed for a scale, and rows of each outcome that a source needs to take part in it."""
_STEPS = 60
WordSpan = tuple[int, int, str]


@dataclass(slots=True)
class SpanRows:
    """Rows of one outcome: inputs (N, span_weights) float32, weight (N,), outcome (N,), number of the source (N,)."""

    inputs: NDArray[np.float32]
    weight: NDArray[np.float32]
    outcome: NDArray[np.bool_]
    source: NDArray[np.int64]

    @staticmethod
    def join(parts: Sequence["SpanRows"]) -> "SpanRows":
        """Concatenate."""
        return SpanRows(*(np.concatenate([getattr(x, name) for x in parts]) for name in SpanRows.__slots__))


class SpanCollector:
    """Notes the spans of one growing text."""

    def __init__(
        self, names: Sequence[str], gold: NDArray[np.int64], known: frozenset[str] | None, source: int = 0
    ) -> None:
        """Begin.

        Args:
            names: label names of the tagger.
            gold: (words,) label numbers; negative: unknown.
            known: types that the source annotates; None: all.
            source: number of the source.
        """
        self._source = source
        self._names = tuple(names)
        self._types = {name: number for number, name in enumerate(span_types(names))}
        self._width = span_weights(names)
        self._unknown = gold < 0
        self._gold = set(labels_to_spans(np.where(self._unknown, 0, gold), self._names))
        self._known = known
        self._seen: dict[WordSpan, list[int]] = {}
        self._stability: list[NDArray[np.float32]] = []
        self._probability: list[NDArray[np.float32]] = []

    def note(self, labels: NDArray[np.int32], stability: NDArray[np.float32], probability: NDArray[np.float32]) -> None:
        """Note the spans of a step: labels, stability and probability of its words so far, (words,) each."""
        for span in labels_to_spans(labels, self._names):
            self._seen.setdefault(span, []).append(len(self._stability))
            self._stability.append(self._inputs(span, stability))
            self._probability.append(self._inputs(span, probability))

    def close(self, labels: NDArray[np.int32], probability: NDArray[np.float32]) -> tuple[SpanRows, SpanRows]:
        """Take the labels of the close, and give the rows of what stood and of what was right.

        The spans of the close are rows of the second too: their score is read most.
        """
        final = set(labels_to_spans(labels, self._names))
        rows = len(self._stability)
        weight, stood, right, judged = np.zeros(rows, np.float32), *np.zeros((3, rows), np.bool_)
        for span, places in self._seen.items():
            weight[places] = 1 / max(1, len(places) - 1)
            weight[places[0]] = 1
            stood[places], right[places], judged[places] = span in final, span in self._gold, self._is_judged(span)
        closing = [span for span in final if self._is_judged(span)]
        at_close = self._rows(
            self._stack([self._inputs(span, probability) for span in closing]),
            np.ones(len(closing), np.float32),
            np.array([span in self._gold for span in closing], np.bool_),
        )
        stands = self._rows(self._stack(self._stability), weight, stood)
        live = self._rows(self._stack(self._probability)[judged], weight[judged], right[judged])
        return stands, SpanRows.join([live, at_close])

    def _rows(self, inputs: NDArray[np.float32], weight: NDArray[np.float32], outcome: NDArray[np.bool_]) -> SpanRows:
        return SpanRows(inputs, weight, outcome, np.full(len(inputs), self._source, np.int64))

    def _is_judged(self, span: WordSpan) -> bool:
        return not self._unknown[span[0] : span[1]].any() and (self._known is None or span[2] in self._known)

    def _inputs(self, span: WordSpan, words: NDArray[np.float32]) -> NDArray[np.float32]:
        first, end, name = span
        inputs, kind = np.zeros(self._width, np.float32), SPAN_FEATURES + self._types[name]
        inputs[:SPAN_FEATURES] = span_features(words, first, end)
        inputs[kind] = 1
        if end == len(words):
            inputs[kind + len(self._types)] = 1
        return inputs

    def _stack(self, rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.array(rows, np.float32).reshape(-1, self._width)


def fit_confidence(rows: SpanRows) -> NDArray[np.float32]:
    """Fit a logistic regression (span_weights,), scaled for sources that it has not seen.

    The scale and shift of its log odds are those that fit each source best by what was fitted on all others, so that it
    is no surer than it may be of text of another kind (stacking across domains: Wolpert 1992). Sources weigh the same;
    one with hardly any row of either outcome, such as talk that nothing is labelled in, has no say in it.
    """
    weights = _fit(rows)
    kept = [
        number
        for number in np.unique(rows.source)
        if FEWEST_ROWS <= rows.outcome[rows.source == number].sum() <= (rows.source == number).sum() - FEWEST_ROWS
    ]
    if len(kept) < FEWEST_SOURCES:
        return weights
    logits, share = np.zeros(len(rows.outcome)), np.zeros(len(rows.outcome))
    for number in kept:
        here = rows.source == number
        others = SpanRows(*(getattr(rows, name)[~here] for name in SpanRows.__slots__))
        logits[here] = rows.inputs[here].astype(np.float64) @ _fit(others)
        share[here] = rows.weight[here] / max(1e-9, float(rows.weight[here].sum()))
    used = share > 0
    scale, shift = fit_scale(
        logits[used], rows.outcome[used].astype(np.float64), share[used] * (used.sum() / share.sum())
    )
    weights *= np.float32(scale)
    weights[0] += np.float32(shift)
    return weights


def _fit(rows: SpanRows) -> NDArray[np.float32]:
    """Fit the regression by penalised maximum likelihood (Newton's method)."""
    x, y = rows.inputs.astype(np.float64), rows.outcome.astype(np.float64)
    weights = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], RIDGE)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (rows.weight * (y - p)) - penalty * weights
        hessian = (x.T * (rows.weight * p * (1 - p))) @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        weights += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-6:
            break
    return weights.astype(np.float32)


def log_loss(rows: SpanRows, weights: NDArray[np.float32]) -> float:
    """Give the weighted mean log loss in nats."""
    p = 1 / (1 + np.exp(-np.clip(rows.inputs.astype(np.float64) @ weights, -30, 30)))
    losses = -np.log(np.where(rows.outcome, p, 1 - p))
    return float((losses * rows.weight).sum() / max(1e-9, float(rows.weight.sum())))
