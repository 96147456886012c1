"""All sessions of one encoder: their plans are run packed, and the least recently used session is evicted.

The interface of the session level; what a session computes, and why, is in `encoder.session.session_encoder`.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.runtime.interface import Encoder
from encoder.runtime.passes import OutOfPages, Pass
from encoder.session.closed_context import WindowRules
from encoder.session.plan import PlanningSession, SegmentPlan, SegmentRows
from encoder.session.session_encoder import SessionEncoder


@dataclass(slots=True)
class PoolWork:
    """Counts of what a pool has done since it was made."""

    rounds: int = 0
    """Packed steps of the encoder."""
    passes: int = 0
    appended: int = 0
    """Tokens through the prefix."""
    computed: int = 0
    """Tokens through the tail."""
    flops: int = 0
    evictions: int = 0


class SessionPool:
    """All sessions of one encoder; those with a slot are kept in order of use, the least recently used first."""

    def __init__(
        self, encoder: Encoder, *, max_sessions: int = 1024, starts_word: NDArray[np.bool_] | None = None
    ) -> None:
        """Take the encoder over.

        Args:
            encoder: with all slots free.
            max_sessions: slots that it has; there may be more sessions, those without a slot are evicted.
            starts_word: (vocabulary,) tokens that begin a word; see `WindowRules`.
        """
        self.encoder = encoder
        self.work = PoolWork()
        self._max_sessions = max_sessions
        config = encoder.config
        self._rules = WindowRules(config.positions, config.window, starts_word, config.start_mark)
        self._lru: OrderedDict[PlanningSession, None] = OrderedDict()

    def open_session(self) -> SessionEncoder:
        """Open a session; it takes no slot or page before its first plan runs."""
        return SessionEncoder(self.release_slot, self._rules)

    def release_slot(self, session: PlanningSession) -> None:
        """Take a session's slot back; only the session calls this, as it has to forget what the slot held."""
        if session.slot is not None:
            self.encoder.free_slot(session.slot)
            session.slot = None
            del self._lru[session]

    def run(self, plans: Sequence[SegmentPlan]) -> None:
        """Run plans until all are done; each round is one packed step with the next pass of each plan."""
        active, limit = list(plans), self._max_sessions
        while active := [plan for plan in active if not self._is_done(plan)]:
            limit = self._run_round(active, limit)

    def run_in_slices(self, plan: SegmentPlan) -> Iterator[None]:
        """Run one plan, and yield after each of its passes; plans of other sessions may be run meanwhile.

        A session that is evicted meanwhile begins again, and is then run to its end at once. Otherwise two sessions
        that need the same memory would take it from each other for ever.
        """
        begun = evicted = False
        while not self._is_done(plan):
            evicted = evicted or (begun and plan.session.slot is None)
            self._run_round([plan], 1)
            begun = True
            if not evicted:
                yield

    def _run_round(self, active: list[SegmentPlan], limit: int) -> int:
        """Run the next pass of the first `limit` plans; returns how many plans fit into the next round."""
        batch = active[:limit]
        self._assign_slots(batch)
        steps = [(plan, one) for plan in batch if (one := plan.session.next_pass(plan)) is not None]
        try:
            self._step(steps)
        except OutOfPages:
            if not self._evict_others(batch, active, [one for _, one in steps]):
                if len(steps) < 2:
                    raise
                return len(steps) // 2
        return limit

    def _is_done(self, plan: SegmentPlan) -> bool:
        return plan.done and (plan.closes is None or plan.session.next_pass(plan) is None)

    def _step(self, steps: list[tuple[SegmentPlan, Pass]]) -> None:
        if not steps:
            return
        passes = [one for _, one in steps]
        flops = self.encoder.flops(passes)
        scores = self.encoder.step(passes)
        bounds = scores.starts.tolist()
        read = 0
        for (plan, one), first, end in zip(steps, bounds[:-1], bounds[1:], strict=True):
            plan.session.record_pass(plan, one, scores.logits[first:end])
            if one.words is not None:
                plan.read_words(scores.words[read : read + len(one.words.last)])
                read += len(one.words.last)
            self._lru.move_to_end(plan.session)
        self.work.appended += sum([len(one.tokens) for one in passes])
        self.work.computed += bounds[-1]
        self.work.flops += flops
        self.work.passes += len(steps)
        self.work.rounds += 1

    def _assign_slots(self, batch: list[SegmentPlan]) -> None:
        """Give every session of the batch a slot."""
        for plan in batch:
            if plan.session.slot is None:
                if len(self._lru) == self._max_sessions:
                    busy = {other.session for other in batch}
                    self._evict(next(session for session in self._lru if session not in busy))
                plan.session.slot = self.encoder.open_slot()
                self._lru[plan.session] = None

    def _evict_others(self, batch: list[SegmentPlan], active: list[SegmentPlan], passes: list[Pass]) -> bool:
        """Evict sessions outside the batch, those that this run still needs last; False if there are none."""
        busy, waiting = {plan.session for plan in batch}, {plan.session for plan in active}
        victims = sorted((session for session in self._lru if session not in busy), key=lambda s: s in waiting)
        need = sum(self.encoder.pages_needed(one) for one in passes)
        for count, victim in enumerate(victims):
            if count and self.encoder.pages_total - self.encoder.pages_in_use >= need:
                break
            self._evict(victim)
        return bool(victims)

    def _evict(self, session: PlanningSession) -> None:
        session.evict()
        self.work.evictions += 1


def run_plans(pool: SessionPool, plans: Sequence[SegmentPlan]) -> list[list[SegmentRows]]:
    """Run plans of different sessions packed: round r is the r-th pass of each.

    Returns:
        For each plan its new scores: no element (nothing was computed) or one contiguous `SegmentRows`.

    Raises:
        OutOfPages: one session alone needs more pages than the encoder has.
    """
    assert len({plan.session for plan in plans}) == len(plans), "at most one plan of a session at a time"
    pool.run(plans)
    return [plan.rows() for plan in plans]
