"""The words of one segment as the hybrid labeller holds them, and as bytes that another process can go on from.

Only what cannot be had again is written: labels as they stand, with probability, entropy and
stability. Words and pieces come from
the text; scores are read anew when they are next needed.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.session import Standing
from encoder.stability import Settled, stability_of
from encoder.tokenizer import Encoded

UNKNOWN = Standing(None, False)
_HEADER = struct.Struct("<8sq?")
_FIELDS = {"labels": "<u2", "probability": "<f4", "entropy": "<f4", "base": "<f4", "drift": "<f4", "seen": "<u4"}
_WORD = np.dtype(list(_FIELDS.items()))
_UNREAD = -1
_NOBODY = b"\0" * 8


@dataclass(slots=True)
class Words:
    """What stands in a segment, one element a word."""

    encoded: Encoded
    scores: NDArray[np.float32]  # (words, columns) as last computed; no row once the segment is closed or restored
    labels: NDArray[np.int32]  # (words,)
    probability: NDArray[np.float32]  # (words,)
    entropy: NDArray[np.float32]  # (words,)
    base: NDArray[np.float32]  # (words,) see `Settled`
    drift: NDArray[np.float32]  # (words,) see `Settled`
    seen: NDArray[np.int32]  # (words,) words of the segment when the word was computed
    standing: Standing = UNKNOWN
    """How an open segment was read."""
    void: bool = False
    """Whether no label of this model stands."""

    def stability(self, count: int, words: int) -> NDArray[np.float32]:
        """Give the stability of the first `count` words as it is once the segment has `words` words; (count,)."""
        unseen = np.maximum(words - self.seen[:count], 0)
        return stability_of(Settled(self.base[:count], self.drift[:count]), unseen)


def begin_words(encoded: Encoded, columns: int, *, scored: bool = True) -> Words:
    """Words of a text of which nothing is known yet; the encoder gives so many columns for each."""
    n = encoded.words
    scores = np.zeros((n if scored else 0, columns), np.float32)
    probability, entropy, base, drift = np.zeros((4, n), np.float32)
    return Words(encoded, scores, np.zeros(n, np.int32), probability, entropy, base, drift, np.zeros(n, np.int32))


def pack_words(words: Words, fingerprint: bytes) -> bytes:
    """Write words down for whoever has the model of that fingerprint (8 bytes); 22 bytes a word.

    Void ones are nobody's.
    """
    table = np.empty(len(words.labels), _WORD)
    for name in _FIELDS:
        table[name] = getattr(words, name)
    model = _NOBODY if words.void else fingerprint
    version, whole = words.standing
    return _HEADER.pack(model, _UNREAD if version is None else version, whole) + table.tobytes()


def unpack_words(encoded: Encoded, columns: int, data: bytes, fingerprint: bytes) -> Words:
    """Words as they were written down; void if another model, or another text, wrote them."""
    words = begin_words(encoded, columns, scored=False)
    model, version, whole = _HEADER.unpack_from(data) if len(data) >= _HEADER.size else (b"", _UNREAD, False)
    if model != fingerprint or len(data) != _HEADER.size + encoded.words * _WORD.itemsize:
        words.void = True
        return words
    table = np.frombuffer(data, _WORD, offset=_HEADER.size)
    for name in _FIELDS:
        getattr(words, name)[:] = table[name]
    words.standing = Standing(None if version == _UNREAD else version, whole)
    return words
