"""Final equals offline, for any history; and under `always` every interim does."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings

from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.passes import OutOfPages
from encoder.session.plan import SegmentPlan
from encoder.session.pool import SessionPool, run_plans
from tests.encoder.hash_encoder import HashEncoder, SeenEncoder, digest
from tests.encoder.histories import (
    HISTORIES,
    SESSIONS,
    History,
    Offline,
    Op,
    Scores,
    assert_same,
    in_context,
    make_tokens,
    run_step,
    tokens_held,
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
    histories = [History(pool, pool.open_session()) for _ in range(SESSIONS)]
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


@pytest.mark.parametrize("interims", [False, True])
@settings(max_examples=10)
@given(ops=HISTORIES)
def test_the_model_itself_and_a_dense_replay(interims, ops):
    pool = SessionPool(model_encoder(), max_sessions=2, starts_word=STARTS_WORD)
    for slot in np.flatnonzero(pool.encoder.cache.opened):
        pool.encoder.free_slot(int(slot))  # what the example before left
    replays = SessionPool(SlowEncoder(tiny_checkpoint()), starts_word=STARTS_WORD)  # type: ignore[arg-type]
    check(pool, replays, ops, 0 if interims else None, assert_same)


@cache
def model_encoder() -> HybridEncoder:
    return HybridEncoder(tiny_checkpoint(), max_sessions=2, max_pages=24, kernels="numba", number_format="float32")


@settings(max_examples=200)
@given(ops=HISTORIES)
def test_a_standing_label_has_seen_only_what_still_stands(ops):
    pool = SessionPool(SeenEncoder(CONFIG, max_sessions=2), max_sessions=2)  # type: ignore[arg-type]
    histories = [History(pool, pool.open_session()) for _ in range(SESSIONS)]
    for step in steps(ops):
        for _, segment, _ in run_step(histories, step):
            for i, (count, seen) in enumerate(segment.scores.astype(int)[:, :2]):
                assert i + count <= len(segment.tokens)
                assert digest(segment.tokens[i : i + count]) == seen


def run_one(pool: SessionPool, plan: SegmentPlan) -> SegmentPlan:
    run_plans(pool, [plan])
    return plan


def test_a_restart_computes_what_the_policy_asks_for_and_no_more():
    pool = hashes()
    session, tokens = pool.open_session(), make_tokens(14, 0)

    def update(count: int, keep: int, wish: int) -> SegmentPlan:
        return run_one(pool, session.plan_update("a", tokens[:count], keep, wish))

    def facts(plan: SegmentPlan) -> tuple[str, list[tuple[int, int]], int, int]:
        return plan.kind, plan.ranges, plan.appended, plan.computed

    assert facts(update(4, 0, 0)) == ("append", [(0, 4)], 4, 4)
    assert facts(update(6, 4, 99)) == ("append", [(4, 6)], 2, 2)
    assert facts(update(8, 6, 3)) == ("local", [(3, 8)], 2, 5)
    assert facts(update(9, 8, 0)) == ("full", [(0, 9)], 1, 9)
    assert facts(update(9, 9, 0)) == ("none", [], 0, 0)
    assert facts(update(10, 9, 9)) == ("append", [(9, 10)], 1, 1)
    assert facts(update(9, 9, 9)) == ("none", [], 0, 0)  # nothing that stands has seen the tenth
    assert facts(update(8, 8, 9)) == ("full", [(0, 8)], 0, 8)  # all have seen the ninth
    assert facts(run_one(pool, session.plan_close("a"))) == ("none", [], 0, 0)
    assert facts(run_one(pool, session.plan_update("b", tokens[:3], 0, 0))) == ("append", [(0, 3)], 3, 3)
    assert facts(run_one(pool, session.plan_update("b", tokens[:4], 3, 9))) == ("append", [(3, 4)], 1, 1)
    assert facts(run_one(pool, session.plan_close("b"))) == ("full", [(0, 4)], 0, 4)
    session.evict()
    after = run_one(pool, session.plan_update("c", tokens[:2], 0, 0))
    assert facts(after) == ("append", [(0, 2)], 14, 14)
    assert after.replayed == 12


def test_a_new_segment_after_a_long_one_costs_no_replay():
    pool = hashes()
    session = pool.open_session()
    for name, count in (("a", 40), ("b", 3), ("c", 20), ("d", 5)):
        run_one(pool, session.plan_update(name, make_tokens(count, count), 0, 0))
        plan = run_one(pool, session.plan_close(name))
        assert plan.computed == plan.replayed == 0


def test_an_edit_is_computed_where_the_segment_lies():
    pool = hashes()
    session, offline = pool.open_session(), Offline(hashes())
    texts = [make_tokens(4, i) for i in range(4)]
    for i, tokens in enumerate(texts):
        run_plans(pool, [session.plan_update(i, tokens, 0, 0)])
        run_plans(pool, [session.plan_close(i)])
    texts[1] = make_tokens(6, 9)
    ((rows,),) = run_plans(pool, [session.plan_edit(1, texts[1])])
    assert np.array_equal(rows.logits, offline.score(texts[:1], texts[1]))
    ((again,),) = run_plans(pool, [session.plan_edit(1, texts[1])])
    assert np.array_equal(again.logits, rows.logits)
    session.delete_segment(0)
    ((rows,),) = run_plans(pool, [session.plan_update(4, texts[0], 0, 0)])
    assert np.array_equal(rows.logits, offline.score(texts[1:], texts[0]))
    ((rows,),) = run_plans(pool, [session.plan_edit("never seen", texts[2])])
    assert np.array_equal(rows.logits, offline.score([], texts[2]))


@pytest.mark.parametrize("saved", [False, True])
def test_an_identity_that_was_forgotten_is_free(saved):
    """Another segment of that identity, of which the context shows nothing, is edited and deleted; the first stays."""
    pool = hashes()
    session, offline = pool.open_session(), Offline(hashes())
    texts = [make_tokens(4, i) for i in range(3)]
    for name, tokens in zip("ab", texts, strict=False):
        run_plans(pool, [session.plan_update(name, tokens, 0, 0)])
        run_plans(pool, [session.plan_close(name)])
    session.forget_segment("a")
    assert not in_context(session, "a")
    if saved:
        kept, session = session.save_context(), pool.open_session()
        session.load_context(kept)
    run_plans(pool, [session.plan_update("a", texts[0][:0], 0, 0)])
    run_plans(pool, [session.plan_close("a")])
    ((rows,),) = run_plans(pool, [session.plan_edit("a", texts[2])])
    assert np.array_equal(rows.logits, offline.score([], texts[2]))  # the context shows no such segment
    session.delete_segment("a")
    ((rows,),) = run_plans(pool, [session.plan_update("c", texts[2], 0, 0)])
    assert np.array_equal(rows.logits, offline.score(texts[:2], texts[2]))


def test_a_session_that_fits_nowhere_is_said_so_and_breaks_nothing():
    pool = hashes(max_pages=4)
    session, other = pool.open_session(), pool.open_session()
    run_plans(pool, [other.plan_update("a", make_tokens(3, 0), 0, 0)])
    with pytest.raises(OutOfPages):
        run_plans(pool, [session.plan_update("a", make_tokens(17, 0), 0, 0)])
    ((rows,),) = run_plans(pool, [other.plan_update("a", make_tokens(9, 0), 3, 9)])
    assert np.array_equal(rows.logits, Offline(hashes()).score([], make_tokens(9, 0)))


def test_free_gives_everything_back():
    pool = hashes()
    session = pool.open_session()
    run_plans(pool, [session.plan_update("a", make_tokens(20, 0), 0, 0)])
    assert pool.encoder.pages_in_use > 0
    session.free()
    assert pool.encoder.pages_in_use == tokens_held(session) == 0
