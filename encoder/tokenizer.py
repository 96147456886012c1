"""Text to words and word pieces, tokenising again only what a change can reach.

What a word is depends on the kind of tokenizer: `encoder.wordpiece` (BERT, DistilBERT, ELECTRA) or `encoder.bytepair`
(RoBERTa). For both there are *walls*, characters on both sides of which words and pieces are independent, so a change
reaches no further left than the wall before it. No special token is ever added or recognised.
"""

import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encoder.bytepair import BytePair
from encoder.pieces import Kind, TokenizerError
from encoder.runs import Runs
from encoder.wordpiece import WordPiece

__all__ = ["EMPTY", "Encoded", "IncrementalTokenizer", "TokenizerError", "common_prefix"]


class Encoded(NamedTuple):
    """A text in words and word pieces; offsets are code points, end exclusive."""

    text: str
    ids: NDArray[np.int32]  # (tokens,)
    word_start: NDArray[np.int32]  # (words,) first character
    word_end: NDArray[np.int32]  # (words,) end, exclusive
    word_token: NDArray[np.int32]  # (words + 1,) first token of each word, and the number of tokens

    @property
    def words(self) -> int:
        """Number of words."""
        return len(self.word_start)

    def word(self, index: int) -> str:
        """Characters of one word, as the text has them."""
        return self.text[self.word_start[index] : self.word_end[index]]


EMPTY = Encoded("", *(np.zeros(n, np.int32) for n in (0, 0, 0, 1)))
"""The empty text: what a segment holds before its first update."""


class IncrementalTokenizer:
    """A tokenizer over a changing text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take a copy of `tokenizer`, with special tokens switched off.

        Raises:
            TokenizerError: neither BERT's WordPiece nor byte-level byte pairs, or one whose words look at their
                neighbours.
        """
        self._kind = choose_kind(tokenizer)
        self._runs = Runs(self._kind)

    def starts_word(self) -> NDArray[np.bool_]:
        """(vocabulary,) true for pieces at which a left context may begin: they begin a word."""
        return self._kind.starts_word()

    def encode(self, text: str) -> Encoded:
        """Encode a text from scratch."""
        return self._append(EMPTY, 0, text, 0)

    def update(self, before: Encoded, text: str) -> tuple[Encoded, int, int]:
        """Encode `text`, given an earlier state of it.

        Returns:
            The encoded text, equal to `encode(text)`; the first word whose characters or place changed (the smaller
            number of words if none did); and the first token that changed, likewise. Pieces can stand where the word
            changed: "rice" and "Rice" are the same pieces to an uncased tokenizer.
        """
        if text == before.text:
            return before, len(before.word_start), len(before.ids)
        reach, is_wall = common_prefix(before.text, text), self._kind.is_wall
        while reach and not is_wall(text[reach - 1]):
            reach -= 1
        words = int(before.word_start.searchsorted(reach))
        after = self._append(before, words, text, reach)
        return after, _first_changed_word(before, after, words), _common_ids(before, after, words)

    def _append(self, before: Encoded, words: int, text: str, reach: int) -> Encoded:
        """Keep the first `words` words of `before` and tokenise `text` from character `reach` on."""
        part = self._runs.cut(text[reach:])
        tokens = int(before.word_token[words])
        return Encoded(
            text,
            _extend(before.ids, tokens, part.ids),
            _extend(before.word_start, words, [start + reach for start in part.starts]),
            _extend(before.word_end, words, [end + reach for end in part.ends]),
            _extend(before.word_token, words, [bound + tokens for bound in part.bounds]),
        )


def choose_kind(tokenizer: Tokenizer) -> Kind:
    """Tell which kind of tokenizer this is.

    Raises:
        TokenizerError: see `IncrementalTokenizer`.
    """
    kinds = json.loads(tokenizer.to_str())
    found = [(kinds[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    if found == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        return WordPiece(kinds)
    if found == [None, "ByteLevel", "BPE"]:
        return BytePair(kinds)
    raise TokenizerError(
        "tokenizer: needs BERT's (BertNormalizer, BertPreTokenizer, WordPiece) or RoBERTa's (no normalizer, ByteLevel, "
        f"BPE), got {', '.join(map(str, found))}"
    )


def _extend(before: NDArray[np.int32], keep: int, new: list[int]) -> NDArray[np.int32]:
    """Put `new` behind the first `keep` elements."""
    after = np.empty(keep + len(new), np.int32)
    after[:keep] = before[:keep]
    after[keep:] = new
    return after


def common_prefix(a: str, b: str) -> int:
    """Length of the longest common prefix, by bisection over slices (which compare at memory speed)."""
    if b.startswith(a):
        return len(a)
    low, high = 0, min(len(a), len(b))
    if a.startswith(b):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_ids(before: Encoded, after: Encoded, words: int) -> int:
    """First token that differs, given that the first `words` words stand."""
    start, old, new = int(before.word_token[words]), len(before.ids), len(after.ids)
    length = min(old, new)
    if before.ids[start:length].tobytes() == after.ids[start:length].tobytes():
        return length
    return start + int((before.ids[start:length] != after.ids[start:length]).argmax())


def _first_changed_word(before: Encoded, after: Encoded, words: int) -> int:
    """First word that differs, given that the first `words` words stand."""
    most = min(len(before.word_start), len(after.word_start))
    while words < most and _same_word(before, after, words):
        words += 1
    return words


def _same_word(before: Encoded, after: Encoded, word: int) -> bool:
    """Whether a word has the same place and characters."""
    start, end = before.word_start[word], before.word_end[word]
    return bool(
        start == after.word_start[word]
        and end == after.word_end[word]
        and before.text[start:end] == after.text[start:end]
    )
