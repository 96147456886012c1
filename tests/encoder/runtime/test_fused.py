"""The fused layers: any history equals a dense replay, and any history equals itself alone, bit for bit."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from encoder.model.number_types import NumberType
from encoder.runtime import number_format as choosing
from encoder.runtime.cpu.fused.layers import FusedBody, fits
from encoder.runtime.cpu.unfused_layers import UnfusedBody
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.passes import Pass
from tests.encoder.replay import Replay
from tests.encoder.runtime.slots import evict_slot
from tests.encoder.runtime.test_encoder_property import SLOTS, History
from tests.encoder.wide import FORMATS, needs, wide_checkpoint
from tests.tiny import tiny_config

VARIANTS: dict[int, dict[str, object]] = {0: {}, 1: {"embedding": 32, "gelu": "tanh"}, 2: {}, 3: {"sink": True}}
"""By causal layers: narrow tables once, as ELECTRA has; an attention sink once."""
PAGES = 20
"""Four full slots would need 36."""


def fused(causal_layers: int, numbers: NumberType, sessions: int = SLOTS, pages: int | None = PAGES) -> HybridEncoder:
    needs(numbers)
    checkpoint = wide_checkpoint(causal_layers=causal_layers, **VARIANTS[causal_layers])
    encoder = HybridEncoder(checkpoint, max_sessions=sessions, max_pages=pages, kernels="fused", number_format=numbers)
    assert isinstance(encoder._body, FusedBody)
    return encoder


@cache
def shared(causal_layers: int, numbers: NumberType) -> tuple[HybridEncoder, HybridEncoder]:
    """Two encoders of one kind: one for a history, one for each of its slots alone."""
    return fused(causal_layers, numbers), fused(causal_layers, numbers, sessions=1)


class FusedHistory(History):
    """A history on the fused layers, which keeps what every slot did and got."""

    def __init__(self, causal_layers: int, numbers: NumberType) -> None:
        self.model = wide_checkpoint(causal_layers=causal_layers, **VARIANTS[causal_layers]).dense_model()
        self.encoders = shared(causal_layers, numbers)[:1]
        self.exact = numbers == "float32"
        self.slots = [self.encoders[0].open_slot() for _ in range(SLOTS)]
        self.replays = {slot: Replay(self.model) for slot in self.slots}
        self.floors = dict.fromkeys(self.slots, 0)
        self.lives: dict[int, list[tuple[Pass, NDArray[np.float32]] | None]] = {slot: [] for slot in self.slots}

    def evict(self, slot: int) -> None:
        super().evict(slot)
        self.lives[slot].append(None)

    def step(self, passes: list[Pass]) -> None:
        if self.exact:
            super().step(passes)
            return
        scores = self.encoders[0].step(passes)
        for i, one in enumerate(passes):
            self.replays[one.slot].step(one)
            self.lives[one.slot].append((one, scores.logits[scores.starts[i] : scores.starts[i + 1]].copy()))
            self.floors[one.slot] = max(one.window, min(self.floors[one.slot], one.keep))

    def assert_alone(self, alone: HybridEncoder) -> None:
        """Every slot's life once more, with nobody beside it: the same bits."""
        for life in self.lives.values():
            slot = alone.open_slot()
            for event in life:
                if event is None:
                    evict_slot(alone.cache, slot)
                    continue
                one, logits = event
                again = alone.step([Pass(slot, one.keep, one.tokens, one.window, one.restart)]).logits
                assert np.array_equal(again, logits)
            alone.free_slot(slot)


def run(data: st.DataObject, history: History, steps: int) -> None:
    for _ in range(data.draw(st.integers(1, steps), "steps")):
        slots = data.draw(st.permutations(history.slots), "slots")[: data.draw(st.integers(1, SLOTS), "count")]
        if data.draw(st.integers(0, 9), "evict") == 0:
            history.evict(slots[0])
        history.step_or_evict(data, [history.draw(data, slot) for slot in slots])


