"""The device's encoder against the dense model and the CPU's encoder, by the machinery that those are tested with."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.encoder.gpu.where import DEVICE, some

# isort: split
from encoder.heads.viterbi import NO_LABEL
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.gpu.encoder import DeviceEncoder
from encoder.runtime.gpu.step_buffers import StepBuffers
from encoder.runtime.interface import WORD_NUMBERS
from encoder.runtime.passes import Pass, WordsToRead
from encoder.session.pool import SessionPool
from encoder.tagger import make_heads
from tests.encoder.histories import HISTORIES, Op, assert_same
from tests.encoder.replay import Replay
from tests.encoder.runtime import test_encoder_property as property_test
from tests.encoder.runtime.slots import slot_length
from tests.encoder.session import test_session as session_test
from tests.tiny import tiny_checkpoint

LAYERS: dict[int, dict[str, object]] = {0: {}, 1: {"embedding": 20, "gelu": "tanh"}}
SHORT = st.lists(HISTORIES.flatmap(st.sampled_from), min_size=4, max_size=9)


def small(causal_layers: int, **changes: object) -> dict[str, object]:
    return {"layers": 1 + causal_layers, "causal_layers": causal_layers, "heads": 2} | changes


class History(property_test.History):
    """A history on the device's encoder alone."""

    def __init__(self, causal_layers: int) -> None:
        checkpoint = tiny_checkpoint(**small(causal_layers, **LAYERS[causal_layers]))
        pages = 10 if causal_layers == 0 else 30
        encoder = DeviceEncoder(checkpoint, DEVICE, max_sessions=4, max_pages=pages, number_format="float32")
        self.model, self.encoders = checkpoint.dense_model(), (encoder,)  # type: ignore[assignment]
        self.slots = [encoder.open_slot() for _ in range(4)]
        self.replays = {slot: Replay(self.model) for slot in self.slots}
        self.floors = dict.fromkeys(self.slots, 0)


@pytest.mark.parametrize("causal_layers", [0, 1])
@some(4)
@given(data=st.data())
def test_any_history_equals_a_dense_replay(causal_layers: int, data: st.DataObject) -> None:
    history = History(causal_layers)
    for _ in range(data.draw(st.integers(2, 6), "steps")):
        slots = data.draw(st.permutations(history.slots), "slots")[: data.draw(st.integers(1, 3), "count")]
        if data.draw(st.integers(0, 5), "evict") == 0:
            history.evict(slots[0])
        history.step_or_evict(data, [history.draw(data, slot) for slot in slots])
    history.free()


@pytest.mark.parametrize("wish", [None, 0])
@some(2)
@given(ops=SHORT)
def test_final_equals_offline(wish: int | None, ops: list[Op]) -> None:
    """Sessions on the device, with evictions, against the same closed segments fed whole to the CPU's encoder."""
    checkpoint = tiny_checkpoint(**small(1))
    ours = DeviceEncoder(checkpoint, DEVICE, max_sessions=2, number_format="float32")
    theirs = HybridEncoder(checkpoint, max_sessions=session_test.SESSIONS, number_format="float32")
    pool, offline = SessionPool(ours, max_sessions=2), SessionPool(theirs, max_sessions=session_test.SESSIONS)
    session_test.check(pool, offline, ops, wish, assert_same)


def test_a_step_that_is_larger_than_any_graph_gives_the_same() -> None:
    checkpoint = tiny_checkpoint(**small(1))
    heads = make_heads(checkpoint)
    encoders = [DeviceEncoder(checkpoint, DEVICE, heads, max_sessions=3, number_format="float32") for _ in range(2)]
    encoders[1]._buffers = StepBuffers(1, 1, DEVICE)
    before = np.full(1, NO_LABEL, np.int32)
    for tokens in ([3, 9], [5, 14, 7], [2]):
        passes = [
            Pass(slot, 0, np.arange(n, dtype=np.int32), 0, 0, WordsToRead(np.arange(1, n, 2, dtype=np.int32), before))
            for slot, n in zip([encoders[0].open_slot() for _ in tokens], tokens, strict=True)
        ]
        assert [encoders[1].open_slot() for _ in tokens] == [one.slot for one in passes]
        found, large = (encoder.step(passes) for encoder in encoders)
        assert np.array_equal(found.logits, large.logits)
        assert np.array_equal(found.words, large.words)
        assert found.words.shape == (sum(n // 2 for n in tokens), 1, WORD_NUMBERS)
        for encoder in encoders:
            for one in passes:
                encoder.free_slot(one.slot)


def test_it_counts_as_the_cpu_does() -> None:
    checkpoint = tiny_checkpoint(**small(1))
    ours = DeviceEncoder(checkpoint, DEVICE, max_sessions=3)
    theirs = HybridEncoder(checkpoint, max_sessions=3)
    one = Pass(ours.open_slot(), 0, np.arange(9, dtype=np.int32), 0, 0)
    theirs.open_slot()
    for encoder in (ours, theirs):
        assert (encoder.flops([one]), encoder.pages_needed(one)) == (theirs.flops([one]), 6)
        encoder.step([one])
        assert (slot_length(encoder.cache, one.slot), encoder.pages_in_use) == (9, 6)
    assert ours.identity == theirs.identity
    assert ours.step([]).logits.shape == (0, checkpoint.config.columns)


def test_the_number_format_is_checked() -> None:
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        DeviceEncoder(tiny_checkpoint(), DEVICE, number_format="int4")  # type: ignore[arg-type]


@pytest.mark.skipif(DEVICE.type == "cpu", reason="the interpreter cannot multiply bfloat16")
def test_bfloat16_is_close_to_float32() -> None:
    checkpoint = tiny_checkpoint()
    ids = np.arange(14, dtype=np.int32)
    got = []
    for number_format in ("float32", "bfloat16"):
        encoder = DeviceEncoder(checkpoint, DEVICE, max_sessions=1, number_format=number_format)  # type: ignore[arg-type]
        got.append(torch.from_numpy(encoder.step([Pass(encoder.open_slot(), 0, ids, 0, 0)]).logits))
    assert (got[0] - got[1]).abs().max() < 0.05 * got[0].abs().max()
