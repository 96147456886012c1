"""What the subword models share: how a text is split into words, and words into tokens."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer


class TokenizerError(ValueError):
    """A tokenizer that cannot be used incrementally; the message says what is wrong."""


class Tokens(NamedTuple):
    """The words and tokens of a text, as lists, because most updates add a token or two."""

    ids: list[int]
    bounds: list[int]
    """(words + 1,) first token of each word, and the number of tokens."""
    starts: list[int]
    """(words,) first character of each word"""
    ends: list[int]
    """(words,) end of each word, exclusive"""


class SubwordModel(Protocol):
    """A kind of tokenizer. The text on one side of a boundary never changes the tokens on the other side."""

    def is_boundary(self, character: str) -> bool:
        """Whether nothing up to and including this character changes the tokens after it."""

    def split(self, text: str) -> Tokens:
        """Split a text that begins after a boundary."""

    def starts_word(self) -> NDArray[np.bool_]:
        """(vocabulary,) true for tokens at which a left context may begin."""


def make_plain_tokenizer(spec: dict[str, Any], text: str) -> Tokenizer:
    """Make a tokenizer without truncation, padding and special tokens.

    Args:
        spec: the JSON of the original tokenizer.
        text: the JSON of the tokenizer to make.

    Raises:
        TokenizerError: it has added tokens, which are taken out of the text before it is split.
    """
    added = [token["content"] for token in spec.get("added_tokens") or [] if not token["special"]]
    if added:
        raise TokenizerError(f"tokenizer: added tokens reach over words ({', '.join(added[:5])}); use one without them")
    tokenizer = Tokenizer.from_str(text)
    tokenizer.encode_special_tokens = True  # a literal "[CLS]" in a text is ordinary text
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def first_tokens(word_ids: list[int | None]) -> list[int]:
    """Give the first token of each word, from the word of each token."""
    return [i for i, word in enumerate(word_ids) if not i or word != word_ids[i - 1]]


def token_mask(vocabulary: dict[str, int], ids: list[int]) -> NDArray[np.bool_]:
    """Make a mask (vocabulary,) that is true at `ids`."""
    mask = np.zeros(max(vocabulary.values()) + 1, np.bool_)
    mask[ids] = True
    return mask
