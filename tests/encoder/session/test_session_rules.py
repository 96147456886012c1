"""The canonical history itself: window rules as a plain loop, and the mask of training as a dense forward."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.runtime.encoder import HybridEncoder
from encoder.session.pool import SessionPool
from tests.encoder.hash_encoder import HashEncoder
from tests.encoder.histories import NONE, Offline, assert_same, make_tokens, tokens_held
from tests.encoder.rules import score_by_the_rules
from tests.encoder.session.test_session import STARTS_WORD, hashes
from tests.tiny import tiny_checkpoint, tiny_config

LENGTHS = st.one_of(st.integers(0, 4), st.integers(0, 30), st.integers(0, 150))


@settings(max_examples=200)
@given(
    st.lists(LENGTHS, max_size=12), st.integers(0, 1 << 16), st.sampled_from([(48, 16), (32, 16), (56, 8), (64, 32)])
)
def test_segments_fed_whole_follow_the_rules(lengths, seed, shape):
    config = tiny_config(positions=shape[0], window=shape[1])
    segments = [make_tokens(count, seed + i) for i, count in enumerate(lengths)]
    want = score_by_the_rules(HashEncoder(config), segments, STARTS_WORD)
    pool = SessionPool(HashEncoder(config), starts_word=STARTS_WORD)  # type: ignore[arg-type]
    offline = Offline(pool)
    for i, tokens in enumerate(segments):
        got = offline.score(segments[:i], tokens)
        assert np.array_equal(got, want[i] if len(tokens) else NONE)


@pytest.mark.parametrize("marks", [False, True], ids=["plain", "marked"])
@pytest.mark.parametrize("kernels", ["torch", "numba"])
def test_segments_in_one_window_equal_the_dense_forward_under_the_mask_of_training(marks, kernels):
    checkpoint = tiny_checkpoint(segment_starts=marks)
    half, lengths = checkpoint.config.window // 2, [3, 8, 1, 6, 2, 8]
    segments = [make_tokens(count, i) for i, count in enumerate(lengths)]
    ends = np.cumsum(lengths)
    first = np.repeat(np.maximum(0, ends - lengths - half), lengths)
    last = np.repeat(ends - 1, lengths)
    ids = torch.from_numpy(np.concatenate(segments)).long()[None]
    if marks:
        ids[0, ends - lengths] += checkpoint.config.vocab_size
    with torch.no_grad():
        places = torch.arange(ids.shape[1])[None]
        dense = checkpoint.dense_model()(ids, places, torch.from_numpy(last)[None], torch.from_numpy(first)[None])[
            0
        ].numpy()
    offline = Offline(SessionPool(HybridEncoder(checkpoint, kernels=kernels, number_format="float32")))
    for i, end in enumerate(ends):
        assert_same(offline.score(segments[:i], segments[i]), dense[end - lengths[i] : end])


def test_a_text_within_the_window_equals_the_dense_forward():
    checkpoint = tiny_checkpoint()
    tokens = make_tokens(checkpoint.config.window, 7)
    ids = torch.from_numpy(tokens).long()[None]
    with torch.no_grad():
        last = torch.full(ids.shape, len(tokens) - 1)
        dense = checkpoint.dense_model()(ids, torch.arange(len(tokens))[None], last)[0].numpy()
    pool = SessionPool(HybridEncoder(checkpoint, kernels="torch", number_format="float32"))
    assert_same(Offline(pool).score([], tokens), dense)


def test_the_context_is_bounded_and_edits_reach_what_it_shows():
    pool = hashes()
    offline = Offline(pool)
    segments = [make_tokens(5, i) for i in range(200)]
    offline.score(segments, make_tokens(3, 0))
    assert tokens_held(offline.session) <= 2 * pool.encoder.config.positions
