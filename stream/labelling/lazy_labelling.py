"""Reading of label records: arrays, spans and scores of one tagger."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.heads.head import Head
from encoder.heads.span_model import SpanModel
from encoder.heads.stability import stability_at
from encoder.heads.viterbi import labels_to_spans
from encoder.heads.word_record import WORD
from encoder.kernel_cache import kernel
from stream.labelling.label_records import LabelledWords
from stream.labelling.labeller import Growth, Labelling, PlanWork, least_stability

_LAZY = frozenset({"labels", "probability", "stability", "spans"})


class LazyLabelling(Labelling):
    """Reading whose arrays are made when they are first used: after most updates they are not.

    Args:
        words: of the segment.
        number, head: the tagger's number among those of the words, and the tagger.
        closed: whether the segment is.
        work, growth, span_model: of the reading.
        spans: whether it has spans.
        settles: whether its words may become settled.
    """

    __slots__ = ("_closed", "_extents", "_labels", "_number", "_settles", "_words")

    def __init__(
        self,
        words: LabelledWords,
        number: int,
        head: Head,
        closed: bool,
        work: PlanWork,
        growth: Growth | None = None,
        span_model: SpanModel | None = None,
        *,
        spans: bool = True,
        settles: bool = True,
    ) -> None:
        put, scores = object.__setattr__, words.text_scores[number]
        put(self, "_words", words)
        put(self, "_number", number)
        put(self, "_labels", head.labels if spans else None)
        put(self, "_closed", closed)
        put(self, "_settles", settles)
        put(self, "work", work)
        put(self, "growth", growth)
        put(self, "span_model", span_model)
        put(self, "cleaned", words.encoded.cleaned)
        put(self, "starts", words.encoded.word_start)
        put(self, "ends", words.encoded.word_end)
        names = head.text_scores.names if head.text_scores else ()
        put(self, "scores", None if scores is None else dict(zip(names, scores.tolist(), strict=True)))

    def stable_run(self, offset: int, threshold: float, labelled: float | None = None) -> tuple[int, int]:
        """Return the longest run of words behind a character that are all at least that stable."""
        if self._closed:
            return Labelling.stable_run(self, offset, threshold, labelled)
        if not self._settles:
            first = int(self.starts.searchsorted(offset))
            return first, first
        plain = least_stability(threshold)
        marked = plain if labelled is None else least_stability(labelled)
        words = np.frombuffer(self._words.heads[self._number], WORD)
        run: tuple[int, int] = _stable_run(words, self.starts, self.ends, offset, plain, marked)
        return run

    def extents(self) -> tuple[list[int], list[int]]:
        """Return the first characters of the spans, and their ends (exclusive); do not change the lists."""
        try:
            found: tuple[list[int], list[int]] = self._extents
        except AttributeError:
            found = Labelling.extents(self)
            object.__setattr__(self, "_extents", found)
        return found

    def __getattr__(self, name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(name)
        words = self._words
        n, put = len(words.encoded.word_start), object.__setattr__
        labels, (probability, stability) = np.empty(n, np.int32), np.empty((2, n), np.float32)
        _fill_arrays(np.frombuffer(words.heads[self._number], WORD), self._closed, labels, probability, stability)
        put(self, "labels", labels)
        put(self, "probability", probability)
        put(self, "stability", stability)
        put(self, "spans", () if self._labels is None else labels_to_spans(labels, self._labels))
        return getattr(self, name)


@kernel(nogil=True)
def _fill_arrays(
    words: NDArray[np.void],
    closed: bool,
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    stability: NDArray[np.float32],
) -> None:
    """Fill the arrays of a reading; labels of a closed segment are certain."""
    for i in range(len(words)):
        word = words[i]
        labels[i], probability[i] = word.labels, word.probability
        stability[i] = 1 if closed else stability_at(word.base, word.drift, len(words) - np.int64(word.seen))


@kernel(nogil=True)
def _stable_run(
    words: NDArray[np.void],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    offset: int,
    plain: np.float32,
    marked: np.float32,
) -> tuple[int, int]:
    first = end = int(np.searchsorted(starts, offset))
    if first and ends[first - 1] > offset:
        return first, first
    while end < len(words):
        word = words[end]
        least = marked if word.labels else plain
        if stability_at(word.base, word.drift, len(words) - np.int64(word.seen)) < least:
            break
        end += 1
    return first, end
