"""Byte-level byte-pair encoding as RoBERTa has it: GPT-2's words and vocabulary.

White space splits a text into *runs*, and each run is split as if exactly one space stood before it, the first run of
the text too. So a run's tokens do not depend on what is around it, and white space is the only *boundary*. The result
is that of the tokenizer itself, with `add_prefix_space`, for a text whose runs are one space aencoded. Within a run a
*word* is what GPT-2's expression makes of it (Radford et al. 2019): letters, digits, signs, or an English contraction
such as "'s".

Every text can be spelled: there is no unknown token.
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
"""A space as the vocabulary writes it."""


class BytePair:
    """Subword model of RoBERTa."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Make the model of a tokenizer's JSON.

        Raises:
            TokenizerError: it does not use GPT-2's expression and bytes, or draws tokens at random.
        """
        model, before = spec["model"], spec["pre_tokenizer"]
        odd = [key for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix") if model.get(key)]
        if odd or not before.get("use_regex", True):
            raise TokenizerError(f"tokenizer: byte pairs must be as GPT-2 has them ({', '.join(odd) or 'use_regex'})")
        self.tokenizer = make_plain_tokenizer(spec, json.dumps(with_prefix_space(spec)))
        if not set(pre_tokenizers.ByteLevel.alphabet()) <= self.tokenizer.get_vocab().keys():
            raise TokenizerError(
                "tokenizer: the vocabulary lacks some of the 256 bytes, so not every text can be spelled"
            )

    def is_boundary(self, character: str) -> bool:
        """See `SubwordModel.is_boundary`."""
        return character.isspace()

    def starts_word(self) -> NDArray[np.bool_]:
        """See `SubwordModel.starts_word`: tokens that begin a run."""
        vocabulary = self.tokenizer.get_vocab()
        return token_mask(vocabulary, [i for token, i in vocabulary.items() if token.startswith(_SPACE)])

    def split(self, text: str) -> Tokens:
        """See `SubwordModel.split`."""
        runs = [(found.start(), found.group()) for found in _RUN.finditer(text)]
        if not runs:
            return Tokens([], [0], [], [])
        joined = " ".join(run for _, run in runs)
        encoded = self.tokenizer.encode(joined, add_special_tokens=False)
        begins = list(accumulate((len(run) + 1 for _, run in runs[:-1]), initial=0))  # of each run in `joined`
        moved = [start - begin for (start, _), begin in zip(runs, begins, strict=True)]
        first = first_tokens(encoded.word_ids)
        ids, offsets = encoded.ids, encoded.offsets  # each makes a list of all tokens
        bounds = [*first, len(ids)]
        starts, ends = [], []
        for i, after in zip(first, bounds[1:], strict=True):
            start = offsets[i][0]
            start += joined[start] == " "  # the space belongs to the token, not to the word
            shift = moved[bisect_right(begins, start) - 1]
            starts.append(start + shift)
            ends.append(offsets[after - 1][1] + shift)
        return Tokens(ids, bounds, starts, ends)


def with_prefix_space(spec: dict[str, Any]) -> dict[str, Any]:
    """Change a byte-pair tokenizer's JSON: first words are split like all others, and offsets are not trimmed."""
    return spec | {"pre_tokenizer": spec["pre_tokenizer"] | {"add_prefix_space": True}, "post_processor": None}
