"""Confidence in whole spans: the probability that a published span stands at the close, and that it is right.

A span is more than its words. It falls if one of its labels falls, but also if the word behind it turns out to belong
to it, which the labels of its own words do not tell. Both probabilities are logistic regressions on the confidence of
the words inside, before and behind (`span_features`), by type; they are fitted on live states of text that the tagger
was not trained on (`encoder.train.stages.span_states`). A calibration on several sets
(`stream.evaluation.calibration.span_confidence`) has more inputs, of both kinds of confidence (`more_features`).
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
MORE_FEATURES = 20
"""Inputs that a calibrated model has besides, behind the weights of the types: see `more_features`."""
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
    """(2, span_weights): that a span stands, from the words' stability; that it is right, from their probability. With
    `MORE_FEATURES` columns more: that it stands also from the probabilities."""
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
        types = len(self.types)
        if self.closed:
            found[:, 0] = 1
        else:
            _predict(places, stability, probability, self.weights[0], types, found[:, 0])
        _predict(places, probability, probability, self.weights[1], types, found[:, 1])
        return found


@kernel(nogil=True)
def _predict(
    places: NDArray[np.int64],
    words: NDArray[np.float32],
    others: NDArray[np.float32],
    weights: NDArray[np.float32],
    types: int,
    found: NDArray[np.float32],
) -> None:
    features, more = np.empty(SPAN_FEATURES, np.float32), np.empty(MORE_FEATURES, np.float32)
    basic = SPAN_FEATURES + 2 * types
    for i in range(len(places)):
        first, end, kind = places[i]
        _fill_features(words, first, end, features)
        logit = weights[SPAN_FEATURES + kind]
        if end == len(words):
            logit += weights[SPAN_FEATURES + types + kind]
        for j in range(SPAN_FEATURES):
            logit += weights[j] * features[j]
        if len(weights) > basic:
            _fill_more(words, others, first, end, features, more)
            for j in range(MORE_FEATURES):
                logit += weights[basic + j] * more[j]
        found[i] = np.float32(1) / (np.float32(1) + np.exp(-logit))


def span_features(words: NDArray[np.float32], first: int, end: int) -> NDArray[np.float32]:
    """Compute the inputs (SPAN_FEATURES,) of one span of a text whose words (words,) are that confident."""
    features = np.empty(SPAN_FEATURES, np.float32)
    _fill_features(words, first, end, features)
    return features


def more_features(words: NDArray[np.float32], others: NDArray[np.float32], first: int, end: int) -> NDArray[np.float32]:
    """Compute the further inputs (MORE_FEATURES,) of one span of a text.

    They are log odds of the first and the last word, of the second word behind and of the least of three behind; of the
    probability the least word, the mean, the words before and behind; whether one or two words follow, whether the
    span begins the text; and products of these with the words behind and the end of the text.

    Args:
        words: (words,) confidence that the regression is about: stability, or probability.
        others: (words,) probability.
        first, end: words of the span.
    """
    features, more = span_features(words, first, end), np.empty(MORE_FEATURES, np.float32)
    _fill_more(words, others, first, end, features, more)
    return more


@kernel(nogil=True)
def _fill_more(
    words: NDArray[np.float32],
    others: NDArray[np.float32],
    first: int | np.int64,
    end: int | np.int64,
    features: NDArray[np.float32],
    more: NDArray[np.float32],
) -> None:
    none, count = np.float32(0), len(words)
    more[0], more[1] = _log_odds(words[first]), _log_odds(words[end - 1])
    more[2] = _log_odds(words[end + 1]) if end + 1 < count else none
    least = np.float32(1)
    for i in range(end, min(end + 3, count)):
        least = min(least, words[i])
    more[3] = _log_odds(least) if end < count else none
    least, total = np.float32(1), none
    for i in range(first, end):
        least = min(least, others[i])
        total += np.log(max(others[i], np.float32(1e-4)))
    more[4], more[5] = _log_odds(least), total / np.float32(end - first)
    more[6] = _log_odds(others[first - 1]) if first > 0 else none
    more[7] = _log_odds(others[end]) if end < count else none
    more[8] = np.float32(1) if count - end == 1 else none
    more[9] = np.float32(1) if count - end == 2 else none
    more[10] = np.float32(1) if first == 0 else none
    behind, last = features[8], features[6]
    more[11], more[12], more[13] = features[1] * behind, features[2] * behind, features[5] * behind
    more[14], more[15], more[16] = more[4] * behind, features[1] * last, features[2] * last
    more[17], more[18] = more[4] * last, features[1] * features[1] / np.float32(9)
    more[19] = more[4] * more[4] / np.float32(9)


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
