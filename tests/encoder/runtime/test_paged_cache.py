"""Slots and pages: what is taken is given back, no page has two owners, and broken rules change nothing."""

from collections import Counter

import numpy as np
import pytest

from encoder.runtime.paged_cache import PagedCache, prefix_rows, tail_rows
from encoder.runtime.passes import OutOfPages, Pass
from tests.encoder.runtime.slots import evict_slot, slot_length
from tests.tiny import tiny_config

CONFIG = tiny_config()  # P = 48, W = 16, pages of 4


def cache(max_sessions: int = 3, max_pages: int | None = None, **changes: object) -> PagedCache:
    return PagedCache(tiny_config(**changes), "float32", max_sessions, max_pages)


def one(slot: int, keep: int, count: int, window: int = 0, restart: int | None = None) -> Pass:
    return Pass(slot, keep, np.zeros(count, np.int32), window, keep if restart is None else restart)


def run(cache: PagedCache, *passes: Pass) -> None:
    cache.apply(cache.plan(passes))


def owners(cache: PagedCache) -> Counter[int]:
    """Count the owners of each page; tail pages are counted from 1,000,000 on."""
    prefix, tail = cache.prefix_table, cache.tail_table
    found = Counter(prefix[prefix >= 0].tolist()) + Counter((tail[tail >= 0] + 1_000_000).tolist())
    assert found.total() == cache.pages_in_use
    return found


def test_pages_are_taken_as_tokens_come_and_given_back_when_they_go() -> None:
    c = cache()
    slot = c.open_slot()
    run(c, one(slot, 0, 5))
    assert (slot_length(c, slot), c.pages_in_use) == (5, 4)  # two of the prefix, two of the tail
    run(c, one(slot, 3, 0))
    assert (slot_length(c, slot), c.pages_in_use) == (3, 2)
    run(c, one(slot, 3, 13))
    assert c.pages_in_use == 8
    run(c, one(slot, 16, 4, window=9))
    assert c.pages_in_use == 5 + 3  # the window's first page holds tokens 8 .. 11
    c.free_slot(slot)
    assert c.pages_in_use == 0


def test_a_slot_holds_a_bounded_tail() -> None:
    c = cache()
    slot = c.open_slot()
    for n in range(CONFIG.positions):
        run(c, one(slot, n, 1, window=max(0, n + 1 - CONFIG.window)))
        assert (c.tail_table >= 0).sum() <= CONFIG.window // CONFIG.page_size + 1
        assert set(owners(c).values()) == {1}


def test_without_a_prefix_no_prefix_pages_are_taken() -> None:
    c = cache(causal_layers=0)
    slot = c.open_slot()
    run(c, one(slot, 0, 8))
    assert c.pages_in_use == 2
    assert (c.prefix_table == -1).all()


