"""Memory and work stay flat however long a session lasts. Work is counted, not timed."""

import numpy as np

from encoder.runtime.encoder import HybridEncoder
from encoder.session.pool import SessionEncoder, SessionPool, run_plans
from tests.encoder.hash_encoder import HashEncoder
from tests.encoder.histories import make_tokens
from tests.encoder.session.test_session import hashes
from tests.tiny import tiny_checkpoint, tiny_config

WORDS = 200_000
PARTS = 10


class Watch:
    """Reads what a pool and one of its sessions hold and do, part by part of a long run."""

    def __init__(self, pool: SessionPool, session: SessionEncoder) -> None:
        self.pool, self.session = pool, session
        self.pages: list[int] = []
        self.held: list[int] = []
        self.computed: list[int] = []
        self._most_pages = self._most_held = self._before = 0

    def look(self) -> None:
        self._most_pages = max(self._most_pages, self.pool.encoder.pages_in_use)
        self._most_held = max(self._most_held, self.session.tokens_held)

    def end_part(self) -> None:
        self.pages.append(self._most_pages)
        self.held.append(self._most_held)
        self.computed.append(self.pool.work.computed - self._before)
        self._most_pages = self._most_held = 0
        self._before = self.pool.work.computed

    def assert_flat(self, most_held: int) -> None:
        config = self.pool.encoder.config
        most_pages = config.positions // config.page_size + config.window // config.page_size + 1
        assert len(self.pages) == PARTS
        assert max(self.pages) <= most_pages
        assert self.pages[-1] <= self.pages[0]
        assert max(self.held) <= most_held
        assert self.computed[-1] <= 1.02 * self.computed[0]


def model_pool() -> SessionPool:
    checkpoint = tiny_checkpoint(positions=192, window=64)
    return SessionPool(HybridEncoder(checkpoint, max_sessions=2, kernels="numba", number_format="float32"))


def test_many_closed_segments():
    pool = model_pool()
    session = pool.open()
    watch = Watch(pool, session)
    lengths: list[int] = np.random.default_rng(0).permutation(np.repeat([5, 25, 70, 100, 500], 29)).tolist()
    fed = 0
    for part in range(PARTS):
        for i, count in enumerate(lengths):
            name, tokens = (part, i), make_tokens(count, i)
            run_plans(pool, [session.plan_update(name, tokens[: count // 2], 0, 0)])
            run_plans(pool, [session.plan_update(name, tokens, count // 2, count // 2)])
            run_plans(pool, [session.plan_close(name)])
            fed += count
            watch.look()
        watch.end_part()
    assert fed >= WORDS
    config = pool.encoder.config
    watch.assert_flat(2 * (config.positions + max(lengths)))
    assert watch.computed[-1] <= 4 * WORDS // PARTS


def grow(pool: SessionPool, session: SessionEncoder, total: int, step: int, watch: Watch | None = None) -> None:
    for part in range(PARTS):
        for i in range(total // PARTS // step):
            run_plans(pool, [session.plan_append("endless", make_tokens(step, part + i), 1 << 40)])
            if watch is not None:
                watch.look()
        if watch is not None:
            watch.end_part()


def test_one_endless_segment():
    pool = model_pool()
    session = pool.open()
    watch = Watch(pool, session)
    grow(pool, session, WORDS, 100, watch)
    watch.assert_flat(17 * pool.encoder.config.positions)
    assert watch.computed[-1] <= 4 * WORDS // PARTS
    run_plans(pool, [session.plan_close("endless")])
    assert session.tokens_held <= 17 * pool.encoder.config.positions
    run_plans(pool, [session.plan_update("next", make_tokens(5, 5), 0, 0)])
    run_plans(pool, [session.plan_close("next")])
    assert session.tokens_held <= 18 * pool.encoder.config.positions


def test_an_endless_segment_that_let_go_of_its_head_goes_on_exactly():
    whole = np.concatenate([make_tokens(7, part + i) for part in range(PARTS) for i in range(200)])
    kept, grown = hashes(), hashes()
    one, other = kept.open(), grown.open()
    run_plans(kept, [one.plan_update("endless", whole, 0, 0)])
    grow(grown, other, 200 * PARTS * 7, 7)
    assert other.tokens_held < len(whole) / 2
    for evict in (False, True):
        if evict:
            other.evict()
        whole = np.concatenate([whole, make_tokens(30, 3)])
        ((want,),) = run_plans(kept, [one.plan_update("endless", whole, len(whole) - 30, 0)])
        ((got,),) = run_plans(grown, [other.plan_append("endless", make_tokens(30, 3), 0)])
        assert got.first + len(got.logits) == len(whole)
        count = min(len(want.logits), len(got.logits))
        assert np.array_equal(got.logits[-count:], want.logits[-count:])
    for pool, session in ((kept, one), (grown, other)):
        assert run_plans(pool, [session.plan_close("endless")]) == [[]]
    other.evict()
    ((want,),) = run_plans(kept, [one.plan_update("next", make_tokens(30, 4), 0, 0)])
    ((got,),) = run_plans(grown, [other.plan_update("next", make_tokens(30, 4), 0, 0)])
    assert np.array_equal(got.logits, want.logits)


def test_appending_equals_updating():
    pool = SessionPool(HashEncoder(tiny_config()))  # type: ignore[arg-type]
    one, other = pool.open(), pool.open()
    tokens = make_tokens(100, 0)
    for end in range(5, 101, 5):
        ((want,),) = run_plans(pool, [one.plan_update("a", tokens[:end], end - 5, end - 8)])
        ((got,),) = run_plans(pool, [other.plan_append("a", tokens[end - 5 : end], end - 8)])
        assert got.first == want.first
        assert np.array_equal(got.logits, want.logits)
