"""Label records: the labelled words of one segment in the hybrid labeller, and as bytes for another process.

The bytes hold, for each tagger, only what cannot be computed from the text: labels with probability, entropy and
stability (`encoder.heads.word_record`), then the text scores. Words and tokens come from the text; scores of words are
computed when they are next needed.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.heads.word_record import SIZE
from encoder.session.plan import StandingRead
from encoder.tokenizer.incremental import Encoded

TextScoreValues = NDArray[np.float32] | None
"""(names,) scores of a text by one tagger; None if it has none, or the text has no word, or they are not known."""
UNKNOWN = StandingRead(None, False)
UNREAD_WORDS = b"\0"
"""Stored for a tagger that has not labelled the segment yet."""
NO_SCORES = np.zeros((0, 0), np.float32)
_HEADER = struct.Struct("<8sq?")
_UNREAD = -1
_NO_MODEL = b"\0" * 8
_FIRST_CAPACITY = 16
"""Words for which scores are allocated at first."""


@dataclass(slots=True)
class LabelledWords:
    """Words of a segment, with the label records of each tagger."""

    encoded: Encoded
    scores: NDArray[np.float32]
    """(words or more, columns) as last computed here, shared by the values after each update of the segment. A closed
    segment needs none."""
    heads: tuple[bytes, ...]
    """Records of all words (`encoder.heads.word_record`) for each tagger, in the order of the labeller."""
    void: tuple[bool, ...]
    """For each tagger whether it has no labels of this model, so that its records are zeros."""
    text_scores: tuple[TextScoreValues, ...]
    """Scores of the text for each tagger."""
    standing: StandingRead = UNKNOWN
    """How an open segment was last read."""


def grow_scores(scores: NDArray[np.float32], words: int, columns: int) -> NDArray[np.float32]:
    """Return the scores with capacity for `words`. It grows by half, so that a growing segment is seldom copied."""
    capacity = len(scores)
    if capacity >= words and capacity:
        return scores
    more = np.zeros((max(_FIRST_CAPACITY, words, capacity * 3 // 2), columns), np.float32)
    if capacity:
        more[:capacity] = scores
    return more


def pack_words(words: LabelledWords, names: Sequence[str], fingerprint: bytes) -> dict[str, bytes]:
    """Encode the words for each tagger, under the fingerprint of its model (8 bytes); 22 bytes a word, 4 a text score.

    Void records get no fingerprint.
    """
    version, whole = words.standing
    version = _UNREAD if version is None else version
    return {
        name: _HEADER.pack(_NO_MODEL if void else fingerprint, version, whole)
        + head
        + (b"" if scores is None else scores.tobytes())
        for name, head, void, scores in zip(names, words.heads, words.void, words.text_scores, strict=True)
    }


def unpack_words(
    encoded: Encoded, data: Mapping[str, bytes], names: Mapping[str, int], fingerprint: bytes
) -> LabelledWords:
    """Decode words; void for each tagger without records of this model and text.

    Args:
        names: the taggers with the number of their text scores.
    """
    heads, void, text_scores, standing = [], [], [], UNKNOWN
    nothing = bytes(encoded.words * SIZE)
    for name, count in names.items():
        record, count = data.get(name, b""), count if encoded.words else 0
        found = _unpack_standing(record, len(nothing) + 4 * count, fingerprint)
        end = _HEADER.size + len(nothing)
        heads.append(nothing if found is None else record[_HEADER.size : end])
        void.append(found is None)
        text_scores.append(np.frombuffer(record[end:], np.float32) if found and count else None)
        standing = found or standing  # records that are not void were written together
    return LabelledWords(encoded, NO_SCORES, tuple(heads), tuple(void), tuple(text_scores), standing)


def _unpack_standing(data: bytes, size: int, fingerprint: bytes) -> StandingRead | None:
    """Return how the labels of one tagger were read; None if they are not of this model or text."""
    if len(data) != _HEADER.size + size:
        return None
    model, version, whole = _HEADER.unpack_from(data)
    if model != fingerprint:
        return None
    return StandingRead(None if version == _UNREAD else version, whole)
