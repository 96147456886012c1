"""The hybrid encoder's interface over the dense replay of each slot: slow, plain, and checks every rule of a pass."""

from collections.abc import Sequence

import numpy as np
import torch

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.model.config import HybridConfig
from encoder.runtime.interface import NO_WORDS_READ, Scores
from encoder.runtime.passes import OutOfPages, Pass
from tests.encoder.replay import Replay


class SlowEncoder:
    """Counts a token as a page of its own."""

    def __init__(self, checkpoint: Checkpoint, *, max_sessions: int = 1024, max_pages: int = 1 << 20) -> None:
        self.config: HybridConfig = checkpoint.config
        self.pages_total = max_pages
        self._model = checkpoint.dense_model()
        self._slots: dict[int, Replay] = {}
        self._windows: dict[int, int] = {}
        self._free = list(range(max_sessions))

    def open_slot(self) -> int:
        slot = self._free.pop()
        self._slots[slot], self._windows[slot] = Replay(self._model), 0
        return slot

    def free_slot(self, slot: int) -> None:
        del self._slots[slot]
        self._free.append(slot)

    def length(self, slot: int) -> int:
        return len(self._slots[slot].ids)

    @property
    def pages_in_use(self) -> int:
        return sum(len(replay.ids) for replay in self._slots.values())

    def pages_needed(self, one: Pass) -> int:
        return one.keep + len(one.tokens) - self.length(one.slot)

    def flops(self, passes: Sequence[Pass]) -> int:
        return sum(len(one.tokens) for one in passes)

    def step(self, passes: Sequence[Pass]) -> Scores:
        assert len({one.slot for one in passes}) == len(passes)
        for one in passes:
            self._check(one)
        if self.pages_in_use + sum(map(self.pages_needed, passes)) > self.pages_total:
            raise OutOfPages
        found = [self._slots[one.slot].step(one).numpy() for one in passes]
        for one in passes:
            self._windows[one.slot] = one.window
        return Scores(np.concatenate(found), np.cumsum([0, *map(len, found)]).astype(np.int64), NO_WORDS_READ)

    def _check(self, one: Pass) -> None:
        end = one.keep + len(one.tokens)
        assert one.tokens.dtype == np.int32
        assert 0 <= one.keep <= self.length(one.slot)
        assert end <= self.config.positions
        assert end - one.window <= self.config.window
        assert one.window <= one.restart <= one.keep
        assert one.restart < end, "a pass that computes nothing"
        assert one.window >= min(self._windows[one.slot], one.keep), "states before the window are gone"
        standing = self._slots[one.slot].standing[:, :, one.window : one.restart]
        assert not torch.isnan(standing).any(), "no standing state"