@pytest.mark.parametrize("causal_layers", VARIANTS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_history_in_float32_equals_a_dense_replay(causal_layers: int, data: st.DataObject) -> None:
    history = FusedHistory(causal_layers, "float32")
    try:
        run(data, history, 12)
    finally:
        history.free()


@pytest.mark.parametrize(("numbers", "causal_layers"), [("bfloat16", 2), ("int8", 2), ("bfloat16", 3)])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_history_equals_each_slot_alone_bit_for_bit(
    numbers: NumberType, causal_layers: int, data: st.DataObject
) -> None:
    history = FusedHistory(causal_layers, numbers)
    try:
        run(data, history, 12)
        history.assert_alone(shared(causal_layers, numbers)[1])
    finally:
        history.free()


def some_ids(count: int, seed: int = 0) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(0, 60, count).astype(np.int32)


@pytest.mark.parametrize("numbers", FORMATS)
def test_a_text_in_words_ends_as_the_text_in_one_piece(numbers: NumberType) -> None:
    encoder = fused(2, numbers, pages=None)
    ids = some_ids(30)
    a, b = encoder.open_slot(), encoder.open_slot()
    for i in range(30):
        encoder.step([Pass(a, i, ids[i : i + 1], 0, max(0, i - 2))])
    wrong = encoder.step([Pass(a, 20, some_ids(10, 1), 0, 20)]).logits
    last = encoder.step([Pass(a, 20, ids[20:], 0, 0)]).logits
    whole = encoder.step([Pass(b, 0, ids, 0, 0)]).logits
    assert np.array_equal(last, whole)
    assert not np.array_equal(wrong, last[20:])


@pytest.mark.parametrize(
    ("numbers", "tolerance", "causal_layers"),
    [("float32", 1e-5, 2), ("bfloat16", 0.05, 2), ("int8", 0.1, 2), ("float32", 1e-5, 3), ("bfloat16", 0.05, 3)],
)
def test_all_formats_are_close_to_the_plain_layers(numbers: NumberType, tolerance: float, causal_layers: int) -> None:
    encoder = fused(causal_layers, numbers, pages=None)
    checkpoint = wide_checkpoint(causal_layers=causal_layers, **VARIANTS[causal_layers])
    plain = HybridEncoder(checkpoint, max_sessions=2, kernels="torch", number_format="float32")
    assert isinstance(plain._body, UnfusedBody)
    ids, found = some_ids(50), []
    for e in (encoder, plain):
        slot = e.open_slot()
        e.step([Pass(slot, 0, ids[:30], 0, 0)])
        found.append(e.step([Pass(slot, 30, ids[30:], 20, 21)]).logits)
    assert np.abs(found[0] - found[1]).max() < tolerance * np.abs(found[1]).max()


def test_int8_keeps_pages_in_float32_where_there_is_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    half = fused(2, "int8", pages=None)
    monkeypatch.setattr(choosing, "can_multiply", lambda numbers: numbers != "bfloat16")
    full = fused(2, "int8", pages=None)
    assert (half.page_numbers, full.page_numbers) == ("bfloat16", "float32")
    reference = HybridEncoder(wide_checkpoint(causal_layers=2), max_sessions=2, kernels="torch", number_format="int8")
    ids, found = some_ids(28), []
    for e in (full, half, reference):
        slot = e.open_slot()
        e.step([Pass(slot, 0, ids[:20], 0, 0)])
        found.append(e.step([Pass(slot, 20, ids[20:], 0, 17)]).logits)
    scale = np.abs(found[2]).max()
    assert np.abs(found[0] - found[2]).max() < 0.02 * scale  # a byte may round the other way
    assert np.abs(found[1] - found[2]).max() < 0.05 * scale


def test_scores_of_one_step_outlive_the_next() -> None:
    encoder = fused(2, "int8", pages=None)
    slot = encoder.open_slot()
    first = encoder.step([Pass(slot, 0, some_ids(30), 0, 0)]).logits
    kept = first.copy()
    evict_slot(encoder.cache, slot)
    encoder.step([Pass(slot, 0, some_ids(30, 3), 0, 0)])
    assert np.array_equal(first, kept)


def test_memory_grows_with_the_largest_step_alone() -> None:
    encoder = fused(2, "int8", pages=None)
    slot = encoder.open_slot()
    encoder.step([Pass(slot, 0, some_ids(30), 0, 0)])
    arena = encoder._body._arena  # type: ignore[attr-defined]
    for seed in range(3):
        encoder.step([Pass(slot, 0, some_ids(30, seed), 0, 0)])
    assert encoder._body._arena is arena  # type: ignore[attr-defined]


def test_only_whole_vectors_fit() -> None:
    assert fits(wide_checkpoint().config)
    assert not fits(tiny_config())
    assert not fits(wide_checkpoint(embedding=20).config)
