"""The encoder's promises that one example shows best; random histories are in test_hybrid_property.py."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.interface import Scores
from encoder.runtime.packed_rows import IntArray
from encoder.runtime.passes import OutOfPages, Pass
from tests.encoder.replay import Replay, dense_scores
from tests.encoder.runtime.slots import evict_slot, slot_length
from tests.encoder.runtime.test_packed_linear import skip_unmeasured
from tests.tiny import tiny_checkpoint

CHECKPOINT = tiny_checkpoint()
CONFIG = CHECKPOINT.config


def some_ids(count: int, seed: int = 0) -> IntArray:
    return np.random.default_rng(seed).integers(0, CONFIG.vocab_size, count).astype(np.int32)


def encoder(max_pages: int | None = None, number_format: str = "float32") -> HybridEncoder:
    return HybridEncoder(CHECKPOINT, max_sessions=8, max_pages=max_pages, number_format=number_format)  # type: ignore[arg-type]


def live(e: HybridEncoder, slot: int, ids: IntArray, together: list[Pass] | None = None) -> NDArray[np.float32]:
    """Feed ids token by token with local restarts, then two whole passes; other passes ride along."""
    scores: Scores | None = None
    for i in range(len(ids)):
        one = Pass(slot, i, ids[i : i + 1], max(0, i + 1 - CONFIG.window), max(0, i - 2))
        scores = e.step([*(together or [])[i : i + 1], one])
    assert scores is not None
    return scores.logits[scores.starts[-2] :]


def test_a_full_restart_equals_the_dense_forward() -> None:
    e = encoder()
    slot, ids = e.open_slot(), some_ids(14)
    live(e, slot, ids)
    scores = e.step([Pass(slot, 14, ids[:0], 0, 0)])
    want = dense_scores(CHECKPOINT.dense_model(), torch.from_numpy(ids).long())
    torch.testing.assert_close(torch.from_numpy(scores.logits), want, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("number_format", ["float32", "bfloat16"])
def test_a_replay_has_the_same_bits_whatever_is_packed_with_it(number_format: str) -> None:
    skip_unmeasured(getattr(torch, number_format))
    e = encoder(number_format=number_format)
    a, b, c = e.open_slot(), e.open_slot(), e.open_slot()
    ids = some_ids(20)
    alone = live(e, a, ids)
    e.step([Pass(c, 0, some_ids(9), 0, 0)])
    company = [Pass(b, 0, some_ids(1 + i % 9, seed=i), 0, 0) for i in range(len(ids))]
    evict_slot(e.cache, c)
    assert np.array_equal(live(e, c, ids, company), alone)
    evict_slot(e.cache, a)
    assert np.array_equal(live(e, a, ids, company), alone)


def test_bfloat16_is_close_to_float32() -> None:
    ids = some_ids(16)
    got = [live(e, e.open_slot(), ids) for e in (encoder(), encoder(number_format="bfloat16"))]
    assert np.abs(got[0] - got[1]).max() < 0.05 * np.abs(got[0]).max()
    assert np.abs(got[0] - got[1]).max() > 0


def test_out_of_pages_changes_nothing() -> None:
    e, roomy = encoder(max_pages=17), encoder()
    ids = some_ids(40)
    for one in (e, roomy):
        a, b, c = one.open_slot(), one.open_slot(), one.open_slot()
        one.step([Pass(a, 0, ids[:13], 0, 0), Pass(b, 0, ids[:12], 0, 0), Pass(c, 0, ids[:2], 0, 0)])
    assert (e.pages_in_use, e.pages_total) == (16, 17)
    too_much = [Pass(a, 9, ids[:0], 0, 9), Pass(b, 12, ids[12:28], 12, 12)]
    assert [e.pages_needed(one) for one in too_much] == [-2, 5]
    with pytest.raises(OutOfPages):
        e.step(too_much)
    assert (slot_length(e.cache, a), slot_length(e.cache, b), e.pages_in_use) == (13, 12, 16)
    same = [one.step([Pass(a, 13, ids[:0], 0, 6), Pass(b, 12, ids[:0], 0, 3)]).logits for one in (e, roomy)]
    assert np.array_equal(*same)
    evict_slot(e.cache, c)
    same = [one.step(too_much).logits for one in (e, roomy)]
    assert np.array_equal(*same)


def test_a_window_may_go_back_as_long_as_its_states_are_held() -> None:
    e, replay = encoder(), Replay(CHECKPOINT.dense_model())
    slot, ids = e.open_slot(), some_ids(16)
    for one in (
        Pass(slot, 0, ids[:12], 0, 0),
        Pass(slot, 12, ids[12:14], 7, 10),  # pages before token 4 are given back
        Pass(slot, 14, ids[14:16], 4, 12),
    ):
        got, want = e.step([one]).logits, replay.step(one)
        torch.testing.assert_close(torch.from_numpy(got), want, atol=1e-4, rtol=1e-5)
    with pytest.raises(ValueError, match="given up"):
        e.step([Pass(slot, 16, ids[:0], 3, 14)])


def test_a_prefix_can_grow_without_a_tail_and_be_restarted_later() -> None:
    e, replay = encoder(), Replay(CHECKPOINT.dense_model())
    slot, ids = e.open_slot(), some_ids(CONFIG.positions)
    passes = [
        Pass(slot, 0, ids[:40], 30, 40),  # more than a window at once, no scores
        Pass(slot, 40, ids[40:42], 30, 30),
        Pass(slot, 42, ids[42:44], 32, 41),
    ]
    for one in passes:
        got, want = e.step([one]).logits, replay.step(one)
        torch.testing.assert_close(torch.from_numpy(got), want, atol=1e-4, rtol=1e-5)


def test_an_empty_step_is_allowed() -> None:
    e = encoder()
    scores = e.step([])
    assert (scores.logits.shape, scores.starts.tolist()) == ((0, len(CONFIG.labels)), [0])
    slot = e.open_slot()
    scores = e.step([Pass(slot, 0, some_ids(0), 0, 0)])
    assert (scores.logits.shape, scores.starts.tolist()) == ((0, len(CONFIG.labels)), [0, 0])


def test_flops_count_linears_attention_and_head() -> None:
    e = encoder()
    slot = e.open_slot()
    e.step([Pass(slot, 0, some_ids(10), 0, 0)])
    h, wide, labels = CONFIG.hidden, CONFIG.intermediate, len(CONFIG.labels)
    layer = 2 * h * 3 * h + 2 * h * h + 2 * 2 * h * wide  # one token through one layer's linears
    prefix = 2 * (2 * layer + (11 + 12) * 4 * h)  # 2 layers, 2 tokens that see 11 and 12 keys
    tail = 2 * (4 * layer + 4 * 9 * 4 * h)  # 2 layers, 4 tokens that see 9 keys
    assert e.flops([Pass(slot, 10, some_ids(2), 3, 8)]) == prefix + tail + 4 * 2 * h * labels
    assert slot_length(e.cache, slot) == 10
