"""What the kinds of tokenizer share: how a text is cut into words, and words into pieces."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer


class TokenizerError(ValueError):
    """A tokenizer that cannot be used incrementally; the message says what is wrong."""


class Tokens(NamedTuple):
    """The words and pieces of a text, as lists: most updates bring a piece or two."""

    ids: list[int]
    bounds: list[int]
    """(words + 1,) first piece of each word, and the number of pieces."""
    starts: list[int]
    """(words,) first character of each word"""
    ends: list[int]
    """(words,) end of each word, exclusive"""


class SubwordModel(Protocol):
    """One kind of tokenizer. What lies on one side of a wall never changes what the other side is cut into."""

    def is_wall(self, character: str) -> bool:
        """Whether nothing in front of this character's end reaches behind it."""

    def cut(self, text: str) -> Tokens:
        """Cut a text that begins behind a wall."""

    def starts_word(self) -> NDArray[np.bool_]:
        """(vocabulary,) true for pieces at which a left context may begin."""


def make_plain_tokenizer(kinds: dict[str, Any], text: str) -> Tokenizer:
    """Make a tokenizer of its JSON that only cuts: no truncation, no padding, no special tokens in or out.

    Raises:
        TokenizerError: it has words of its own that are taken out of the text before it is cut.
    """
    added = [token["content"] for token in kinds.get("added_tokens") or [] if not token["special"]]
    if added:
        raise TokenizerError(f"tokenizer: added tokens reach over words ({', '.join(added[:5])}); use one without them")
    tokenizer = Tokenizer.from_str(text)
    tokenizer.encode_special_tokens = True  # a literal "[CLS]" in a text is ordinary text
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def first_tokens(word_ids: list[int | None]) -> list[int]:
    """First piece of each word, from the word of each piece."""
    return [i for i, word in enumerate(word_ids) if not i or word != word_ids[i - 1]]


def token_mask(vocabulary: dict[str, int], begins: list[int]) -> NDArray[np.bool_]:
    """(vocabulary,) true at `begins`."""
    table = np.zeros(max(vocabulary.values()) + 1, np.bool_)
    table[begins] = True
    return table
