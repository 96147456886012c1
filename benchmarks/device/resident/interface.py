"""The interface of the resident step: growing segments in, changed labels out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.restart.policies import RestartPolicy


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """One slot's part of a step: its segment is cut, grows, and is labelled from its policy's restart point on.

    Tokens and words are the segment's own, from 0. Before the segment lie the tokens that the slot holds (the closed
    context). A word that stands has the pieces that it had.
    """

    slot: int
    keep: int
    """Tokens of the segment that stand."""
    tokens: NDArray[np.int32]
    """(k,) tokens to append; n = keep + k."""
    kept_words: int
    """Words that stand: those that end within `keep` and have not changed."""
    ends: NDArray[np.int32]
    """(words - kept_words,) last token of each further word."""
    start: int = 0
    """Slot token at which the segment starts."""
    window: int = 0
    """First slot token that the tail sees."""
    whole: bool = False
    """Compute the whole segment together, as closing needs it, and ignore the policy."""

    @property
    def count(self) -> int:
        """n, the segment's tokens."""
        return self.keep + len(self.tokens)

    @property
    def words(self) -> int:
        """Words of the segment."""
        return self.kept_words + len(self.ends)


@dataclass(frozen=True, slots=True)
class DeviceFlips:
    """Words whose label changed, and labelled words that were decoded again; sorted, one element a word.

    All others stand, or are words that cut or new, and "O".
    """

    slot: NDArray[np.int32]
    head: NDArray[np.int32]
    word: NDArray[np.int32]
    label: NDArray[np.int32]
    probability: NDArray[np.float32]
    base: NDArray[np.float32]
    drift: NDArray[np.float32]
    moved: NDArray[np.bool_]
    """Whether the label changed; new words were "O" before."""
    computed: int
    """Tokens that went through the tail."""


class ResidentStep(Protocol):
    """Segments whose labels are kept on the device that computes them."""

    def begin(self, slot: int, policy: RestartPolicy) -> None:
        """Start an empty segment in an open slot.

        Raises:
            ValueError: the device does not support this kind of policy.
        """
        ...

    def step(self, requests: Sequence[SlotRequest]) -> DeviceFlips:
        """Run one step over many slots: at least one request, at most one a slot.

        Raises:
            OutOfPages: before anything is changed; evict a slot and try again.
            ValueError: a request breaks a rule; nothing is changed.
        """
        ...
