"""The words of one segment as the hybrid labeller holds them, and as bytes that another process can go on from.

Only what cannot be had again is written, for each tagger: labels as they stand, with probability, entropy and
stability (`encoder.heads.word_record`). Words and pieces come from the text; scores are read anew when they are next
needed.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.heads.word_record import SIZE
from encoder.session.pool import StandingRead
from encoder.tokenizer.incremental import Encoded

UNKNOWN = StandingRead(None, False)
UNREAD_WORDS = b"\0"
"""Written for a tagger that has yet to read the segment."""
NO_SCORES = np.zeros((0, 0), np.float32)
_HEADER = struct.Struct("<8sq?")
_UNREAD = -1
_NOBODY = b"\0" * 8
_ROOM = 16
"""Words that scores have room for at first."""


@dataclass(slots=True)
class LabelledWords:
    """What stands in a segment: the words, and what each tagger says of them."""

    encoded: Encoded
    scores: NDArray[np.float32]
    """(words or more, columns) as last computed, shared by what stands after each update of the segment; rows of words
    that were computed here. None are needed once the segment is closed."""
    heads: tuple[bytes, ...]
    """Records of all words (`encoder.heads.word_record`), of each tagger of the labeller, in its order."""
    void: tuple[bool, ...]
    """Of each tagger whether no label of this model stands: its records are zeros."""
    standing: StandingRead = UNKNOWN
    """How an open segment was read."""


def with_room(scores: NDArray[np.float32], words: int, columns: int) -> NDArray[np.float32]:
    """The same rows with room for so many words; it grows by half, so that a growing segment is seldom copied."""
    room = len(scores)
    if room >= words and room:
        return scores
    more = np.zeros((max(_ROOM, words, room * 3 // 2), columns), np.float32)
    if room:
        more[:room] = scores
    return more


def pack_words(words: LabelledWords, names: Sequence[str], fingerprint: bytes) -> dict[str, bytes]:
    """Write words down, for each tagger, for whoever has the model of that fingerprint (8 bytes); 22 bytes a word.

    Void ones are nobody's.
    """
    version, whole = words.standing
    version = _UNREAD if version is None else version
    return {
        name: _HEADER.pack(_NOBODY if void else fingerprint, version, whole) + head
        for name, head, void in zip(names, words.heads, words.void, strict=True)
    }


def unpack_words(
    encoded: Encoded, data: Mapping[str, bytes], names: Sequence[str], fingerprint: bytes
) -> LabelledWords:
    """Words as they were written down; void for a tagger if another model, or another text, wrote them, or none."""
    heads, void, standing = [], [], UNKNOWN
    nothing = bytes(encoded.words * SIZE)
    for name in names:
        kept = data.get(name, b"")
        found = _unpack(kept, len(nothing), fingerprint)
        heads.append(nothing if found is None else kept[_HEADER.size :])
        void.append(found is None)
        standing = found or standing  # all that are not void were written together
    return LabelledWords(encoded, NO_SCORES, tuple(heads), tuple(void), standing)


def _unpack(data: bytes, size: int, fingerprint: bytes) -> StandingRead | None:
    """How one tagger's labels were read; None: they are not of this model or text."""
    if len(data) != _HEADER.size + size:
        return None
    model, version, whole = _HEADER.unpack_from(data)
    if model != fingerprint:
        return None
    return StandingRead(None if version == _UNREAD else version, whole)
