"""GPT-2's words and byte-level byte pairs, as RoBERTa has them.

White space cuts a text into *runs*, and every run is cut as if exactly one space stood before it, the first of the text
too: so a run's pieces do not depend on what is around it, and white space is the only *wall*. It is what the tokenizer
itself makes, with `add_prefix_space`, of a text whose runs are one space apart. Within a run a *word* is what GPT-2's
expression makes of it (Radford et al. 2019): letters, digits, signs, or an English contraction such as "'s".

Every text can be spelled: there is no unknown piece.
"""

import json
import re
from bisect import bisect_right
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import pre_tokenizers

from encoder.tokenizer.base import TokenizerError, Tokens, first_tokens, make_plain_tokenizer, token_mask

_RUN = re.compile(r"\S+")
_SPACE = "\u0120"
"""How a space is written in the vocabulary."""


class BytePair:
    """`Kind` of RoBERTa."""

    def __init__(self, kinds: dict[str, Any]) -> None:
        """Take a tokenizer's JSON.

        Raises:
            TokenizerError: not GPT-2's expression and bytes, or pieces that are drawn at random.
        """
        model, before = kinds["model"], kinds["pre_tokenizer"]
        odd = [key for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix") if model.get(key)]
        if odd or not before.get("use_regex", True):
            raise TokenizerError(f"tokenizer: byte pairs must be as GPT-2 has them ({', '.join(odd) or 'use_regex'})")
        self.tokenizer = make_plain_tokenizer(kinds, json.dumps(with_prefix_space(kinds)))
        if not set(pre_tokenizers.ByteLevel.alphabet()) <= self.tokenizer.get_vocab().keys():
            raise TokenizerError(
                "tokenizer: the vocabulary lacks some of the 256 bytes, so not every text can be spelled"
            )

    def is_wall(self, character: str) -> bool:
        """See `Kind.is_wall`."""
        return character.isspace()

    def starts_word(self) -> NDArray[np.bool_]:
        """See `Kind.starts_word`: pieces that begin a run."""
        vocabulary = self.tokenizer.get_vocab()
        return token_mask(vocabulary, [i for piece, i in vocabulary.items() if piece.startswith(_SPACE)])

    def cut(self, text: str) -> Tokens:
        """See `Kind.cut`."""
        runs = [(found.start(), found.group()) for found in _RUN.finditer(text)]
        if not runs:
            return Tokens([], [0], [], [])
        joined = " ".join(run for _, run in runs)
        part = self.tokenizer.encode(joined, add_special_tokens=False)
        begins = list(accumulate((len(run) + 1 for _, run in runs[:-1]), initial=0))  # of each run in `joined`
        moved = [start - begin for (start, _), begin in zip(runs, begins, strict=True)]
        first = first_tokens(part.word_ids)
        bounds = [*first, len(part.ids)]
        starts, ends = [], []
        for i, behind in zip(first, bounds[1:], strict=True):
            start = part.offsets[i][0]
            start += joined[start] == " "  # it belongs to the piece, not to the word
            shift = moved[bisect_right(begins, start) - 1]
            starts.append(start + shift)
            ends.append(part.offsets[behind - 1][1] + shift)
        return Tokens(part.ids, bounds, starts, ends)


def with_prefix_space(kinds: dict[str, Any]) -> dict[str, Any]:
    """Give a byte-pair tokenizer's JSON with the one rule for first words, and with offsets left alone."""
    return kinds | {"pre_tokenizer": kinds["pre_tokenizer"] | {"add_prefix_space": True}, "post_processor": None}
