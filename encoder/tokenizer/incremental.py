"""Incremental tokenisation: after a change only the part of the text that the change can reach is split again.

What a word is depends on the subword model: `encoder.tokenizer.wordpiece` (BERT, DistilBERT, ELECTRA) or
`encoder.tokenizer.byte_bpe` (RoBERTa). Both have *boundaries*, characters on both sides of which words and tokens are
independent, so a change reaches no further left than the boundary before it. No special token is ever added or
recognised.
"""

import json
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encoder.tokenizer.base import SubwordModel, TokenizerError, Tokens
from encoder.tokenizer.byte_bpe import BytePair
from encoder.tokenizer.characters import replace_characters
from encoder.tokenizer.cleaning import clean_grown_text, spread_text
from encoder.tokenizer.disguises import undo_disguises
from encoder.tokenizer.reading import subword_kind
from encoder.tokenizer.run_cache import RunCache
from encoder.tokenizer.wordpiece import WordPiece

__all__ = ["EMPTY", "Encoded", "IncrementalTokenizer", "TokenizerError", "common_prefix"]


class Encoded(NamedTuple):
    """A text with its words and tokens; offsets are code points, end exclusive."""

    text: str
    ids: NDArray[np.int32]  # (tokens,)
    word_start: NDArray[np.int32]  # (words,) first character
    word_end: NDArray[np.int32]  # (words,) end, exclusive
    word_token: NDArray[np.int32]  # (words + 1,) first token of each word, and the number of tokens
    buffer: "_GrowingArrays | None" = None
    """The buffer whose beginning the arrays are."""
    cleaned: str = ""
    """The text as the model sees it, character for character (`encoder.tokenizer.cleaning`)."""
    replaced: str = ""
    """The text with its characters replaced, before disguises are undone."""

    @property
    def words(self) -> int:
        """Number of words."""
        return len(self.word_start)

    def continues(self, before: "Encoded") -> bool:
        """Tell whether the text is an earlier one with more behind it, and none of that is read in another way now."""
        return self.text.startswith(before.text) and self.cleaned.startswith(before.cleaned)


class _GrowingArrays:
    """Append-only arrays with spare capacity, so that a growing text is seldom copied.

    Elements that were written are never changed. If several texts continue the same one, only the first can append.
    """

    __slots__ = ("ids", "tokens", "word_end", "word_start", "word_token", "words")

    def __init__(self, tokens: int, words: int) -> None:
        self.ids = np.empty(tokens, np.int32)
        self.word_start, self.word_end, self.word_token = np.zeros((3, words + 1), np.int32)
        self.tokens = self.words = 0
        """Elements in use."""

    def fits(self, tokens: int, words: int) -> bool:
        """Whether the arrays hold that many."""
        return tokens <= len(self.ids) and words < len(self.word_token)

    def copy_from(self, before: Encoded, words: int, tokens: int) -> None:
        """Copy the first words and tokens of a text."""
        self.ids[:tokens] = before.ids[:tokens]
        self.word_start[:words] = before.word_start[:words]
        self.word_end[:words] = before.word_end[:words]
        self.word_token[: words + 1] = before.word_token[: words + 1]
        self.words, self.tokens = words, tokens

    def append(self, part: Tokens, skip: int, start: int) -> None:
        """Append the words of `part`, which begins at character `start`, without its first `skip` words."""
        skipped, words, tokens = part.bounds[skip], self.words, self.tokens
        end = words + len(part.starts) - skip
        if end == words + 1 and len(part.ids) == skipped + 1:  # nearly always: quicker than slices
            self.ids[tokens] = part.ids[skipped]
            self.word_start[words], self.word_end[words] = part.starts[skip] + start, part.ends[skip] + start
            self.word_token[end] = self.tokens = tokens + 1
            self.words = end
            return
        self.ids[tokens : tokens + len(part.ids) - skipped] = part.ids[skipped:]
        self.word_start[words:end] = [x + start for x in part.starts[skip:]]
        self.word_end[words:end] = [x + start for x in part.ends[skip:]]
        self.word_token[words + 1 : end + 1] = [bound + tokens - skipped for bound in part.bounds[skip + 1 :]]
        self.words, self.tokens = end, tokens + len(part.ids) - skipped


_Texts = tuple[str, str, str]
"""A text, with its characters replaced, and cleaned."""
_SLICE = 4096
"""Characters that `update_in_slices` splits at once, and then on to the next boundary: about 5 ms."""
_SPARE = 16
"""Spare words and tokens of a growing text, beyond half of those it has."""
_EMPTY_ARRAY = np.zeros(0, np.int32)
EMPTY = Encoded("", _EMPTY_ARRAY, _EMPTY_ARRAY, _EMPTY_ARRAY, np.zeros(1, np.int32))
"""The empty text: a segment before its first update."""


