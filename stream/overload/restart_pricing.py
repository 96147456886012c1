"""The restarts that are done of those the policy asks for: one price for all sessions, whatever it comes from.

Wraps the policy, so that a session asks as ever, one by one. What has to be computed (new words, words that saw text
that is gone, closings) does not ask and is not touched.
"""

from dataclasses import dataclass

from encoder.restart.expected_gain import best_point, expected_changes
from encoder.restart.policies import RestartPolicy
from encoder.restart.standing import PolicyBatch
from stream.overload.budget import Budget
from stream.overload.governor import Governor, OverloadChange


class RestartPricing:
    """What a governor and a budget leave of restarts, and what is left forgone_changes for it.

    Args:
        governor: makes restarts scarce while updates wait too long.
        budget: makes them scarce while it is spent.
    """

    def __init__(self, governor: Governor | None, budget: Budget | None) -> None:
        self.governor = governor
        self.budget = budget
        self.shortened = 0
        """Restarts that were shortened so far."""
        self.forgone_changes = 0.0
        """Label changes that they were expected to bring beyond what was done."""
        self._began: tuple[float, int] | None = None
        """Since when the budget is short, and what had been shortened before."""

    def apply_to(self, policy: RestartPolicy) -> RestartPolicy:
        """Give a policy that pays the price."""
        return PricedPolicy(policy, self) if self.governor or self.budget else policy

    def limit_restart(self, batch: PolicyBatch, segment: int, point: int) -> int:
        """Give the restart point of a segment instead of the policy's `point`: the same one or a later one."""
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
        """Changes that a word computed again has to bring at present."""
        return max(self.governor.price if self.governor else 0.0, self.budget.price if self.budget else 0.0)

    @property
    def restarts_limited(self) -> bool:
        """Whether a governor or a budget makes restarts scarce."""
        return self._began is not None or (self.governor is not None and self.governor.overloaded)

    def observe(self, waited: float, now: float, *, crowded: bool = False) -> OverloadChange | None:
        """Tell governor and budget the time (`Governor.observe`); says if restarts begin or end to be shortened.

        If both have something to say, the budget does at the next look.
        """
        if self.budget:
            self.budget.refill(now)
        shift = self.governor.observe(waited, now, crowded=crowded) if self.governor else None
        return shift or self._check_budget(now)

    def next_wakeup(self) -> float | None:
        """Nothing waits; gives the seconds after which `observe` is to be asked again although nothing came."""
        waits = []
        if self.governor:
            self.governor.note_idle()
            waits += [self.governor.target] if self.governor.overloaded else []
        if self.budget and self._began is not None:
            waits.append(self.budget.seconds_to_fill)
        return min(waits, default=None)

    def _count_shortened(self, forgone_changes: float) -> None:
        self.shortened += 1
        self.forgone_changes += forgone_changes
        if self.governor:
            self.governor.shortened += 1

    def _check_budget(self, now: float) -> OverloadChange | None:
        """The budget is short from the first price on and until it is full again."""
        if self.budget is None:
            return None
        if self._began is None and self.budget.price:
            self._began = (now, self.shortened)
            return OverloadChange(True, 0.0, 0.0, 0, "budget")
        if self._began is not None and self.budget.full:
            (began, shortened), self._began = self._began, None
            return OverloadChange(False, 0.0, now - began, self.shortened - shortened, "budget")
        return None


@dataclass(frozen=True, slots=True)
class PricedPolicy:
    """A policy whose restarts may be shortened."""

    policy: RestartPolicy
    pricing: RestartPricing

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Give the policy's points or later ones; each segment pays from what those before it have left."""
        points = self.policy.restart_points(batch)
        return [self.pricing.limit_restart(batch, segment, point) for segment, point in enumerate(points)]
