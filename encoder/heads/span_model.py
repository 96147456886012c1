"""Confidence in whole spans: the probability that a published span stands at the close, and that it is right.

A span is more than its words. It falls if one of its labels falls, but also if the word behind it turns out to belong
to it, which the labels of its own words do not tell. Both probabilities are logistic regressions on the confidence of
the words inside, before and behind (`span_features`), by type; they are fitted on live states of text that the tagger
was not trained on (`encoder.train.stages.span_states`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from encoder.kernel_cache import kernel

SPAN_FEATURES = 9
"""Inputs beside the type: one; log odds of the least confident word, mean and sum of the words' logarithms, log odds of
the word before and of the word behind (0 if there is none), whether the span ends the text, number of words, and number
of words behind it (both as log(1 + n))."""
MOST_ODDS = 9.0
"""Largest absolute log odds of a word."""


def span_types(labels: Sequence[str]) -> tuple[str, ...]:
    """Give the types of span of BIO labels, in the order of the weights."""
    return tuple(label[2:] for label in labels if label.startswith("B-"))


def span_weights(labels: Sequence[str]) -> int:
    """Count the weights of one regression: of each type one for any span, and one for a span that ends the text."""
    return SPAN_FEATURES + 2 * len(span_types(labels))


@dataclass(frozen=True)
class SpanModel:
    """Both regressions of one tagger."""

    weights: NDArray[np.float32]
    """(2, span_weights): that a span stands, from the words' stability; that it is right, from their probability."""
    types: dict[str, int]
    """Number of each type of span."""
    closed: bool = False
    """Whether the segment is closed, so that every span stands."""

    @cached_property
    def at_close(self) -> "SpanModel":
        """The model of closed segments."""
        return replace(self, closed=True)

    def predict(
        self, spans: Sequence[tuple[int, int, str]], stability: NDArray[np.float32], probability: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Give the probabilities that spans stand, and that they are right.

        Args:
            spans: first word, end word (exclusive) and type of each.
            stability: (words,) of the labels.
            probability: (words,) of the labels.

        Returns:
            (spans, 2)
        """
        places = np.array([(first, end, self.types[kind]) for first, end, kind in spans], np.int64).reshape(-1, 3)
        found = np.empty((len(places), 2), np.float32)
        if self.closed:
            found[:, 0] = 1
        else:
            _predict(places, stability, self.weights[0], found[:, 0])
        _predict(places, probability, self.weights[1], found[:, 1])
        return found


@kernel(nogil=True)
def _predict(
    places: NDArray[np.int64], words: NDArray[np.float32], weights: NDArray[np.float32], found: NDArray[np.float32]
) -> None:
    features = np.empty(SPAN_FEATURES, np.float32)
    types = (len(weights) - SPAN_FEATURES) // 2
    for i in range(len(places)):
        first, end, kind = places[i]
        _fill_features(words, first, end, features)
        logit = weights[SPAN_FEATURES + kind]
        if end == len(words):
            logit += weights[SPAN_FEATURES + types + kind]
        for j in range(SPAN_FEATURES):
            logit += weights[j] * features[j]
        found[i] = np.float32(1) / (np.float32(1) + np.exp(-logit))


def span_features(words: NDArray[np.float32], first: int, end: int) -> NDArray[np.float32]:
    """Compute the inputs (SPAN_FEATURES,) of one span of a text whose words (words,) are that confident."""
    features = np.empty(SPAN_FEATURES, np.float32)
    _fill_features(words, first, end, features)
    return features


@kernel(nogil=True)
def _fill_features(
    words: NDArray[np.float32], first: int | np.int64, end: int | np.int64, features: NDArray[np.float32]
) -> None:
    least, total = np.float32(1), np.float32(0)
    for i in range(first, end):
        least = min(least, words[i])
        total += np.log(max(words[i], np.float32(1e-4)))
    features[0], features[1] = np.float32(1), _log_odds(least)
    features[2], features[3] = total / np.float32(end - first), total
    features[4] = _log_odds(words[first - 1]) if first > 0 else np.float32(0)
    features[5] = _log_odds(words[end]) if end < len(words) else np.float32(0)
    features[6] = np.float32(1) if end == len(words) else np.float32(0)
    features[7] = np.log1p(np.float32(end - first))
    features[8] = np.log1p(np.float32(len(words) - end))


@kernel(nogil=True)
def _log_odds(p: np.float32) -> np.float32:
    kept = min(max(p, np.float32(1e-7)), np.float32(1) - np.float32(1e-6))
    odds = np.float32(np.log(kept / (np.float32(1) - kept)))
    found: np.float32 = min(max(odds, np.float32(-MOST_ODDS)), np.float32(MOST_ODDS))
    return found
