"""The words of a segment before and after an update: which changed, whose labels flipped, and the spans they make."""

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from encoder.tokenizer.incremental import common_prefix
from stream.labelling.labeller import Labelling
from stream.messages.types import Span
from stream.messages.word_times import Times, word_extents
from stream.revisions.span_diff import TaggedSpan


class LabelFlips(NamedTuple):
    """Labels that changed on words that stood (docs/measuring.md)."""

    input: int
    model: int


def first_change(old_text: str, before: Labelling, text: str, after: Labelling) -> tuple[int, int | None]:
    """Where an update begins to change what stood.

    Returns:
        The first word that is not as it was (the number of words in common, if none is); and the first character at
        which the text that stood was rewritten, None if it only grew.
    """
    prefix = common_prefix(old_text, text)
    n = min(len(before.starts), len(after.starts))
    same = (before.starts[:n] == after.starts[:n]) & (before.ends[:n] == after.ends[:n]) & (before.ends[:n] <= prefix)
    word = n if same.all() else int(np.argmin(same))
    while word < n and _word(old_text, before, word) == _word(text, after, word):
        word += 1  # only the white space between them changed
    changed = [prefix] if prefix < len(old_text) else []
    if word < len(before.starts):
        changed.append(int(before.starts[word]))
    return word, min(changed, default=None)


def count_flips(before: Sequence[Labelling], after: Sequence[Labelling], word: int) -> LabelFlips:
    """Count labels that changed, of all taggers; those from `word` on because of the input, others of the model."""
    by_input = by_model = 0
    for old, new in zip(before, after, strict=True):
        n = min(len(old.labels), len(new.labels))
        flipped = old.labels[:n] != new.labels[:n]
        by_input += int(np.count_nonzero(flipped[word:]))
        by_model += int(np.count_nonzero(flipped[:word]))
    return LabelFlips(by_input, by_model)


def find_spans(
    text: str, times: Times, reading: Labelling, speaker: str | None = None, channel: str | None = None
) -> list[TaggedSpan]:
    """The spans of a reading, in characters, each as stable as its least stable word, and as probable as its least.

    A span is said by the speaker of its first word, or by that of the segment where the words name none.
    """
    if not reading.spans:
        return []
    words = word_extents(text) if times else []
    bounds = np.array([span[:2] for span in reading.spans], np.int64)  # (spans, 2)
    places, figures = np.empty_like(bounds), np.empty((len(bounds), 2), np.float32)
    _measure(bounds, reading.starts, reading.ends, reading.stability, reading.probability, places, figures)
    found = []
    characters: list[list[int]] = places.tolist()
    least: list[list[float]] = figures.tolist()
    for (_, _, label), (start, end), (stable, sure) in zip(reading.spans, characters, least, strict=True):
        begins, stops, said_by = _span_times(words, times, start, end) if times else (None, None, None)
        found.append(
            TaggedSpan(start, end, label, round(stable, 4), begins, stops, said_by or speaker, channel, round(sure, 4))
        )
    return found


@numba.njit(cache=True, nogil=True)
def _measure(
    bounds: NDArray[np.int64],
    starts: NDArray[np.int32],
    ends: NDArray[np.int32],
    stability: NDArray[np.float32],
    probability: NDArray[np.float32],
    places: NDArray[np.int64],
    figures: NDArray[np.float32],
) -> None:
    """Fill where each span is in characters (spans, 2), and the least stability and probability of its words."""
    for i in range(len(bounds)):
        first, end = bounds[i]
        places[i, 0], places[i, 1] = starts[first], ends[end - 1]
        figures[i, 0], figures[i, 1] = stability[first:end].min(), probability[first:end].min()


def update_span_details(
    text: str, times: Times, spans: Sequence[Span], speaker: str | None, channel: str | None
) -> tuple[Span, ...] | None:
    """Spans whose text stands, with what is known now of who said them, where and when.

    None if that is no news. Times that only moved are none: recognisers move them with every result.
    """
    words = word_extents(text) if times else []
    told, news = [], False
    for span in spans:
        begins, stops, said_by = _span_times(words, times, span.start, span.end) if times else (None, None, None)
        now = replace(span, start_time=begins, end_time=stops, speaker=said_by or speaker, channel=channel)
        first_timed = span.start_time is None and begins is not None
        news = news or first_timed or (now.speaker, now.channel) != (span.speaker, span.channel)
        told.append(now)
    return tuple(told) if news else None


def score_segment(reading: Labelling) -> float | None:
    """Give the probability of a label at the word that is likeliest to have one; None if there is no word.

    A word's chance of having any label is that of "O" not being right; where it has one, its own probability, which is
    a little less than that of any.
    """
    if not len(reading.labels):
        return None
    return round(float(_likeliest(reading.labels, reading.probability)), 4)


@numba.njit(cache=True, nogil=True)
def _likeliest(labels: NDArray[np.int32], probability: NDArray[np.float32]) -> np.float32:
    most = np.float32(0)
    for i in range(len(labels)):
        most = max(most, probability[i] if labels[i] > 0 else np.float32(1) - probability[i])
    return most


def _word(text: str, reading: Labelling, i: int) -> str:
    return text[reading.starts[i] : reading.ends[i]]


def _span_times(
    words: list[tuple[int, int]], times: Times, start: int, end: int
) -> tuple[float | None, float | None, str | None]:
    """When the first and the last timed word under the span were said, and who said the first."""
    under = [time for (a, b), time in zip(words, times, strict=True) if a < end and b > start and time is not None]
    return (under[0].start, under[-1].end, under[0].speaker) if under else (None, None, None)
