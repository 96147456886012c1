"""Packed rows: the tokens of many sequences one after the other in (T, H), without padding."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Metadata of the packed rows of one ragged pass, int32, built once a step.

    Rows starts[s] .. starts[s+1]-1 belong to sequence s and are consecutive tokens.
    """

    slots: IntArray
    """(S,) table row of each sequence"""
    starts: IntArray
    """(S + 1,) row offsets"""
    position: IntArray
    """(T,) index of the token in its sequence"""
    first: IntArray
    """(T,) first key the token sees"""
    last: IntArray
    """(T,) last key the token sees"""

    def __len__(self) -> int:
        return len(self.position)
