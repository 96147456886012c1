"""Scores to labels: Viterbi over valid BIO (Viterbi 1967), packed over sequences, and labels to spans.

A sequence is what was computed anew of one segment: it goes on from the standing label of the word before it, which is
never changed. So an append alone never flips a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
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
    """BIO-constrained Viterbi for one label set ("O" first, every "I-x" has its "B-x")."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        places = {name: i for i, name in enumerate(labels)}
        self._begin = np.array([places["B-" + x[2:]] if x.startswith("I-") else -1 for x in labels], np.int32)

    def decode(self, logits: NDArray[np.float32], starts: NDArray[np.int64], before: NDArray[np.int32]) -> Decoded:
        """Decode packed word scores.

        Args:
            logits: (N, labels) scores of words, sequence after sequence.
            starts: (S + 1,) row offsets; sequences may be empty.
            before: (S,) standing label of the word before each sequence, or NOTHING.
        """
        count = len(logits)
        decoded = Decoded(np.empty(count, np.int32), np.empty(count, np.float32), np.empty(count, np.float32))
        back = np.empty(logits.shape, np.int32)
        scores = np.ascontiguousarray(logits)
        _viterbi(scores, starts, before, self._begin, back, decoded.labels)
        _doubt(scores, decoded.labels, decoded.probability, decoded.entropy)
        return decoded


@numba.njit(cache=True, nogil=True)
def _viterbi(
    logits: NDArray[np.float32],
    starts: NDArray[np.int64],
    before: NDArray[np.int32],
    begin: NDArray[np.int32],
    back: NDArray[np.int32],
    labels: NDArray[np.int32],
) -> None:
    """Fill `labels` (N,); `begin` (labels,) is the B-x of each I-x and -1 for others; `back` (N, labels) is scratch."""
    kinds = logits.shape[1]
    score, last = np.empty(kinds), np.empty(kinds)
    for s in range(len(before)):
        first, end = starts[s], starts[s + 1]
        if first == end:
            continue
        for k in range(kinds):
            allowed = begin[k] < 0 or (before[s] >= 0 and (before[s] == k or before[s] == begin[k]))
            score[k] = logits[first, k] if allowed else -np.inf
        for i in range(first + 1, end):
            score, last = last, score
            best = 0
            for k in range(1, kinds):
                if last[k] > last[best]:
                    best = k
            for k in range(kinds):
                come = best
                if begin[k] >= 0:
                    come = min(begin[k], k)
                    other = max(begin[k], k)
                    if last[other] > last[come]:
                        come = other
                back[i, k] = come
                score[k] = last[come] + logits[i, k]
        best = 0
        for k in range(1, kinds):
            if score[k] > score[best]:
                best = k
        for i in range(end - 1, first, -1):
            labels[i] = best
            best = back[i, best]
        labels[first] = best


@numba.njit(cache=True, nogil=True)
def _doubt(
    logits: NDArray[np.float32],
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    entropy: NDArray[np.float32],
) -> None:
    """Fill the softmax probability of each chosen label (N,) and the entropy of each row (N,), in nats."""
    kinds = logits.shape[1]
    for i in range(len(labels)):
        top = logits[i, 0]
        for k in range(1, kinds):
            top = max(top, logits[i, k])
        mass, mean = 0.0, 0.0
        for k in range(kinds):
            x = np.float64(logits[i, k]) - top
            mass += np.exp(x)
            mean += x * np.exp(x)
        probability[i] = np.exp(np.float64(logits[i, labels[i]]) - top) / mass
        entropy[i] = max(0.0, np.log(mass) - mean / mass)


def decode_reference(
    names: tuple[str, ...], logits: NDArray[np.float32], starts: NDArray[np.int64], before: NDArray[np.int32]
) -> Decoded:
    """What `Decoder.decode` must equal: a transition matrix and log-softmax, as the textbook has it."""
    allowed = np.array([[_follows(a, b) for b in names] for a in names])
    log_p = logits.astype(np.float64) - np.logaddexp.reduce(logits.astype(np.float64), axis=1, keepdims=True)
    labels = np.empty(len(logits), np.int32)
    for s, previous in enumerate(before.tolist()):
        rows = log_p[starts[s] : starts[s + 1]]
        score = np.where([_follows(names[previous] if previous >= 0 else "O", b) for b in names], 0.0, -np.inf)
        steps: list[NDArray[np.intp]] = []
        for i, row in enumerate(rows):
            paths = score[:, None] + np.where(allowed, 0.0, -np.inf) if i else np.broadcast_to(score, allowed.shape)
            steps.append(paths.argmax(axis=0))
            score = (paths.max(axis=0) if i else score) + row
        best = int(score.argmax())
        for i in range(len(rows) - 1, -1, -1):
            labels[starts[s] + i] = best
            best = int(steps[i][best])
    p = np.exp(log_p)
    chosen = p[np.arange(len(labels)), labels].astype(np.float32)
    return Decoded(labels, chosen, -(p * log_p).sum(axis=1).astype(np.float32))


def _follows(a: str, b: str) -> bool:
    """Whether label `b` may stand right of label `a`."""
    return not b.startswith("I-") or a[2:] == b[2:]


def labels_to_spans(labels: Sequence[int] | NDArray[np.int32], names: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Read spans (first word, end word exclusive, type) out of label numbers, strict IOB2: a stray I-x is no span."""
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
