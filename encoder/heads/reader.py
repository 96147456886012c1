"""Batched decoding for one tagger: logits to word records (label, probability, entropy and stability).

Every segment is decoded by itself, in a fixed order: the result does not depend on which segments are packed together.
`tests/encoder/heads/reference.py` has the same calculation in plain numpy and torch.
"""

import math
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.heads.stability_head import FEATURES, HeadStability, StabilityWeights
from encoder.heads.viterbi import NO_LABEL, Decoder, probability_and_entropy, viterbi
from encoder.kernel_cache import kernel

STOOD, BEFORE, WORDS, AFTER, FIRST, ROW, CHANGED = range(7)
"""Columns of a segment's description for `HeadReader.read`: number of its standing words, and index of their first old
record; number of its words now, and index of their first new record; first word to be decoded; row of scores of its
word 0 (the first decoded word and those after it must have rows); first word that is not as before (`NOT_GROWN`:
unknown).
"""
NOT_GROWN = -1
BY_INPUT, BY_MODEL, SPANS_UNCHANGED = range(3)
"""Columns of a segment's changes: labels that flipped on words that the input changed, and on other words; and whether
no span can differ, because all words that came or went are without a label."""


class ReadWords(NamedTuple):
    """Words of one head that the encoder has read itself, which need no decoding."""

    rows: NDArray[np.int64]
    """(S,) row of each segment's first word to be decoded, -1 for segments that are decoded from their scores"""
    values: NDArray[np.float32]
    """(M, 5) label, probability, entropy, base, drift"""


class HeadReader:
    """Decodes one tagger's columns of the encoder's scores."""

    def __init__(self, decoder: Decoder, stability: HeadStability) -> None:
        self._begin = decoder.begin
        head = _no_head(stability.labels) if stability.head is None else stability.head
        self._head = *head, np.float32(stability.scale), np.float32(stability.shift)

    def read(
        self,
        columns: NDArray[np.float32],
        segments: NDArray[np.int64],
        before: NDArray[np.void],
        after: NDArray[np.void],
        read: ReadWords | None = None,
    ) -> NDArray[np.int64]:
        """Fill the new records `after`; words before the first to be decoded keep their old records.

        Args:
            columns: (M, labels + units) scores of words.
            segments: (S, 7) descriptions, see `STOOD` and the names beside it.
            before, after: old and new records (`encoder.heads.word_record`), segment after segment.
            read: words that need no decoding; None: there are none.

        Returns:
            (S, 3) changes, see `BY_INPUT` and the names beside it.

        Raises:
            IndexError: a segment's words or rows are not among those given; `after` is then undefined.
        """
        changes = np.empty((len(segments), 3), np.int64)
        rows, values = read or ReadWords(np.full(len(segments), -1, np.int64), _NO_VALUES)
        _read(columns, segments, before, after, self._begin, *self._head, rows, values, changes)
        return changes

    def read_in_slices(
        self,
        columns: NDArray[np.float32],
        segment: NDArray[np.int64],
        before: NDArray[np.void],
        after: NDArray[np.void],
        size: int,
    ) -> Generator[None, None, NDArray[np.int64]]:
        """Do what `read` does with one segment, and yield after each `size` words.

        Args:
            columns, before, after: as for `read`.
            segment: (7,) its description.
            size: words.

        Returns:
            (3,) changes.

        Raises:
            IndexError: as for `read`.
        """
        changes, labels = np.empty(3, np.int64), np.empty(max(0, segment[WORDS] - segment[FIRST]), np.int32)
        _read_labels(columns, segment, before, after, self._begin, labels)
        for start in range(0, len(labels), size):
            yield
            end = min(start + size, len(labels))
            _read_records(columns, segment, after, len(self._begin), *self._head, labels, start, end)
        stood, old, words, new, changed = segment[[STOOD, BEFORE, WORDS, AFTER, CHANGED]].tolist()
        _count_changes(before[old : old + stood], after[new : new + words], changed, changes)
        return changes


def _no_head(labels: int) -> StabilityWeights:
    """Weights of 0 units."""
    sizes: list[tuple[int, ...]] = [(labels, 0), (0, FEATURES), (2, 0), (2,)]
    return StabilityWeights(*(np.zeros(size, np.float32) for size in sizes))


