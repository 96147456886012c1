"""What sessions need of an encoder: `encoder.runtime.encoder` on the CPU, `encoder.runtime.gpu.encoder` on a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from encoder.model.config import HybridConfig
from encoder.model.number_types import Numbers
from encoder.runtime.passes import Pass


@dataclass(frozen=True, slots=True)
class Scores:
    """Label scores of all computed tokens of one step, packed."""

    logits: NDArray[np.float32]
    """(N, columns) rows of tokens restart .. n-1 of each pass, in order of the passes; see `HybridConfig.columns`"""
    starts: NDArray[np.int64]
    """(passes + 1,) row offsets"""


class Encoder(Protocol):
    """A checkpoint and the cache of all its slots; the methods' contracts are those of `HybridEncoder`."""

    config: HybridConfig
    identity: bytes
    dtype: torch.dtype
    """Of cached keys and values."""

    @property
    def number_format(self) -> Numbers:
        """What the linears compute in."""
        ...

    def open(self) -> int:
        """Open an empty slot."""
        ...

    def free(self, slot: int) -> None:
        """Give back all of a slot's pages and close it."""
        ...

    def evict(self, slot: int) -> None:
        """Give back all of a slot's pages; it stays open and its length becomes 0."""
        ...

    def length(self, slot: int) -> int:
        """Count the tokens cached in a slot."""
        ...

    @property
    def pages_in_use(self) -> int:
        """Pages that open slots hold."""
        ...

    @property
    def pages_total(self) -> int:
        """The most pages that can be in use."""
        ...

    def pages_needed(self, one: Pass) -> int:
        """Count the pages that a pass takes beyond those it gives back."""
        ...

    def step(self, passes: Sequence[Pass]) -> Scores:
        """Run one packed pass over many slots, at most one pass a slot."""
        ...

    def flops(self, passes: Sequence[Pass]) -> int:
        """Count the floating point operations of these passes."""
        ...
