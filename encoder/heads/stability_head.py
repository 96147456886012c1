"""The stability head: a small network that gives the stability of a word's label (`encoder.heads.stability`).

The products of its hidden layer with the word's last hidden state are columns of the encoder's head
(`HybridConfig.columns`); the rest is computed here, word by word.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEATURES = 6
"""Number of inputs beside the hidden state and the label: entropy, margin to the second label, probability, distance of
the label from the best, words seen to the right, and whether there are none."""
PROBABILITY = 2
"""Column of the probability."""


class StabilityWeights(NamedTuple):
    """Weights of a stability head but its hidden layer, float32."""

    label: NDArray[np.float32]
    """(labels, units) embedding of the label"""
    features: NDArray[np.float32]
    """(units, FEATURES)"""
    out: NDArray[np.float32]
    """(2, units)"""
    bias: NDArray[np.float32]
    """(2,)"""


def make_features(
    logits: NDArray[np.float32],
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    entropy: NDArray[np.float32],
    right: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Compute the head's inputs beside hidden state and label.

    Args:
        logits: (N, labels) label scores.
        labels: (N,) standing labels, which need not have the best scores.
        probability: (N,) softmax probability of the standing label.
        entropy: (N,) of the softmax, nats.
        right: (N,) words to the right that the word has seen.

    Returns:
        (N, FEATURES)
    """
    if logits.shape[1] < 2:
        logits = np.concatenate([logits, np.full_like(logits, -1e4)], axis=1)
    best, second = np.sort(logits, axis=1)[:, :-3:-1].T
    own = logits[np.arange(len(labels)), labels]
    columns = (
        entropy,
        np.minimum(best - second, 20.0) / 5,
        probability,
        np.maximum(own - best, -20.0) / 5,
        np.log1p(right),
        (right == 0).astype(np.float32),
    )
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class HeadStability:
    """Stability of one tagger's labels: its stability head, and the scale and shift that calibration found."""

    head: StabilityWeights | None
    """None: a checkpoint without a stability head."""
    labels: int
    scale: float = 1.0
    """Factor of the logit (`encoder.checkpoints.calibration`)."""
    shift: float = 0.0
    """Added to the scaled logit."""
