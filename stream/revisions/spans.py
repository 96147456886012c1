"""Spans of readings, and differences between two readings of a segment: changed words and flipped labels."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from encoder.kernel_cache import kernel
from encoder.tokenizer.incremental import common_prefix
from stream.labelling.labeller import Labelling
from stream.messages.types import Span
from stream.messages.word_times import Times, word_extents
from stream.revisions.span_diff import TaggedSpan


class LabelFlips(msgspec.Struct, frozen=True, gc=False):
    """Number of labels of old words that changed, because of the input or the model (docs/measuring.md)."""

    input: int
    model: int


def first_change(old_text: str, before: Labelling, text: str, after: Labelling) -> tuple[int, int | None]:
    """Find where an update begins to change a segment.

    Returns:
        The first changed word (the number of common words, if none changed); and the first rewritten character, None if
        the text only grew.
    """
    prefix = common_prefix(old_text, text)
    n = min(len(before.starts), len(after.starts))
    same = (before.starts[:n] == after.starts[:n]) & (before.ends[:n] == after.ends[:n]) & (before.ends[:n] <= prefix)
    word = n if same.all() else int(np.argmin(same))
    while word < n and _word_text(old_text, before, word) == _word_text(text, after, word):
        word += 1  # only the white space before it changed
    changed = [prefix] if prefix < len(old_text) else []
    if word < len(before.starts):
        changed.append(int(before.starts[word]))
    return word, min(changed, default=None)


def count_flips(before: Sequence[Labelling], after: Sequence[Labelling], word: int) -> LabelFlips:
    """Count the changed labels of all taggers: from `word` on because of the input, others because of the model."""
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
    """Return the spans of a reading, in characters, with their stability and probability (`Labelling.confidence`).

    The speaker of a span is that of its first word, or that of the segment if the words have none.
    """
    if not reading.spans:
        return []
    words = word_extents(text) if times else []
    confidence: list[list[float]] = reading.confidence(reading.spans).tolist()
    start_time = end_time = first_speaker = None
    found = []
    for start, end, (_, _, label), (stable, sure) in zip(*reading.extents(), reading.spans, confidence, strict=True):
        if words:
            start_time, end_time, first_speaker = _span_times(words, times, start, end)
        who = first_speaker or speaker
        found.append(
            TaggedSpan(start, end, label, round(stable, 4), start_time, end_time, who, channel, round(sure, 4))
        )
    return found


def update_span_details(
    text: str, times: Times, spans: Sequence[Span], speaker: str | None, channel: str | None
) -> tuple[Span, ...] | None:
    """Return the spans of an unchanged text with the speakers, channel and times that are known now.

    Returns None if nothing changed. A mere shift of known times does not count as a change: recognisers shift them with
    every result.
    """
    words = word_extents(text) if times else []
    updated, changed = [], False
    for span in spans:
        start_time, end_time, first_speaker = _span_times(words, times, span.start, span.end)
        now = replace(span, start_time=start_time, end_time=end_time, speaker=first_speaker or speaker, channel=channel)
        first_timed = span.start_time is None and start_time is not None
        changed = changed or first_timed or (now.speaker, now.channel) != (span.speaker, span.channel)
        updated.append(now)
    return tuple(updated) if changed else None


def score_segment(reading: Labelling) -> float | None:
    """Return the probability of a label at the word that most probably has one; None if there is no word.

    For a word without a label it is the probability that "O" is wrong. For a word with a label it is the probability of
    that label, which is slightly lower than that of any label.
    """
    if not len(reading.labels):
        return None
    return round(float(_highest_label_probability(reading.labels, reading.probability)), 4)


@kernel(nogil=True)
def _highest_label_probability(labels: NDArray[np.int32], probability: NDArray[np.float32]) -> np.float32:
    most = np.float32(0)
    for i in range(len(labels)):
        most = max(most, probability[i] if labels[i] > 0 else np.float32(1) - probability[i])
    return most


_end = itemgetter(1)


def _word_text(text: str, reading: Labelling, i: int) -> str:
    return text[reading.starts[i] : reading.ends[i]]


def _span_times(
    words: list[tuple[int, int]], times: Times, start: int, end: int
) -> tuple[float | None, float | None, str | None]:
    """Return the start of the first and the end of the last timed word of a span, and the speaker of the first word."""
    under = []
    for i in range(bisect_right(words, start, key=_end), len(words)):
        if words[i][0] >= end:
            break
        if (time := times[i]) is not None:
            under.append(time)
    return (under[0].start, under[-1].end, under[0].speaker) if under else (None, None, None)