class IncrementalTokenizer:
    """A tokenizer of changing texts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Copy `tokenizer`, with special tokens switched off.

        Raises:
            TokenizerError: it is neither BERT's WordPiece nor byte-level BPE, or the tokens of a word depend on its
                neighbours.
        """
        self._model = choose_subword_model(tokenizer)
        self._runs = RunCache(self._model)

    def starts_word(self) -> NDArray[np.bool_]:
        """(vocabulary,) true for tokens at which a left context may begin, because they begin a word."""
        return self._model.starts_word()

    def encode(self, text: str) -> Encoded:
        """Encode a text from scratch."""
        replaced = replace_characters(text)
        cleaned = undo_disguises(replaced)
        return _extend(EMPTY, 0, (text, replaced, cleaned), self._split(cleaned), 0)[0]

    def update(self, before: Encoded, text: str) -> tuple[Encoded, int, int]:
        """Encode `text`, given an earlier version of it.

        Returns:
            The encoded text, equal to `encode(text)`; the first word whose characters (as received or as cleaned) or
            place changed (the smaller number of words if none did); and likewise the first token that changed. Tokens
            can stay the same where the word changed: "rice" and "Rice" are the same tokens to an uncased tokenizer.
        """
        if text == before.text:
            return before, len(before.word_start), len(before.ids)
        if text.isascii() and before.cleaned is before.text and text.startswith(before.text):
            start = len(before.text)
            part = self._runs.split_appended(text[start:])
            if part is not None:
                words = len(before.word_start)
                return _append(before, words, (text, text, text), part, start, 0), words, len(before.ids)
        whole, words, start = self._first_split(before, text)
        return _extend(before, words, whole, self._split(whole[2][start:]), start)

    def update_in_slices(self, before: Encoded, text: str) -> Generator[None, None, tuple[Encoded, int, int]]:
        """Do what `update` does, slice by slice: a generator that yields between slices and returns the same."""
        if text == before.text:
            return before, len(before.word_start), len(before.ids)
        whole, words, start = self._first_split(before, text)
        cleaned, after, known, is_one = whole[2], before, words, True
        end = self._slice_end(cleaned, start)
        while end < len(text):
            part = self._split(cleaned[start:end])
            after, _, _ = _extend(after, known, (text[:end], whole[1][:end], cleaned[:end]), part, start)
            known, start, end, is_one = len(after.word_start), end, self._slice_end(cleaned, end), False
            yield
        after, word, token = _extend(after, known, whole, self._split(cleaned[start:]), start)
        return (after, word, token) if is_one else (after, *_first_changes(before, after, words))

    def _first_split(self, before: Encoded, text: str) -> tuple[_Texts, int, int]:
        """Clean `text`; give the words of `before` that it cannot reach, and the first character to split again."""
        start, is_boundary = common_prefix(before.text, text), self._model.is_boundary
        replaced, common = replace_characters(text), start
        if replaced is not text or before.replaced is not before.text:  # what follows can change what is replaced
            common = min(start, common_prefix(before.replaced, replaced))
        cleaned = clean_grown_text(replaced, before.cleaned, common, before.cleaned is before.replaced)
        whole = (text, replaced, cleaned)
        if cleaned is not text or before.cleaned is not before.text:  # and how a text is cleaned
            start = min(start, common_prefix(before.cleaned, cleaned))
        if start == len(before.text) and is_boundary(cleaned[start]):  # the change reaches no standing token
            return whole, len(before.word_start), start
        while start and not is_boundary(cleaned[start - 1]):
            start -= 1
        return whole, int(before.word_start.searchsorted(np.int32(start))), start

    def _slice_end(self, cleaned: str, start: int) -> int:
        """Give the end of the slice that begins at `start`: after a boundary, or the end of the text."""
        end = start + _SLICE
        while end < len(cleaned) and not self._model.is_boundary(cleaned[end - 1]):
            end += 1
        return min(end, len(cleaned))

    def _split(self, cleaned: str) -> Tokens:
        """Split a cleaned text that begins after a boundary."""
        spread = spread_text(cleaned)
        if spread is None:
            return self._runs.split(cleaned)
        text, places = spread
        ids, bounds, starts, ends = self._runs.split(text)
        return Tokens(ids, bounds, [places[start] for start in starts], [places[end - 1] + 1 for end in ends])