def test_no_page_ever_has_two_owners() -> None:
    rng = np.random.default_rng(0)
    c = cache(max_sessions=4, max_pages=36)
    slots = [c.open_slot() for _ in range(4)]
    refused = 0
    for _ in range(300):
        passes = []
        for slot in rng.permutation(slots)[: rng.integers(1, 5)].tolist():
            keep = slot_length(c, slot) if rng.random() < 0.8 else int(rng.integers(0, slot_length(c, slot) + 1))
            count = int(rng.integers(0, min(10, CONFIG.positions - keep) + 1))
            window = max(min(int(c.state[slot, 1]), keep), keep + count - CONFIG.window)
            passes.append(one(slot, keep, count, window, keep + count))
        before = c.prefix_table.copy(), c.tail_table.copy(), c.state.copy()
        try:
            run(c, *passes)
        except OutOfPages:
            refused += 1
            after = c.prefix_table, c.tail_table, c.state
            assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
            evict_slot(c, slots[0])
        if owners(c):
            assert set(owners(c).values()) == {1}
        assert c.pages_in_use <= 36
    assert refused > 5
    for slot in slots:
        c.free_slot(slot)
    assert c.pages_in_use == 0


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (one(2, 0, 1), "not open"),
        (one(-1, 0, 1), "not open"),
        (one(0, 11, 1), "keep must be"),
        (one(0, -1, 1), "keep must be"),
        (one(0, 10, 39, window=40, restart=49), "exceed the model's positions"),
        (one(0, 10, 8, window=1), "window must be"),
        (one(0, 10, 0, window=11), "window must be"),
        (one(0, 10, 1, window=5, restart=4), "restart must be"),
        (one(0, 10, 3, restart=11), "restart must be"),
        (one(1, 20, 1, window=7), "given up"),
        (one(0, 10, 1, restart=10), "no standing state"),
    ],
)
def test_a_broken_rule_is_named_and_changes_nothing(bad: Pass, complaint: str) -> None:
    c = cache()
    first, second = c.open_slot(), c.open_slot()
    run(c, one(first, 0, 8))
    run(c, one(first, 8, 2, restart=10))  # tokens 8 and 9 have no standing state
    run(c, one(second, 0, 16))
    run(c, one(second, 16, 4, window=8))
    before = c.state.copy()
    with pytest.raises(ValueError, match=complaint):
        c.plan([bad])
    with pytest.raises(ValueError, match="two passes"):
        c.plan([one(first, 10, 0, restart=10), one(first, 10, 0, restart=10)])
    assert np.array_equal(before, c.state)


def test_bad_token_ids_are_refused() -> None:
    c = cache()
    slot = c.open_slot()
    for ids in ([0, -1], [CONFIG.vocab_size]):
        with pytest.raises(ValueError, match="token ids"):
            c.plan([Pass(slot, 0, np.array(ids, np.int32), 0, 0)])
    with pytest.raises(ValueError, match="int32"):
        c.plan([Pass(slot, 0, np.zeros(1, np.int64), 0, 0)])  # type: ignore[arg-type]


def test_states_left_out_stand_again_after_a_full_restart() -> None:
    c = cache()
    slot = c.open_slot()
    run(c, one(slot, 0, 10, restart=10))
    run(c, one(slot, 10, 0, window=2, restart=2))
    run(c, one(slot, 10, 1, window=2, restart=9))
    with pytest.raises(ValueError, match="no standing state"):
        c.plan([one(slot, 11, 1, window=1, restart=9)])


def test_slots_are_opened_and_closed() -> None:
    c = cache(max_sessions=2)
    slots = {c.open_slot(), c.open_slot()}
    assert len(slots) == 2
    with pytest.raises(RuntimeError, match="all 2 slots are open"):
        c.open_slot()
    c.free_slot(slots.pop())
    assert c.open_slot() not in slots
    with pytest.raises(ValueError, match="not open"):
        c.free_slot(7)


def test_sizes_must_make_sense() -> None:
    with pytest.raises(ValueError, match="max_sessions must be at least 1"):
        cache(0)
    with pytest.raises(ValueError, match="max_pages must be at least 17"):
        cache(1, 16)
    full = cache(1, 17)
    run(full, one(full.open_slot(), 0, 48, window=35, restart=48))


def test_rows_carry_positions_and_limits() -> None:
    c = cache()
    a, b, d = c.open_slot(), c.open_slot(), c.open_slot()
    run(c, one(a, 0, 6), one(b, 0, 3))
    plan = c.plan([one(a, 5, 2, window=1, restart=4), one(b, 3, 0, restart=3), one(d, 0, 1)])
    prefix, tail = prefix_rows(plan), tail_rows(plan)
    assert (prefix.slots.tolist(), prefix.starts.tolist()) == ([a, d], [0, 2, 3])
    assert prefix.position.tolist() == prefix.last.tolist() == [5, 6, 0]
    assert prefix.first.tolist() == [0, 0, 0]
    assert (tail.slots.tolist(), tail.starts.tolist()) == ([a, d], [0, 3, 4])
    assert tail.position.tolist() == [4, 5, 6, 0]
    assert tail.first.tolist() == [1, 1, 1, 0]
    assert tail.last.tolist() == [6, 6, 6, 0]
