"""The words of one segment as the hybrid labeller holds them, and as bytes that another process can go on from.

Only what cannot be had again is written, for each tagger: labels as they stand, with probability, entropy and
stability. Words and pieces come from the text; scores are read anew when they are next needed.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.session import Standing
from encoder.stability import Settled, stability_of
from encoder.tokenizer import Encoded

UNKNOWN = Standing(None, False)
UNREAD_WORDS = b"\0"
"""Written for a tagger that has yet to read the segment."""
_HEADER = struct.Struct("<8sq?")
_FIELDS = {"labels": "<u2", "probability": "<f4", "entropy": "<f4", "base": "<f4", "drift": "<f4", "seen": "<u4"}
_WORD = np.dtype(list(_FIELDS.items()))
_UNREAD = -1
_NOBODY = b"\0" * 8


@dataclass(slots=True)
class Labels:
    """What stands in a segment for one tagger, one element a word."""

    labels: NDArray[np.int32]  # (words,)
    probability: NDArray[np.float32]  # (words,)
    entropy: NDArray[np.float32]  # (words,)
    base: NDArray[np.float32]  # (words,) see `Settled`
    drift: NDArray[np.float32]  # (words,) see `Settled`
    seen: NDArray[np.int32]  # (words,) words of the segment when the word was computed
    void: bool = False
    """Whether no label of this model stands."""

    def stability(self, count: int, words: int) -> NDArray[np.float32]:
        """Give the stability of the first `count` words as it is once the segment has `words` words; (count,)."""
        unseen = np.maximum(words - self.seen[:count], 0)
        return stability_of(Settled(self.base[:count], self.drift[:count]), unseen)

    def take(self, before: "Labels", count: int) -> None:
        """Let the labels of the first `count` words stand as they were before."""
        for name in _FIELDS:
            getattr(self, name)[:count] = getattr(before, name)[:count]


@dataclass(slots=True)
class Words:
    """What stands in a segment: the words, and what each tagger says of them."""

    encoded: Encoded
    scores: NDArray[np.float32]  # (words, columns) as last computed; no row once the segment is closed or restored
    heads: tuple[Labels, ...]
    """One for each tagger of the labeller, in its order."""
    standing: Standing = UNKNOWN
    """How an open segment was read."""

    @property
    def void(self) -> bool:
        """Whether some tagger has yet to read it."""
        return any(x.void for x in self.heads)


def begin_words(encoded: Encoded, columns: int, heads: int, *, scored: bool = True) -> Words:
    """Words of a text of which nothing is known yet; the encoder gives so many columns for each, of so many heads."""
    n = encoded.words
    return Words(encoded, np.zeros((n if scored else 0, columns), np.float32), tuple(_begin(n) for _ in range(heads)))


def _begin(words: int) -> Labels:
    probability, entropy, base, drift = np.zeros((4, words), np.float32)
    return Labels(np.zeros(words, np.int32), probability, entropy, base, drift, np.zeros(words, np.int32))


def pack_words(words: Words, names: Sequence[str], fingerprint: bytes) -> dict[str, bytes]:
    """Write words down, for each tagger, for whoever has the model of that fingerprint (8 bytes); 22 bytes a word.

    Void ones are nobody's.
    """
    version, whole = words.standing
    found = {}
    for name, head in zip(names, words.heads, strict=True):
        table = np.empty(len(head.labels), _WORD)
        for field in _FIELDS:
            table[field] = getattr(head, field)
        model = _NOBODY if head.void else fingerprint
        found[name] = _HEADER.pack(model, _UNREAD if version is None else version, whole) + table.tobytes()
    return found


def unpack_words(
    encoded: Encoded, columns: int, data: Mapping[str, bytes], names: Sequence[str], fingerprint: bytes
) -> Words:
    """Words as they were written down; void for a tagger if another model, or another text, wrote them, or none."""
    words = begin_words(encoded, columns, len(names), scored=False)
    for name, head in zip(names, words.heads, strict=True):
        standing = _unpack(head, data.get(name, b""), fingerprint)
        head.void = standing is None
        words.standing = standing or words.standing  # all that are not void were written together
    return words


def _unpack(head: Labels, data: bytes, fingerprint: bytes) -> Standing | None:
    """Read one tagger's labels; None: they are not of this model or text."""
    if len(data) != _HEADER.size + len(head.labels) * _WORD.itemsize:
        return None
    model, version, whole = _HEADER.unpack_from(data)
    if model != fingerprint:
        return None
    table = np.frombuffer(data, _WORD, offset=_HEADER.size)
    for field in _FIELDS:
        getattr(head, field)[:] = table[field]
    return Standing(None if version == _UNREAD else version, whole)