@kernel(nogil=True)
def _read(
    columns: NDArray[np.float32],
    segments: NDArray[np.int64],
    before: NDArray[np.void],
    after: NDArray[np.void],
    begin: NDArray[np.int32],
    label: NDArray[np.float32],
    features: NDArray[np.float32],
    out: NDArray[np.float32],
    bias: NDArray[np.float32],
    scale: np.float32,
    shift: np.float32,
    rows: NDArray[np.int64],
    values: NDArray[np.float32],
    changes: NDArray[np.int64],
) -> None:
    most = 0
    for s in range(len(segments)):
        most = max(most, segments[s, WORDS] - segments[s, FIRST])
    classes = len(begin)
    back, labels = np.empty((most, classes), np.int32), np.empty(most, np.int32)
    score, last = np.empty(classes), np.empty(classes)
    for s in range(len(segments)):
        stood, old, words, new, first, _, changed = segments[s]
        if rows[s] >= 0:
            _take_records(segments[s], before, after, rows[s], values)
        else:
            _fill_labels(columns, segments[s], before, after, begin, score, last, back, labels)
            _read_records(
                columns, segments[s], after, classes, label, features, out, bias, scale, shift, labels, 0, words - first
            )
        _count_changes(before[old : old + stood], after[new : new + words], changed, changes[s])


@kernel(nogil=True)
def _take_records(
    segment: NDArray[np.int64],
    before: NDArray[np.void],
    after: NDArray[np.void],
    row: int,
    values: NDArray[np.float32],
) -> None:
    """Keep the records before the first word to be decoded, and fill those from it on with what was read."""
    stood, old, words, new, first, _, _ = segment
    _check_standing(stood, old, words, new, first, len(before), len(after))
    if row + words - first > len(values):
        raise IndexError("words were read that are not given")
    for i in range(first):
        after[new + i] = before[old + i]
    for i in range(words - first):
        one, line = after[new + first + i], values[row + i]
        one.labels, one.probability, one.entropy = np.int64(line[0]), line[1], line[2]
        one.base, one.drift, one.seen = line[3], line[4], words


@kernel(nogil=True)
def _check_standing(stood: int, old: int, words: int, new: int, first: int, before: int, after: int) -> None:
    """Raise if a segment's words lie outside the `before` old and `after` new records."""
    if not (0 <= first <= stood <= before - old and first <= words <= after - new):
        raise IndexError("words that stand lie outside the records of before or after")


@kernel(nogil=True)
def _read_labels(
    columns: NDArray[np.float32],
    segment: NDArray[np.int64],
    before: NDArray[np.void],
    after: NDArray[np.void],
    begin: NDArray[np.int32],
    labels: NDArray[np.int32],
) -> None:
    """Decode the labels of one segment's words from the first to be decoded on; keep the records before it."""
    score, last, back = np.empty(len(begin)), np.empty(len(begin)), np.empty((len(labels), len(begin)), np.int32)
    _fill_labels(columns, segment, before, after, begin, score, last, back, labels)


@kernel(nogil=True)
def _fill_labels(
    columns: NDArray[np.float32],
    segment: NDArray[np.int64],
    before: NDArray[np.void],
    after: NDArray[np.void],
    begin: NDArray[np.int32],
    score: NDArray[np.float64],
    last: NDArray[np.float64],
    back: NDArray[np.int32],
    labels: NDArray[np.int32],
) -> None:
    stood, old, words, new, first, row, _ = segment
    _check_standing(stood, old, words, new, first, len(before), len(after))
    if first < words and not 0 <= row + first < row + words <= len(columns):
        raise IndexError("words to be read have no scores")
    for i in range(first):
        after[new + i] = before[old + i]
    if first < words:
        left = np.int64(before[old + first - 1].labels) if first else np.int64(NO_LABEL)
        viterbi(columns[row + first : row + words], left, begin, score, last, back, labels)


