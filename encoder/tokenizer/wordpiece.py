"""WordPiece with BERT's words.

A *word* is BERT's basic token: a run of characters that are neither space nor punctuation, or one punctuation
character; CJK characters stand alone. Words are split into tokens one by one (WordPiece), so a change reaches no
further left than the start of the run it touches: white space, ASCII punctuation and CJK characters are *boundaries*,
on both sides of which normalisation, splitting and tokens are independent.

A word of which the normaliser leaves nothing (only control, zero-width or combining characters) is no word at all. One
that the vocabulary cannot spell, or a very long one, is the single token [UNK].
"""

import json
import string
import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.tokenizer.base import TokenizerError, Tokens, first_tokens, make_plain_tokenizer, token_mask

_SPACES = "\t\n\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_BOUNDARIES = frozenset(_SPACES + string.punctuation)
_CJK = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0xF900, 0xFAFF))


class WordPiece:
    """Subword model of BERT, DistilBERT and ELECTRA."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Make the model of a tokenizer's JSON.

        Raises:
            TokenizerError: the tokens of a word depend on its neighbours.
        """
        if not spec["normalizer"]["handle_chinese_chars"]:
            raise TokenizerError("tokenizer: handle_chinese_chars must be true, CJK characters stand alone")
        self.tokenizer = make_plain_tokenizer(spec, json.dumps(spec))

    def is_boundary(self, character: str) -> bool:
        """See `SubwordModel.is_boundary`."""
        return _is_boundary(character)

    def starts_word(self) -> NDArray[np.bool_]:
        """See `SubwordModel.starts_word`."""
        vocabulary = self.tokenizer.get_vocab()
        return token_mask(vocabulary, [i for token, i in vocabulary.items() if not token.startswith("##")])

    def split(self, text: str) -> Tokens:
        """See `SubwordModel.split`."""
        encoded = self.tokenizer.encode(text, add_special_tokens=False)
        ids, offsets = encoded.ids, encoded.offsets
        first = first_tokens(encoded.word_ids)
        bounds = [*first, len(ids)]
        starts = [offsets[i][0] for i in first]
        limits = [*starts[1:], len(text)]
        ends = [_with_marks(text, offsets[i - 1][1], limits[j]) for j, i in enumerate(bounds[1:])]
        return Tokens(ids, bounds, starts, ends)


def _is_boundary(character: str) -> bool:
    return character in _BOUNDARIES or (character >= "\u3400" and any(a <= ord(character) <= b for a, b in _CJK))


def _with_marks(text: str, end: int, limit: int) -> int:
    """Move a word's end past the combining marks that the normaliser dropped: they belong to its last character."""
    if end < limit and text[end] > "\u02ff" and not _is_boundary(text[end - 1]):
        while end < limit and unicodedata.category(text[end])[0] == "M":
            end += 1
    return end
