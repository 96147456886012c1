"""Constrained decoding: scores to labels by Viterbi over valid BIO sequences (Viterbi 1967), and labels to spans.

A sequence is the part of a segment that was computed again. It continues from the standing label of the word before it,
which is never changed. So an append alone never flips a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.kernel_cache import kernel

NO_LABEL = -1
"""The label before the first word of a segment."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Packed results, one element a word."""

    labels: NDArray[np.int32]  # (N,)
    probability: NDArray[np.float32]  # (N,) softmax probability of the chosen label
    entropy: NDArray[np.float32]  # (N,) of the softmax over labels, nats


class Decoder:
    """BIO-constrained Viterbi decoder of one label set ("O" first, every "I-x" has its "B-x")."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        numbers = {name: i for i, name in enumerate(labels)}
        self.begin = np.array([numbers["B-" + x[2:]] if x.startswith("I-") else -1 for x in labels], np.int32)
        """(labels,) the B-x of each I-x, and -1 for other labels"""

    def decode(self, logits: NDArray[np.float32], starts: NDArray[np.int64], before: NDArray[np.int32]) -> Decoded:
        """Decode packed word scores.

        Args:
            logits: (N, labels) scores of words, sequence after sequence.
            starts: (S + 1,) row offsets; sequences may be empty.
            before: (S,) standing label of the word before each sequence, or NO_LABEL.
        """
        count = len(logits)
        decoded = Decoded(np.empty(count, np.int32), np.empty(count, np.float32), np.empty(count, np.float32))
        scores = np.ascontiguousarray(logits)
        _decode(scores, starts, before, self.begin, decoded.labels, decoded.probability, decoded.entropy)
        return decoded


@kernel(nogil=True)
def _decode(
    logits: NDArray[np.float32],
    starts: NDArray[np.int64],
    before: NDArray[np.int32],
    begin: NDArray[np.int32],
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    entropy: NDArray[np.float32],
) -> None:
    """Fill `labels`, `probability` and `entropy` (N,)."""
    classes = len(begin)
    back, score, last = np.empty((len(logits), classes), np.int32), np.empty(classes), np.empty(classes)
    for s in range(len(before)):
        first, end = starts[s], starts[s + 1]
        if first < end:
            viterbi(logits[first:end], before[s], begin, score, last, back, labels[first:end])
    for i in range(len(labels)):
        probability[i], entropy[i] = probability_and_entropy(logits[i], classes, labels[i])


@kernel(nogil=True)
def viterbi(
    logits: NDArray[np.float32],
    before: int | np.int64,
    begin: NDArray[np.int32],
    score: NDArray[np.float64],
    last: NDArray[np.float64],
    back: NDArray[np.int32],
    labels: NDArray[np.int32],
) -> None:
    """Decode one sequence of n words, which is not empty.

    Args:
        logits: (n, labels or more) scores; further columns are ignored.
        before: standing label of the word before, or NO_LABEL.
        begin: (labels,) the B-x of each I-x, and -1 for other labels.
        score, last, back: (labels,), (labels,) and (n or more, labels) scratch.
        labels: (n or more,) filled.
    """
    classes, count = len(begin), len(logits)
    for k in range(classes):
        allowed = begin[k] < 0 or (before >= 0 and (before == k or before == begin[k]))
        score[k] = logits[0, k] if allowed else -np.inf
    for i in range(1, count):
        score, last = last, score
        best = 0
        for k in range(1, classes):
            if last[k] > last[best]:
                best = k
        for k in range(classes):
            source = best
            if begin[k] >= 0:
                source = min(begin[k], k)
                other = max(begin[k], k)
                if last[other] > last[source]:
                    source = other
            back[i, k] = source
            score[k] = last[source] + logits[i, k]
    best = 0
    for k in range(1, classes):
        if score[k] > score[best]:
            best = k
    for i in range(count - 1, 0, -1):
        labels[i] = best
        best = back[i, best]
    labels[0] = best


@kernel(nogil=True)
def probability_and_entropy(logits: NDArray[np.float32], classes: int, label: int) -> tuple[np.float32, np.float32]:
    """Give the softmax probability of a word's label, and the entropy (nats) of its first `classes` scores."""
    top = logits[0]
    for k in range(1, classes):
        top = max(top, logits[k])
    mass, mean = 0.0, 0.0
    for k in range(classes):
        x = np.float64(logits[k]) - top
        e = np.exp(x)
        mass += e
        mean += x * e
    probability = np.exp(np.float64(logits[label]) - top) / mass
    return np.float32(probability), np.float32(max(0.0, np.log(mass) - mean / mass))


def labels_to_spans(labels: Sequence[int] | NDArray[np.int32], names: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Give the spans (first word, end word exclusive, type) of label numbers; strict IOB2: a stray I-x is no span."""
    spans: list[tuple[int, int, str]] = []
    array = np.asarray(labels, np.int32)
    where = array.nonzero()[0]  # label 0 is "O" (HybridConfig), and most words are
    start, end, kind = -1, -1, ""
    for i, label in zip(where.tolist(), array[where].tolist(), strict=True):
        name = names[label]
        if start >= 0 and i == end and name == "I-" + kind:
            end = i + 1
            continue
        if start >= 0:
            spans.append((start, end, kind))
        start, end, kind = (i, i + 1, name[2:]) if name.startswith("B-") else (-1, -1, "")
    return [*spans, (start, end, kind)] if start >= 0 else spans