@kernel(nogil=True)
def _read_records(
    columns: NDArray[np.float32],
    segment: NDArray[np.int64],
    after: NDArray[np.void],
    classes: int,
    label: NDArray[np.float32],
    features: NDArray[np.float32],
    out: NDArray[np.float32],
    bias: NDArray[np.float32],
    scale: np.float32,
    shift: np.float32,
    labels: NDArray[np.int32],
    start: int,
    end: int,
) -> None:
    """Fill the records of the words start..end, counted from the first one to be decoded."""
    _, _, words, new, first, row, _ = segment
    units, inputs = len(features), np.empty(FEATURES, np.float32)
    for i in range(start, end):
        line = columns[row + first + i]
        one = after[new + first + i]
        p, entropy = probability_and_entropy(line, classes, labels[i])
        one.labels, one.probability, one.entropy = labels[i], p, entropy
        if units:
            _fill_features(line, classes, labels[i], p, entropy, words - 1 - first - i, inputs)
            base, drift = _stability_logit(line[classes:], label[labels[i]], features, out, bias, inputs)
        else:
            base, drift = _probability_logit(p), np.float32(0)
        one.base, one.drift, one.seen = scale * base + shift, scale * drift, words


@kernel(nogil=True)
def _count_changes(before: NDArray[np.void], after: NDArray[np.void], changed: int, changes: NDArray[np.int64]) -> None:
    """Fill a segment's changes (3,); all 0 if it is not known which words the input changed."""
    by_input = by_model = labelled = 0
    if changed != NOT_GROWN:
        both = min(len(before), len(after))
        for i in range(both):
            flipped = before[i].labels != after[i].labels
            by_model += flipped and i < changed
            by_input += flipped and i >= changed
        for i in range(changed, len(before)):
            labelled += before[i].labels != 0
        for i in range(changed, len(after)):
            labelled += after[i].labels != 0
    changes[BY_INPUT], changes[BY_MODEL] = by_input, by_model
    changes[SPANS_UNCHANGED] = changed != NOT_GROWN and by_model + labelled == 0


@kernel(nogil=True)
def _fill_features(
    line: NDArray[np.float32],
    classes: int,
    label: int,
    probability: np.float32,
    entropy: np.float32,
    right: int,
    inputs: NDArray[np.float32],
) -> None:
    """Fill the inputs of the stability head for one word, as `make_features` does."""
    best, second = line[0], np.float32(-1e4)
    for k in range(1, classes):
        x = line[k]
        if x > best:
            best, second = x, best
        elif k == 1 or x > second:
            second = x
    inputs[0] = entropy
    inputs[1] = min(best - second, np.float32(20)) / np.float32(5)
    inputs[2] = probability
    inputs[3] = max(line[label] - best, np.float32(-20)) / np.float32(5)
    inputs[4] = np.log1p(np.float64(right))
    inputs[5] = right == 0


@kernel(nogil=True)
def _stability_logit(
    products: NDArray[np.float32],
    label: NDArray[np.float32],
    features: NDArray[np.float32],
    out: NDArray[np.float32],
    bias: NDArray[np.float32],
    inputs: NDArray[np.float32],
) -> tuple[np.float32, np.float32]:
    """Compute base and drift of one word, as `StabilityHead.forward` does."""
    base, drift = np.float64(bias[0]), np.float64(bias[1])
    for u in range(len(products)):
        x = np.float64(products[u]) + label[u]
        for f in range(FEATURES):
            x += features[u, f] * inputs[f]
        x = 0.5 * x * (1.0 + math.erf(x * _SQRT_HALF))
        base += out[0, u] * x
        drift += out[1, u] * x
    return np.float32(base), np.float32(drift)


@kernel(nogil=True)
def _probability_logit(probability: np.float32) -> np.float32:
    """Compute the base of one word for a checkpoint without a stability head: the logit of the label's probability."""
    p = min(max(probability, _LEAST_PROBABILITY), _MOST_PROBABILITY)
    logit: np.float32 = np.log(p / (np.float32(1) - p))
    return logit


_NO_VALUES: NDArray[np.float32] = np.zeros((0, 5), np.float32)
_SQRT_HALF = 0.5**0.5
_LEAST_PROBABILITY, _MOST_PROBABILITY = np.float32(1e-6), np.float32(1 - 1e-6)
