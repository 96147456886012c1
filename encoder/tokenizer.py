"""Text to words and word pieces, tokenising again only what a change can reach.

A *word* is BERT's basic token: a run of characters that are neither space nor punctuation, or one punctuation
character; CJK characters stand alone. Words are cut into pieces one by one (WordPiece), so a change reaches no further
left than the start of the run it touches: whitespace, ASCII punctuation and CJK characters are *walls* on both sides
of which normalisation, splitting and pieces are independent. No special token is ever added or recognised.

A word that the normaliser leaves nothing of (only control, zero-width or combining characters) is no word at all; one
that the vocabulary cannot spell, or a very long one, is the single piece [UNK].
"""

import json
import string
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

_SPACES = "\t\n\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_WALLS = frozenset(_SPACES + string.punctuation)
_CJK = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0xF900, 0xFAFF))


class TokenizerError(ValueError):
    """A tokenizer that cannot be used incrementally; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Encoded:
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
    """BERT's WordPiece over a changing text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take a copy of `tokenizer`, with special tokens switched off.

        Raises:
            TokenizerError: not a BERT WordPiece tokenizer, whose words do not look at their neighbours.
        """
        kinds = json.loads(tokenizer.to_str())
        found = [(kinds[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
        if found != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
            raise TokenizerError(f"tokenizer: needs BERT's normalizer, pre-tokenizer and WordPiece, got {found}")
        if not kinds["normalizer"]["handle_chinese_chars"]:
            raise TokenizerError("tokenizer: handle_chinese_chars must be true, CJK characters stand alone")
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.encode_special_tokens = True  # a literal "[CLS]" in a text is ordinary text
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def starts_word(self) -> NDArray[np.bool_]:
        """(vocabulary,) true for pieces that begin a word."""
        vocabulary = self._tokenizer.get_vocab()
        table = np.ones(max(vocabulary.values()) + 1, np.bool_)
        table[[i for piece, i in vocabulary.items() if piece.startswith("##")]] = False
        return table

    def encode(self, text: str) -> Encoded:
        """Encode a text from scratch."""
        return self._append(EMPTY, 0, text, 0)

    def update(self, before: Encoded, text: str) -> tuple[Encoded, int, int]:
        """Encode `text`, given an earlier state of it.

        Returns:
            The encoded text, equal to `encode(text)`; the first word whose characters, place or pieces changed (the
            smaller number of words if none did); and the first token that changed, likewise. Pieces can stand where
            the word changed: "rice" and "Rice" are the same pieces to an uncased tokenizer.
        """
        if text == before.text:
            return before, before.words, len(before.ids)
        reach = common_prefix(before.text, text)
        while reach and not _is_wall(text[reach - 1]):
            reach -= 1
        words = int(before.word_start.searchsorted(reach))
        after = self._append(before, words, text, reach)
        return after, _first_changed_word(before, after, words), _common_ids(before, after, words)

    def _append(self, before: Encoded, words: int, text: str, reach: int) -> Encoded:
        """Keep the first `words` words of `before` and tokenise `text` from character `reach` on."""
        part = self._tokenizer.encode(text[reach:], add_special_tokens=False)
        tokens = int(before.word_token[words])
        ids, offsets, word_ids = part.ids, part.offsets, part.word_ids  # lists: most updates bring a piece or two
        first = [i for i, word in enumerate(word_ids) if not i or word != word_ids[i - 1]]
        bounds = [*first, len(ids)]
        starts = [offsets[i][0] + reach for i in first]
        limits = [*starts[1:], len(text)]
        ends = [_with_marks(text, offsets[i - 1][1] + reach, limits[j]) for j, i in enumerate(bounds[1:])]
        return Encoded(
            text,
            _extend(before.ids, tokens, ids),
            _extend(before.word_start, words, starts),
            _extend(before.word_end, words, ends),
            _extend(before.word_token, words, [bound + tokens for bound in bounds]),
        )


def _extend(before: NDArray[np.int32], keep: int, new: list[int]) -> NDArray[np.int32]:
    """Put `new` behind the first `keep` elements."""
    after = np.empty(keep + len(new), np.int32)
    after[:keep] = before[:keep]
    after[keep:] = new
    return after


def common_prefix(a: str, b: str) -> int:
    """Length of the longest common prefix, by bisection over slices (which compare at memory speed)."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_wall(character: str) -> bool:
    return character in _WALLS or (character >= "\u3400" and any(a <= ord(character) <= b for a, b in _CJK))


def _with_marks(text: str, end: int, limit: int) -> int:
    """Move a word's end over the combining marks that the normaliser dropped: they belong to its last character."""
    if end < limit and text[end] > "\u02ff" and not _is_wall(text[end - 1]):
        while end < limit and unicodedata.category(text[end])[0] == "M":
            end += 1
    return end


def _common_ids(before: Encoded, after: Encoded, words: int) -> int:
    """First token that differs, given that the first `words` words stand."""
    start = int(before.word_token[words])
    length = min(len(before.ids), len(after.ids))
    changed = before.ids[start:length] != after.ids[start:length]
    return start + int(changed.argmax()) if changed.any() else length


def _first_changed_word(before: Encoded, after: Encoded, words: int) -> int:
    """First word that differs, given that the first `words` words stand."""
    most = min(before.words, after.words)
    while words < most and _same_word(before, after, words):
        words += 1
    return words


def _same_word(before: Encoded, after: Encoded, word: int) -> bool:
    """Whether a word has the same place, characters and pieces."""
    a, b = before.word_token[word : word + 2], after.word_token[word : word + 2]
    return bool(
        before.word_start[word] == after.word_start[word]
        and before.word(word) == after.word(word)
        and np.array_equal(before.ids[a[0] : a[1]], after.ids[b[0] : b[1]])
    )
