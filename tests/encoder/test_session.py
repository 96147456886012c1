"""Final equals offline, for any history; and under `always` every interim does."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings

from encoder.hybrid import HybridEncoder
from encoder.session import SessionPool
from tests.encoder.hash_encoder import HashEncoder
from tests.encoder.histories import (
    HISTORIES,
    SESSIONS,
    History,
    Offline,
    Op,
    Scores,
    assert_same,
    make_tokens,
    run_step,
)
from tests.encoder.slow_encoder import SlowEncoder
from tests.tiny import tiny_checkpoint, tiny_config

CONFIG = tiny_config()
STARTS_WORD = np.arange(1000) % 3 > 0
Compare = Callable[[Scores, Scores], None]


def hashes(max_sessions: int = 1024, max_pages: int = 1 << 20) -> SessionPool:
    encoder = HashEncoder(CONFIG, max_sessions=max_sessions, max_pages=max_pages)
    return SessionPool(encoder, max_sessions=max_sessions, starts_word=STARTS_WORD)  # type: ignore[arg-type]


def assert_equal(got: Scores, want: Scores) -> None:
    assert np.array_equal(got, want)


def steps(ops: list[Op]) -> list[list[Op]]:
    """Pack operations of different sessions that follow each other."""
    packed: list[list[Op]] = []
    for op in ops:
        if packed and all(op[0] != other[0] for other in packed[-1]):
            packed[-1].append(op)
        else:
            packed.append([op])
    return packed


def check(pool: SessionPool, offline: SessionPool, ops: list[Op], wish: int | None, same: Compare) -> None:
    """Compare what closes, and under `always` (wish 0) every update too, with closed segments fed whole."""
    histories = [History(pool, pool.open()) for _ in range(SESSIONS)]
    references = [Offline(offline) for _ in range(SESSIONS)]
    for step in steps(ops):
        for h, segment, what in run_step(histories, step, wish):
            if what == "update" and wish is None:
                continue
            before = h.closed
            if what != "update":  # an edited segment that the context shows no more is computed alone
                at = next((i for i, other in enumerate(h.closed) if other is segment), 0)
                before = h.closed[:at]
            want = references[histories.index(h)].score([other.tokens for other in before], segment.tokens)
            same(segment.scores, want)
    assert pool.encoder.pages_in_use <= pool.encoder.pages_total


@pytest.mark.parametrize(("slots", "pages"), [(1024, 1 << 20), (2, 1 << 20), (3, 15)])
@settings(max_examples=150)
@given(ops=HISTORIES)
def test_final_equals_offline(slots, pages, ops):
    check(hashes(slots, pages), hashes(), ops, None, assert_equal)


@pytest.mark.parametrize(("slots", "pages"), [(1024, 1 << 20), (3, 15)])
@settings(max_examples=150)
@given(ops=HISTORIES)
def test_under_always_every_interim_equals_the_text_fed_at_once(slots, pages, ops):
    check(hashes(slots, pages), hashes(), ops, 0, assert_equal)
