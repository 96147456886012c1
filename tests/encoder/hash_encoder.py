"""The hybrid encoder's interface with hashes for states: a score is a fingerprint of all that it depends on.

Fast enough for thousands of histories, exact, and it checks every rule of a pass. Two scores are equal only if they
were computed from the same tokens at the same positions, in the same passes.
"""

from collections.abc import Sequence
from functools import cached_property
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from encoder.model.config import HybridConfig
from encoder.runtime.interface import NO_WORDS_READ, Scores
from encoder.runtime.passes import OutOfPages, Pass

Hashes = NDArray[np.uint64]


def mix(x: Hashes) -> Hashes:
    """Steele et al. 2014, the finaliser of SplitMix64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class HashEncoder:
    """Counts every 4 tokens as a page."""

    def __init__(self, config: HybridConfig, *, max_sessions: int = 1024, max_pages: int = 1 << 20) -> None:
        self.config = config
        self.pages_total = max_pages
        self._boundary: dict[int, Hashes] = {}  # causal states of a slot's tokens
        self._standing: dict[int, Hashes] = {}  # 0 where there is none
        self._windows: dict[int, int] = {}
        self._free = list(range(max_sessions))

    def open_slot(self) -> int:
        slot = self._free.pop()
        self._boundary[slot] = self._standing[slot] = np.zeros(0, np.uint64)
        self._windows[slot] = 0
        return slot

    def free_slot(self, slot: int) -> None:
        del self._boundary[slot], self._standing[slot]
        self._free.append(slot)

    def length(self, slot: int) -> int:
        return len(self._boundary[slot])

    @property
    def pages_in_use(self) -> int:
        return sum(-(-len(states) // 4) for states in self._boundary.values())

    def pages_needed(self, one: Pass) -> int:
        return -(-(one.keep + len(one.tokens)) // 4) - -(-self.length(one.slot) // 4)

    def flops(self, passes: Sequence[Pass]) -> int:
        return sum(len(one.tokens) for one in passes)

    def step(self, passes: Sequence[Pass]) -> Scores:
        assert len({one.slot for one in passes}) == len(passes)
        for one in passes:
            self._check(one)
        if self.pages_in_use + sum(map(self.pages_needed, passes)) > self.pages_total:
            raise OutOfPages
        found = [self._run(one) for one in passes]
        return Scores(np.concatenate(found), np.cumsum([0, *map(len, found)]).astype(np.int64), NO_WORDS_READ)

    def _run(self, one: Pass) -> NDArray[np.float32]:
        end = one.keep + len(one.tokens)
        kept = self._boundary[one.slot][: one.keep]
        places = np.arange(one.keep + 1, end + 1, dtype=np.uint64) << np.uint64(20)
        new = np.cumsum(mix(one.tokens.astype(np.uint64) + places), dtype=np.uint64)  # what is to the left, in order
        boundary = np.concatenate([kept, new + (kept[-1] if len(kept) else np.uint64(0))])
        seen = np.concatenate([self._standing[one.slot][one.window : one.restart], boundary[one.restart :]])
        weights = mix(np.arange(one.window + 1, end + 1, dtype=np.uint64))
        all_seen = (seen * (weights | np.uint64(1))).sum(dtype=np.uint64, keepdims=True)
        states = mix(boundary[one.restart :] ^ mix(all_seen + np.uint64(one.window))) | np.uint64(1)
        before = self._standing[one.slot][: one.restart].copy()
        before[: one.window] = 0
        self._boundary[one.slot], self._standing[one.slot] = boundary, np.concatenate([before, states])
        self._windows[one.slot] = one.window
        columns = [(states >> np.uint64(shift)) & np.uint64(0xFFFFF) for shift in (1, 22, 43)]
        return np.stack(columns, axis=1).astype(np.float32)

    def _check(self, one: Pass) -> None:
        end = one.keep + len(one.tokens)
        assert one.tokens.dtype == np.int32
        assert 0 <= one.keep <= self.length(one.slot)
        assert end <= self.config.positions
        assert end - one.window <= self.config.window
        assert one.window <= one.restart <= one.keep
        assert one.restart < end, "a pass that computes nothing"
        assert one.window >= min(self._windows[one.slot], one.keep), "states before the window are gone"
        assert self._standing[one.slot][one.window : one.restart].all(), "no standing state"


class SeenEncoder(HashEncoder):
    """Scores of two columns: how many tokens the label has seen from its own on, and which (`digest`)."""

    def _run(self, one: Pass) -> NDArray[np.float32]:
        super()._run(one)
        held = self._tokens.get(one.slot, np.zeros(0, np.int32))
        self._tokens[one.slot] = tokens = np.concatenate([held[: one.keep], one.tokens])
        rows = [(len(tokens) - i, digest(tokens[i:])) for i in range(one.restart, len(tokens))]
        return np.array(rows, np.float32)

    @cached_property
    def _tokens(self) -> dict[int, NDArray[np.int32]]:
        return {}


def digest(tokens: NDArray[np.int32]) -> int:
    return crc32(tokens.tobytes()) & 0xFFFFF