def _extend(before: Encoded, words: int, whole: _Texts, part: Tokens, start: int) -> tuple[Encoded, int, int]:
    """Keep the first `words` words of `before`; `part`, from character `start` on, is the rest. See `update`."""
    text, _, cleaned = whole
    stood = len(before.word_start)
    same = _count_unchanged_words(before, words, part, start)
    after = _append(before, words, whole, part, start, same)
    is_plain = cleaned is text and before.cleaned is before.text
    if words + same == stood and text.startswith(before.text) and (is_plain or cleaned.startswith(before.cleaned)):
        return after, stood, len(before.ids)
    return after, _first_changed_word(before, after, words), _common_ids(before, after, words + same)


def _append(before: Encoded, words: int, whole: _Texts, part: Tokens, start: int, same: int) -> Encoded:
    """Keep the first `words` words of `before`; the first `same` of `part`, from character `start` on, are its next."""
    tokens, stood = int(before.word_token[words]), len(before.word_start)
    new_words, new_tokens = words + len(part.starts), tokens + len(part.ids)
    buffer = before.buffer
    if words + same < stood or buffer is None or buffer.words != stood or not buffer.fits(new_tokens, new_words):
        more = words + same == stood  # a text that grew will probably grow further
        buffer = _GrowingArrays(
            new_tokens + more * (new_tokens // 2 + _SPARE), new_words + more * (new_words // 2 + _SPARE)
        )
        buffer.copy_from(before, words + same, tokens + part.bounds[same])
    buffer.append(part, same, start)
    text, replaced, cleaned = whole
    return Encoded(
        text,
        buffer.ids[:new_tokens],
        buffer.word_start[:new_words],
        buffer.word_end[:new_words],
        buffer.word_token[: new_words + 1],
        buffer,
        cleaned,
        replaced,
    )


def _count_unchanged_words(before: Encoded, words: int, part: Tokens, start: int) -> int:
    """Count the first words of `part` with the place and tokens of the next words of `before`."""
    count, first = 0, int(before.word_token[words])
    for i in range(min(len(before.word_start) - words, len(part.starts))):
        word, a, b = words + i, part.bounds[i], part.bounds[i + 1]
        if (
            before.word_start[word] != part.starts[i] + start
            or before.word_end[word] != part.ends[i] + start
            or before.word_token[word + 1] != first + b
            or before.ids[first + a : first + b].tolist() != part.ids[a:b]
        ):
            break
        count += 1
    return count


def choose_subword_model(tokenizer: Tokenizer) -> SubwordModel:
    """Make the subword model of a tokenizer.

    Raises:
        TokenizerError: see `IncrementalTokenizer`.
    """
    spec = json.loads(tokenizer.to_str())
    return WordPiece(spec) if subword_kind(spec) == "WordPiece" else BytePair(spec)


def common_prefix(a: str, b: str) -> int:
    """Give the length of the longest common prefix, by bisection over slices (which compare at memory speed)."""
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
    """Give the first token that differs, given that the first `words` words are the same."""
    start, old, new = int(before.word_token[words]), len(before.ids), len(after.ids)
    length = min(old, new)
    if before.ids[start:length].tobytes() == after.ids[start:length].tobytes():
        return length
    return start + int((before.ids[start:length] != after.ids[start:length]).argmax())


def _first_changes(before: Encoded, after: Encoded, words: int) -> tuple[int, int]:
    """Give the first word and the first token that changed, given that the first `words` words are the same."""
    stood, held = len(before.word_start), len(before.ids)
    pairs = [(before.ids, after.ids[:held]), (before.word_token[1:], after.word_token[1 : stood + 1])]
    pairs += [(before.word_start, after.word_start[:stood]), (before.word_end, after.word_end[:stood])]
    if after.text.startswith(before.text) and all(np.array_equal(a, b) for a, b in pairs):
        return stood, held
    return _first_changed_word(before, after, words), _common_ids(before, after, words)


def _first_changed_word(before: Encoded, after: Encoded, words: int) -> int:
    """Give the first word that differs, given that the first `words` words are the same."""
    most = min(len(before.word_start), len(after.word_start))
    while words < most and _same_word(before, after, words):
        words += 1
    return words


def _same_word(before: Encoded, after: Encoded, word: int) -> bool:
    """Whether a word has the same place and characters, as received and as cleaned."""
    start, end = before.word_start[word], before.word_end[word]
    return bool(
        start == after.word_start[word]
        and end == after.word_end[word]
        and before.text[start:end] == after.text[start:end]
        and before.cleaned[start:end] == after.cleaned[start:end]
    )
