"""Random histories of sessions at token level, and the same closed segments fed whole to a fresh session."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from encoder.session.plan import SegmentPlan, SegmentRows
from encoder.session.pool import SessionPool, run_plans
from encoder.session.session_encoder import SessionEncoder

Tokens = NDArray[np.int32]
Scores = NDArray[np.float32]

SESSIONS = 3
NONE = np.zeros((0, 1), np.float32)
"""Scores of no token."""
KINDS = (
    "grow",
    "grow",
    "grow",
    "rewrite",
    "rewrite",
    "shrink",
    "close",
    "close",
    "say",
    "say",
    "edit",
    "delete",
    "evict",
)
SAID = 99
"""What `say` opens and closes in one step."""

Op = tuple[int, str, int, int, int, int]
"""session, kind, segment, where, count, seed"""

COUNTS = st.one_of(st.integers(0, 4), st.integers(0, 20), st.integers(0, 70))
OPS = st.tuples(
    st.integers(0, SESSIONS - 1),
    st.sampled_from(KINDS),
    st.integers(0, 2),
    st.integers(0, 1000),
    COUNTS,
    st.integers(0, 1 << 16),
)
HISTORIES = st.lists(OPS, min_size=8, max_size=24)


def make_tokens(count: int, seed: int) -> Tokens:
    return np.random.default_rng(seed).integers(5, 80, count).astype(np.int32)


def put(scores: Scores, keep: int, count: int, found: Sequence[SegmentRows]) -> Scores:
    """What stands of `scores` after an update to `count` tokens, the first `keep` of which stood."""
    width = max([scores.shape[1], *(rows.logits.shape[1] for rows in found)])
    after = np.full((count, width), np.nan, np.float32)
    after[:keep, : scores.shape[1]] = scores[:keep]
    assert len(found) <= 1
    for rows in found:
        assert rows.first + len(rows.logits) == count
        after[rows.first :] = rows.logits
    assert not np.isnan(after).any(), "a token without a score"
    return after if count else NONE


@dataclass
class Segment:
    name: str
    tokens: Tokens
    scores: Scores


@dataclass
class History:
    """One session as its caller sees it."""

    pool: SessionPool
    session: SessionEncoder
    open: dict[int, Segment] = field(default_factory=dict)
    closed: list[Segment] = field(default_factory=list)
    """In order of closing, with the texts that the context is to hold."""
    opened: int = 0

    def plan(self, op: Op, wish: int | None) -> tuple[SegmentPlan, Segment, int] | None:
        """Begin an operation: the plan, the segment, and its tokens that stand; None if nothing is to be run."""
        _, kind, which, where, count, seed = op
        if kind in ("grow", "rewrite", "shrink"):
            return self._plan_update(kind, which, where, count, seed, wish)
        if kind == "say":
            return self._plan_update("grow", SAID, where, count % 16, seed, wish)
        recent = self.closed[-1 - where % min(len(self.closed), 5)] if self.closed else None
        if kind == "evict":
            self.session.evict()
        elif kind == "edit" and recent is not None:
            return self._plan_edit(recent, make_tokens(count % 40, seed))
        elif kind == "delete" and where % 3 and recent is not None:
            if in_context(self.session, recent.name):
                self.closed.remove(recent)
            self.session.delete_segment(recent.name)
        elif kind == "delete" and which in self.open:
            self.session.delete_segment(self.open.pop(which).name)
        return None

    def _plan_update(
        self, kind: str, which: int, where: int, count: int, seed: int, wish: int | None
    ) -> tuple[SegmentPlan, Segment, int]:
        if which not in self.open:
            self.opened += 1
            self.open[which] = Segment(f"segment {self.opened}", make_tokens(0, 0), NONE)
        segment = self.open[which]
        held = len(segment.tokens)
        keep = held if kind == "grow" or not held else held - 1 - where % min(held, 40)
        added = make_tokens(0 if kind == "shrink" else count, seed)
        segment.tokens = np.concatenate([segment.tokens[:keep], added])
        point = where % (held + 1) if wish is None else wish
        return self.session.plan_update(segment.name, segment.tokens, keep, point), segment, keep

    def _plan_edit(self, segment: Segment, tokens: Tokens) -> tuple[SegmentPlan, Segment, int]:
        if in_context(self.session, segment.name):
            keep = len(tokens) if np.array_equal(tokens, segment.tokens) else 0
            segment.tokens = tokens
        else:  # the context goes on with the old text
            segment, keep = Segment(segment.name, tokens, segment.scores), 0
        return self.session.plan_edit(segment.name, tokens), segment, keep

    def finish(self, segment: Segment, keep: int, found: Sequence[SegmentRows]) -> None:
        segment.scores = put(segment.scores, keep, len(segment.tokens), found)


def run_step(
    histories: Sequence[History], ops: Sequence[Op], wish: int | None = None
) -> list[tuple[History, Segment, str]]:
    """Run one step, at most one operation a session, packed; tells which segments were updated, edited or closed."""
    pool = histories[0].pool
    begun = [(histories[op[0]], op[1], plan) for op in ops if (plan := histories[op[0]].plan(op, wish)) is not None]
    for (h, _, (_, segment, keep)), found in zip(begun, run_plans(pool, [p[0] for _, _, p in begun]), strict=True):
        h.finish(segment, keep, found)
    changed = [(h, p[1], "edit" if kind == "edit" else "update") for h, kind, p in begun if kind != "say"]
    ending = [(histories[op[0]], SAID if op[1] == "say" else op[2]) for op in ops if op[1] in ("close", "say")]
    closing = [(h, h.open.pop(which)) for h, which in ending if which in h.open]
    plans = [h.session.plan_close(segment.name) for h, segment in closing]
    for (h, segment), found in zip(closing, run_plans(pool, plans), strict=True):
        h.finish(segment, len(segment.tokens), found)
        h.closed.append(segment)
        changed.append((h, segment, "close"))
    return changed


class Offline:
    """Feeds closed segments whole to a fresh session; goes on with the same session while the history only grows."""

    def __init__(self, pool: SessionPool) -> None:
        self.pool = pool
        self.session = pool.open_session()
        self.fed: list[Tokens] = []

    def score(self, context: Sequence[Tokens], tokens: Tokens) -> Scores:
        """Scores of a whole segment after these closed ones."""
        if [t.tolist() for t in context[: len(self.fed)]] != [t.tolist() for t in self.fed]:
            self.session.free()
            self.session, self.fed = self.pool.open_session(), []
        for closed in context[len(self.fed) :]:
            self._feed(closed)
            assert run_plans(self.pool, [self.session.plan_close("segment")]) == [[]]
            self.fed.append(closed)
        scores = self._feed(tokens)
        self.session.delete_segment("segment")
        return scores

    def _feed(self, tokens: Tokens) -> Scores:
        (found,) = run_plans(self.pool, [self.session.plan_update("segment", tokens, 0, 0)])
        return put(NONE, 0, len(tokens), found)


def assert_same(got: Scores, want: Scores) -> None:
    """Scores equal to 1e-4, labels too but for ties."""
    np.testing.assert_allclose(got, want, atol=1e-4, rtol=0)
    for a, b in zip(got.argmax(1), want, strict=True):
        assert b[a] >= b.max() - 1e-4


def in_context(session: SessionEncoder, segment: str) -> bool:
    """Whether a closed segment can still be edited at its place."""
    return session._context.find(segment) >= 0


def tokens_held(session: SessionEncoder) -> int:
    """Tokens that the session itself remembers, for its open segments and its context."""
    closed = {*session._context.closed, *(span.segment for span in session._context.base)}
    return sum(len(x.tokens) for x in closed) + sum(len(x.tokens) for x in session._open.values())
