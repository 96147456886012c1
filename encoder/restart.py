"""Restart policies: from which word on labels are read anew (stub: signatures stand, bodies follow)."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class PolicyError(ValueError):
    """A policy that cannot be parsed; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in an open segment before new words are computed: one element a standing (unchanged) word."""

    entropy: NDArray[np.float32]  # (words,)
    probability: NDArray[np.float32]  # (words,)


class RestartPolicy(Protocol):
    """Standing words in, restart point out."""

    def point(self, standing: Standing) -> int:
        """Word from which the tail is to be computed, 0..words (words: append only); the caller clamps it."""
        ...


def parse_policy(text: str) -> RestartPolicy:
    """Parse `always`, `never`, `last:K` or `entropy:T`.

    Raises:
        PolicyError: anything else.
    """
    raise NotImplementedError
