"""The stability head: the probability that a word's label, as it stands, is the label at the close.

It is read when a word is computed and gives two numbers, from which the stability follows at any later step without
computing anything again (docs/architecture.md, "Stability"):

    stability = sigmoid(base + drift * log(1 + unseen))

`unseen` are the words that came since, which the word's tail states have not seen. Its hidden layer's products with the
word's last hidden state are columns of the encoder's head (`HybridConfig.columns`); the rest is done here, a word.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 6
"""Beside the hidden state and the label: entropy, margin, probability, "is the best", seen to the right, place."""
_EDGE = 1e-6


class StabilityLogit(NamedTuple):
    """What the head said of words when they were computed."""

    base: NDArray[np.float32]  # (words,) logit of the stability while nothing is unseen
    drift: NDArray[np.float32]  # (words,) what the logit gains with log(1 + unseen words)


def stability_of(settled: StabilityLogit, unseen: NDArray[np.int32]) -> NDArray[np.float32]:
    """Give the stability of words (words,) of which so many later words (words,) are unseen; 0..1."""
    stability = np.empty(len(unseen), np.float32)
    _fill(settled.base, settled.drift, unseen, stability)
    return stability


@numba.njit(cache=True, nogil=True)
def stability_at(base: np.float32, drift: np.float32, unseen: int | np.int64) -> np.float32:
    """Give the stability of one word; all that needs one calls this, so that it is the same everywhere.

    Less than nothing unseen, after a text has shrunk, is nothing.
    """
    logit = base + drift * np.log1p(np.float32(unseen if unseen > 0 else 0))
    stability: np.float32 = np.float32(1) / (np.float32(1) + np.exp(-logit))
    return stability


@numba.njit(cache=True, nogil=True)
def _fill(
    base: NDArray[np.float32],
    drift: NDArray[np.float32],
    unseen: NDArray[np.int32],
    stability: NDArray[np.float32],
) -> None:
    for i in range(len(stability)):
        stability[i] = stability_at(base[i], drift[i], unseen[i])


def stability_without_head(probability: NDArray[np.float32]) -> StabilityLogit:
    """For a checkpoint without the head: the probability of the label stands for its stability."""
    p = probability.clip(_EDGE, 1 - _EDGE)
    return StabilityLogit(np.log(p / (1 - p)), np.zeros_like(p))


class StabilityHead(nn.Module):
    """Two layers over a word's last hidden state, its label and `FEATURES` numbers; the reference of
    `HeadStability`.
    """

    def __init__(self, hidden: int, labels: int, units: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(hidden, units)
        self.label = nn.Embedding(labels, units)
        self.features = nn.Linear(FEATURES, units, bias=False)
        self.out = nn.Linear(units, 2)

    def forward(self, products: Tensor, labels: Tensor, features: Tensor) -> Tensor:
        """Give base and drift.

        Args:
            products: (N, units) of the hidden layer with the words' hidden states, bias included.
            labels: (N,) int64 standing labels.
            features: (N, FEATURES) as `make_features` has them.

        Returns:
            (N, 2) base, drift.
        """
        z: Tensor = self.out(F.gelu(products + self.label(labels) + self.features(features)))
        return z


def make_features(
    logits: NDArray[np.float32],
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    entropy: NDArray[np.float32],
    right: NDArray[np.int32],
) -> NDArray[np.float32]:
    """What the head knows of words beside hidden state and label.

    Args:
        logits: (N, labels) label scores.
        labels: (N,) standing labels, which need not be the best scored.
        probability: (N,) softmax probability of the standing label.
        entropy: (N,) of the softmax, nats.
        right: (N,) words to the right that were seen.

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
    """The head of one tagger at work; `None` weights stand for a checkpoint without one."""

    head: StabilityHead | None
    labels: int
    scale: float = 1.0
    """Of the logit, and what is added to it: what calibration found (`encoder.checkpoints.calibration`)."""
    shift: float = 0.0

    def settle(
        self,
        columns: NDArray[np.float32],
        labels: NDArray[np.int32],
        probability: NDArray[np.float32],
        entropy: NDArray[np.float32],
        right: NDArray[np.int32],
    ) -> StabilityLogit:
        """Read the head of words just computed; `columns` are (N, labels + units), for the rest see `make_features`."""
        if self.head is None:
            base, drift = stability_without_head(probability)
        else:
            logits, products = columns[:, : self.labels], columns[:, self.labels :]
            features = make_features(logits, labels, probability, entropy, right)
            with torch.inference_mode():
                out = self.head(
                    torch.from_numpy(np.ascontiguousarray(products)),
                    torch.from_numpy(labels.astype(np.int64)),
                    torch.from_numpy(features),
                )
            base, drift = out.numpy().T
        return StabilityLogit(np.float32(self.scale) * base + np.float32(self.shift), np.float32(self.scale) * drift)
