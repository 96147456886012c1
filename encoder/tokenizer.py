"""Text to words and word pieces, incrementally (stub: signatures stand, bodies follow)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text in words and word pieces; offsets are code points, end exclusive."""

    text: str
    ids: NDArray[np.int32]  # (tokens,)
    word_start: NDArray[np.int32]  # (words,) first character
    word_end: NDArray[np.int32]  # (words,) end, exclusive
    word_token: NDArray[np.int32]  # (words + 1,) first token of each word, and the number of tokens


class IncrementalTokenizer:
    """BERT's WordPiece that tokenises only what changed."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        raise NotImplementedError

    def encode(self, text: str) -> Encoded:
        """Encode a text from scratch."""
        raise NotImplementedError

    def update(self, before: Encoded, text: str) -> tuple[Encoded, int, int]:
        """Encode `text` given an earlier state of it: (new, first changed word, first changed token)."""
        raise NotImplementedError
