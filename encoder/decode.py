"""Scores to labels: Viterbi over valid BIO, packed over sequences (stub: signatures stand, bodies follow)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOTHING = -1
"""The label before the first word of a segment."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Packed results, one element a word."""

    labels: NDArray[np.int32]  # (N,)
    probability: NDArray[np.float32]  # (N,) softmax probability of the chosen label
    entropy: NDArray[np.float32]  # (N,) of the softmax over labels, nats


class Decoder:
    """BIO-constrained Viterbi for one label set."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        raise NotImplementedError

    def decode(
        self, logits: NDArray[np.float32], starts: NDArray[np.int64], before: NDArray[np.int32]
    ) -> Decoded:
        """Decode packed word scores.

        Args:
            logits: (N, labels) scores of words, sequence after sequence.
            starts: (S + 1,) row offsets.
            before: (S,) standing label of the word before each sequence, or NOTHING; it is never changed.
        """
        raise NotImplementedError


def labels_to_spans(labels: NDArray[np.int32], names: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Read spans (first word, end word exclusive, type) out of label numbers, strict IOB2: a stray I-x is no span."""
    raise NotImplementedError
