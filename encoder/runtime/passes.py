"""Passes: what one step of the encoder computes, slot by slot."""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.runtime.packed_rows import IntArray


class OutOfPages(Exception):
    """There are too few free pages for these passes; nothing has been changed. Evict a slot and try again."""


class WordsToRead(msgspec.Struct, frozen=True, eq=False):
    """The last words of a segment, whose labels an encoder that reads words (`Encoder.reads_words`) gives."""

    last: IntArray
    """(w,) last slot token of each word, rising; the pass computes all of them"""
    before: IntArray
    """(heads,) standing label of the word before them, or `encoder.heads.viterbi.NO_LABEL`"""


class Pass(msgspec.Struct, frozen=True, eq=False):
    """One slot's part of one step: cut, append, and compute the tail from a restart point on."""

    slot: int
    keep: int
    """The slot is first cut to its first `keep` tokens; 0 <= keep <= length."""
    tokens: IntArray
    """(k,) int32 token ids to append, k >= 0; n = keep + k is the new length."""
    window: int
    """First token whose standing state the tail may see; n - window <= W. The states before it are given up."""
    restart: int
    """First token that the tail computes, window <= restart <= keep; or n to compute nothing."""
    words: WordsToRead | None = None
    """Words to read; None: none, or the caller reads them from the scores."""


@dataclass(frozen=True, slots=True)
class PassPlan:
    """Checked passes of one step, in the form that the kernels read."""

    requests: NDArray[np.int64]
    """(N, 5) slot, keep, count, window, restart"""
    tokens: IntArray
    """(T,) appended tokens of all passes"""
    new_pages: int
    """Pages that they take beyond those that they give back."""
