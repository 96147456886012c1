"""Random histories over many slots: every score equals a plain dense replay of the same history."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoder.model.dense import HybridModel
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.passes import OutOfPages, Pass
from tests.encoder.replay import Replay, dense_scores
from tests.encoder.runtime.slots import evict_slot, slot_length
from tests.tiny import tiny_checkpoint

SLOTS = 4
MAX_PAGES = {0: 10}  # four full slots would need 68, without a prefix 20
TOLERANCE = 1e-4
VARIANTS: dict[int, dict[str, object]] = {
    1: {"embedding": 20, "gelu": "tanh"},  # narrow tables, as ELECTRA has
    3: {"sink": True},
}


@cache
def parts(causal_layers: int) -> tuple[HybridModel, tuple[HybridEncoder, ...]]:
    checkpoint = tiny_checkpoint(causal_layers=causal_layers, **VARIANTS.get(causal_layers, {}))
    pages = MAX_PAGES.get(causal_layers, 30)
    encoders = tuple(
        HybridEncoder(checkpoint, max_sessions=SLOTS, max_pages=pages, kernels=kernels, number_format="float32")
        for kernels in ("torch", "numba")
    )
    return checkpoint.dense_model(), encoders


class History:
    """The same history on the oracle and on both implementations."""

    def __init__(self, causal_layers: int) -> None:
        self.model, self.encoders = parts(causal_layers)
        self.slots = [{encoder.open_slot() for encoder in self.encoders}.pop() for _ in range(SLOTS)]
        self.replays = {slot: Replay(self.model) for slot in self.slots}
        self.floors = dict.fromkeys(self.slots, 0)  # no window may start before

    def evict(self, slot: int) -> None:
        for encoder in self.encoders:
            evict_slot(encoder.cache, slot)
            assert slot_length(encoder.cache, slot) == 0
        self.replays[slot].evict()
        self.floors[slot] = 0

    def draw(self, data: st.DataObject, slot: int) -> Pass:
        """Draw a legal pass: append or cut, then a local or full restart, a mere append, or nothing."""
        config, length = self.model.config, len(self.replays[slot].ids)
        keep = data.draw(st.integers(0, length), "keep") if data.draw(st.sampled_from(range(5))) == 4 else length
        most = min(config.positions - keep, config.window + 4)
        k = min(data.draw(st.sampled_from([1, 2, 1, 3, 0, 7, 20]), "append"), most)
        n = keep + k
        ids = np.random.default_rng(data.draw(st.integers(0, 999), "ids")).integers(0, config.vocab_size, k)
        lowest = max(min(self.floors[slot], keep), n - config.window)
        window = min(lowest + data.draw(st.sampled_from([0, 0, 1, 5]), "window"), max(lowest, min(keep, n - 1)))
        restart = self.draw_restart(data, slot, window, keep, n)
        return Pass(slot, keep, ids.astype(np.int32), window, restart)

    def draw_restart(self, data: st.DataObject, slot: int, window: int, keep: int, n: int) -> int:
        if window > min(keep, n - 1):
            return n
        kind = data.draw(st.sampled_from(["local", "append", "local", "full", "local", "nothing"]), "kind")
        if kind in ("full", "nothing"):
            return window if kind == "full" else n
        stands = [r for r in range(window, min(keep, n - 1) + 1) if self.replays[slot].stands(window, r)]
        inner = stands[-2:0:-1] or stands  # between a full restart and an append, if there is anything
        return stands[-1] if kind == "append" else data.draw(st.sampled_from(inner), "restart")

    def step(self, passes: list[Pass]) -> None:
        found = [encoder.step(passes) for encoder in self.encoders]
        for i, one in enumerate(passes):
            want = self.replays[one.slot].step(one)
            for scores in found:
                got = torch.from_numpy(scores.logits[scores.starts[i] : scores.starts[i + 1]])
                torch.testing.assert_close(got, want, atol=TOLERANCE, rtol=1e-5)
            if one.restart == one.window == 0 and len(want):
                dense = dense_scores(self.model, self.replays[one.slot].ids)
                torch.testing.assert_close(want, dense, atol=TOLERANCE, rtol=1e-5)
            self.floors[one.slot] = max(one.window, min(self.floors[one.slot], one.keep))
            assert {slot_length(encoder.cache, one.slot) for encoder in self.encoders} == {one.keep + len(one.tokens)}

    def step_or_evict(self, data: st.DataObject, passes: list[Pass]) -> None:
        """Step; where the pages do not suffice, nothing may have changed, and an evicted slot starts anew."""
        encoder = self.encoders[0]
        before = [(slot_length(encoder.cache, slot), encoder.pages_in_use) for slot in self.slots]
        fits = encoder.pages_in_use + sum(map(encoder.pages_needed, passes)) <= encoder.pages_total
        try:
            self.step(passes)
        except OutOfPages:
            assert not fits
            assert before == [(slot_length(encoder.cache, slot), encoder.pages_in_use) for slot in self.slots]
            for slot in data.draw(st.sets(st.sampled_from(self.slots), min_size=1), "evicted"):
                self.evict(slot)
        else:
            assert fits

    def free(self) -> None:
        for encoder in self.encoders:
            for slot in self.slots:
                encoder.free_slot(slot)
            assert encoder.pages_in_use == 0


@pytest.mark.parametrize("causal_layers", [0, 1, 2, 3])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_history_equals_a_dense_replay(causal_layers: int, data: st.DataObject) -> None:
    history = History(causal_layers)
    try:
        for _ in range(data.draw(st.integers(1, 16), "steps")):
            slots = data.draw(st.permutations(history.slots), "slots")[: data.draw(st.integers(1, SLOTS), "count")]
            if data.draw(st.integers(0, 9), "evict") == 0:
                history.evict(slots[0])
            history.step_or_evict(data, [history.draw(data, slot) for slot in slots])
    finally:
        history.free()
