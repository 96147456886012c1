"""Restart pricing: drops or shortens the restarts of a policy whose expected gain is below the current price.

There is one price for all sessions: the maximum of those of the overload governor and of the compute budget. It applies
only to restarts that the policy asks for. What must be computed (new words, words that have seen text that is gone,
closings) is not affected.
"""

from dataclasses import dataclass

from encoder.restart.expected_gain import best_point, expected_changes
from encoder.restart.policies import RestartPolicy
from encoder.restart.standing import PolicyBatch
from stream.overload.budget import Budget
from stream.overload.governor import Governor, OverloadChange

TAKEOVER_TOKENS = 512
"""Tokens of closed contexts of sessions that were taken over that a step computes before their interim labels."""


class RestartPricing:
    """Limits restarts by price, and counts what is lost by that.

    Args:
        governor: raises the price while updates wait too long.
        budget: raises the price while it is being used up.
    """

    def __init__(self, governor: Governor | None, budget: Budget | None) -> None:
        self.governor = governor
        self.budget = budget
        self.shortened = 0
        """Restarts that were shortened so far."""
        self.forgone_changes = 0.0
        """Label changes that the omitted parts of restarts were expected to bring."""
        self.may_defer = governor is not None
        """Whether closed contexts may be computed later than the first label that wants one. Never without a governor:
        then revisions are a function of the messages alone."""
        self.deferred = 0
        """Times that a context was not allowed so far."""
        self._crowded = False
        self._tokens_left = 0
        self._budget_short: tuple[float, int] | None = None
        """Since when the budget is short, and `shortened` at that time."""

    def apply_to(self, policy: RestartPolicy) -> RestartPolicy:
        """Wrap a policy so that its restarts are priced."""
        return PricedPolicy(policy, self) if self.governor or self.budget else policy

    def limit_restart(self, batch: PolicyBatch, segment: int, point: int) -> int:
        """Return the restart point of a segment: `point`, which the policy chose, or a later one."""
        price, words = self.price, int(batch.standing[segment])
        best = point
        if price and point < words:
            changes = expected_changes(batch, segment)
            best = best_point(changes, point, price)
            if best > point:
                self._count_shortened(float(changes[point:best].sum()))
        if self.budget:
            self.budget.reserve(words - best)
        return best

    @property
    def price(self) -> float:
        """Label changes that each recomputed word must be expected to bring."""
        return max(self.governor.price if self.governor else 0.0, self.budget.price if self.budget else 0.0)

    def begin_step(self, crowded: bool) -> None:
        """Begin a step; `crowded`: it leaves operations waiting."""
        self._crowded, self._tokens_left = crowded, TAKEOVER_TOKENS

    def allow_context(self, tokens: int, taken_over: bool) -> bool:
        """Tell whether an open segment is to wait for the closed context of its session, which is not cached.

        While updates wait too long, none is. Otherwise the sessions that were taken over from another worker get
        theirs one after the other, a few in each step, so that no label of the others waits for all of them.

        Args:
            tokens: of the context.
            taken_over: whether the session was restored, and its context not computed since.
        """
        if not self.may_defer:
            return True
        if self._crowded or self.price > 0 or (taken_over and self._tokens_left <= 0):
            self.deferred += 1
            return False
        self._tokens_left -= tokens if taken_over else 0
        return True

    @property
    def restarts_limited(self) -> bool:
        """Whether the governor or the budget limits restarts at present."""
        return self._budget_short is not None or (self.governor is not None and self.governor.overloaded)

    def observe(self, waited: float, now: float, *, crowded: bool = False) -> OverloadChange | None:
        """Report the time to governor and budget (`Governor.observe`); returns a change if limiting begins or ends.

        If both change at once, the change of the budget is returned by the next call.
        """
        if self.budget:
            self.budget.refill(now)
        change = self.governor.observe(waited, now, crowded=crowded) if self.governor else None
        return change or self._check_budget(now)

    def next_wakeup(self) -> float | None:
        """Note that no operation waits; returns the seconds after which `observe` is due even if no message comes.

        None: only a message makes it due.
        """
        waits = []
        if self.governor:
            self.governor.note_idle()
            waits += [self.governor.target] if self.governor.overloaded else []
        if self.budget and self._budget_short is not None:
            waits.append(self.budget.seconds_to_fill)
        return min(waits, default=None)

    def _count_shortened(self, forgone_changes: float) -> None:
        self.shortened += 1
        self.forgone_changes += forgone_changes
        if self.governor:
            self.governor.shortened += 1

    def _check_budget(self, now: float) -> OverloadChange | None:
        """The budget is short from its first price above 0 until it is full again."""
        if self.budget is None:
            return None
        if self._budget_short is None and self.budget.price:
            self._budget_short = (now, self.shortened)
            return OverloadChange(True, 0.0, 0.0, 0, "budget")
        if self._budget_short is not None and self.budget.full:
            (began, shortened), self._budget_short = self._budget_short, None
            return OverloadChange(False, 0.0, now - began, self.shortened - shortened, "budget")
        return None


@dataclass(frozen=True, slots=True)
class PricedPolicy:
    """Restart policy whose restarts are limited by price."""

    policy: RestartPolicy
    pricing: RestartPricing

    def allow_context(self, tokens: int, taken_over: bool) -> bool:
        """Tell whether a segment is to wait for its context (`RestartPricing.allow_context`)."""
        return self.pricing.allow_context(tokens, taken_over)

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Return the points of the policy or later ones; the price rises with what earlier segments have reserved."""
        points = self.policy.restart_points(batch)
        return [self.pricing.limit_restart(batch, segment, point) for segment, point in enumerate(points)]
