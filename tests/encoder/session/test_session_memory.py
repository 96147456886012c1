"""Memory and work stay flat however long a session lasts. Work is counted, not timed."""

import numpy as np

from encoder.runtime.encoder import HybridEncoder
from encoder.session.pool import SessionPool, run_plans
from encoder.session.session_encoder import SessionEncoder
from tests.encoder.histories import make_tokens, tokens_held
from tests.tiny import tiny_checkpoint

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
        self._most_held = max(self._most_held, tokens_held(self.session))

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
    session = pool.open_session()
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
