"""Text to words and word pieces, tokenising again only what a change can reach.

What a word is depends on the kind of tokenizer: `encoder.tokenizer.wordpiece` (BERT, DistilBERT, ELECTRA) or
`encoder.tokenizer.byte_bpe` (RoBERTa). For both there are *walls*, characters on both sides of which words and pieces
are independent, so a change reaches no further left than the wall before it. No special token is ever added or
recognised.
"""

import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encoder.tokenizer.base import SubwordModel, TokenizerError, Tokens
from encoder.tokenizer.byte_bpe import BytePair
from encoder.tokenizer.run_cache import RunCache
from encoder.tokenizer.wordpiece import WordPiece

__all__ = ["EMPTY", "Encoded", "IncrementalTokenizer", "TokenizerError", "common_prefix"]


class Encoded(NamedTuple):
    """A text in words and word pieces; offsets are code points, end exclusive."""

    text: str
    ids: NDArray[np.int32]  # (tokens,)
    word_start: NDArray[np.int32]  # (words,) first character
    word_end: NDArray[np.int32]  # (words,) end, exclusive
    word_token: NDArray[np.int32]  # (words + 1,) first token of each word, and the number of tokens
    room: "_GrowingArrays | None" = None
    """What the arrays are the beginning of."""

    @property
    def words(self) -> int:
        """Number of words."""
        return len(self.word_start)

    def word(self, index: int) -> str:
        """Characters of one word, as the text has them."""
        return self.text[self.word_start[index] : self.word_end[index]]


class _GrowingArrays:
    """Arrays that have room for more, so that a text that grows is seldom copied.

    What is in them is never changed. Of several texts that go on from one, only the first finds its room free.
    """

    __slots__ = ("ids", "tokens", "word_end", "word_start", "word_token", "words")

    def __init__(self, tokens: int, words: int) -> None:
        self.ids = np.empty(tokens, np.int32)
        self.word_start, self.word_end, self.word_token = np.zeros((3, words + 1), np.int32)
        self.tokens = self.words = 0
        """How much of it is taken."""

    def has(self, tokens: int, words: int) -> bool:
        """Whether there is room for so many."""
        return tokens <= len(self.ids) and words < len(self.word_token)

    def begin(self, before: Encoded, words: int, tokens: int) -> None:
        """Take over the first words and tokens of a text."""
        self.ids[:tokens] = before.ids[:tokens]
        self.word_start[:words] = before.word_start[:words]
        self.word_end[:words] = before.word_end[:words]
        self.word_token[: words + 1] = before.word_token[: words + 1]
        self.words, self.tokens = words, tokens

    def append(self, part: Tokens, skip: int, reach: int) -> None:
        """Put the words of `part`, which begins at character `reach`, behind what there is; the first `skip` are."""
        pieces, words, tokens = part.bounds[skip], self.words, self.tokens
        end = words + len(part.starts) - skip
        self.ids[tokens : tokens + len(part.ids) - pieces] = part.ids[pieces:]
        self.word_start[words:end] = [start + reach for start in part.starts[skip:]]
        self.word_end[words:end] = [x + reach for x in part.ends[skip:]]
        self.word_token[words + 1 : end + 1] = [bound + tokens - pieces for bound in part.bounds[skip + 1 :]]
        self.words, self.tokens = end, tokens + len(part.ids) - pieces


_SPARE = 16
"""Words and tokens that there is room for beyond half of what there is."""
_EMPTY_ARRAY = np.zeros(0, np.int32)
EMPTY = Encoded("", _EMPTY_ARRAY, _EMPTY_ARRAY, _EMPTY_ARRAY, np.zeros(1, np.int32))
"""The empty text: what a segment holds before its first update."""


class IncrementalTokenizer:
    """A tokenizer over a changing text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take a copy of `tokenizer`, with special tokens switched off.

        Raises:
            TokenizerError: neither BERT's WordPiece nor byte-level byte pairs, or one whose words look at their
                neighbours.
        """
        self._kind = choose_subword_model(tokenizer)
        self._runs = RunCache(self._kind)

    def starts_word(self) -> NDArray[np.bool_]:
        """(vocabulary,) true for pieces at which a left context may begin: they begin a word."""
        return self._kind.starts_word()

    def encode(self, text: str) -> Encoded:
        """Encode a text from scratch."""
        return _extend(EMPTY, 0, text, self._runs.cut(text), 0)[0]

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
        if reach == len(before.text) and is_wall(text[reach]):  # nothing of what stands is touched
            return _extend(before, len(before.word_start), text, self._runs.cut(text[reach:]), reach)
        while reach and not is_wall(text[reach - 1]):
            reach -= 1
        words = int(before.word_start.searchsorted(np.int32(reach)))
        return _extend(before, words, text, self._runs.cut(text[reach:]), reach)


def _extend(before: Encoded, words: int, text: str, part: Tokens, reach: int) -> tuple[Encoded, int, int]:
    """Keep the first `words` words of `before`; the rest is `part`, from character `reach` on. See `update`."""
    tokens, stood, held = int(before.word_token[words]), len(before.word_start), len(before.ids)
    same = _count_unchanged_words(before, words, part, reach)
    new_words, new_tokens = words + len(part.starts), tokens + len(part.ids)
    room = before.room
    if words + same < stood or room is None or room.words != stood or not room.has(new_tokens, new_words):
        more = words + same == stood  # it grows: it may grow on
        room = _GrowingArrays(
            new_tokens + more * (new_tokens // 2 + _SPARE), new_words + more * (new_words // 2 + _SPARE)
        )
        room.begin(before, words + same, tokens + part.bounds[same])
    room.append(part, same, reach)
    after = Encoded(
        text,
        room.ids[:new_tokens],
        room.word_start[:new_words],
        room.word_end[:new_words],
        room.word_token[: new_words + 1],
        room,
    )
    if words + same == stood and text.startswith(before.text):
        return after, stood, held
    return after, _first_changed_word(before, after, words), _common_ids(before, after, words + same)


def _count_unchanged_words(before: Encoded, words: int, part: Tokens, reach: int) -> int:
    """Words at the beginning of `part` that have place and pieces of the next words of `before`: mostly the last."""
    count, first = 0, int(before.word_token[words])
    for i in range(min(len(before.word_start) - words, len(part.starts))):
        word, a, b = words + i, part.bounds[i], part.bounds[i + 1]
        if (
            before.word_start[word] != part.starts[i] + reach
            or before.word_end[word] != part.ends[i] + reach
            or before.word_token[word + 1] != first + b
            or before.ids[first + a : first + b].tolist() != part.ids[a:b]
        ):
            break
        count += 1
    return count


def choose_subword_model(tokenizer: Tokenizer) -> SubwordModel:
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
