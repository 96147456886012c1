"""The restarts that are done of those the policy asks for: one price for all sessions, whatever it comes from.

Wraps the policy, so that a session asks as ever, one by one. What has to be computed (new words, words that saw text
that is gone, closings) does not ask and is not touched.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from encoder.restart.batch_policies import BatchPolicy, PolicyBatch, restart_points
from encoder.restart.expected_gain import best_point, expected_changes
from encoder.restart.policies import RestartPolicy, StandingWords
from stream.overload.budget import Budget
from stream.overload.governor import Governor, OverloadChange


class RestartPricing:
    """What a governor and a budget leave of restarts, and what is left undone for it.

    Args:
        governor: makes restarts scarce while updates wait too long.
        budget: makes them scarce while it is spent.
    """

    def __init__(self, governor: Governor | None, budget: Budget | None) -> None:
        self.governor = governor
        self.budget = budget
        self.shortened = 0
        """Restarts that were shortened so far."""
        self.undone = 0.0
        """Label changes that they were expected to bring beyond what was done."""
        self._began: tuple[float, int] | None = None
        """Since when the budget is short, and what had been shortened before."""

    def govern(self, policy: RestartPolicy) -> RestartPolicy:
        """Give a policy that pays the price."""
        return PricedPolicy(policy, self) if self.governor or self.budget else policy

    def limit(self, words: int, point: int, standing: Callable[[], StandingWords]) -> int:
        """Give the restart point instead of the policy's `point`, the same one or a later.

        Args:
            words: how many stand.
            point: the policy's.
            standing: gives the words; it is only asked where a price is to be paid.
        """
        price = self.price
        best = point
        if price and point < words:
            changes = expected_changes(standing())
            best = best_point(changes, point, price)
            if best > point:
                self._shorten(float(changes[point:best].sum()))
        if self.budget:
            self.budget.book(words - best)
        return best

    @property
    def price(self) -> float:
        """Changes that a word computed again has to bring at present."""
        return max(self.governor.price if self.governor else 0.0, self.budget.price if self.budget else 0.0)

    @property
    def shortens(self) -> bool:
        """Whether a governor or a budget makes restarts scarce."""
        return self._began is not None or (self.governor is not None and self.governor.overloaded)

    def observe(self, waited: float, now: float, *, crowded: bool = False) -> OverloadChange | None:
        """Tell governor and budget the time (`Governor.observe`); says if restarts begin or end to be shortened.

        If both have something to say, the budget does at the next look.
        """
        if self.budget:
            self.budget.refill(now)
        shift = self.governor.observe(waited, now, crowded=crowded) if self.governor else None
        return shift or self._look(now)

    def rest(self) -> float | None:
        """Nothing waits; gives the seconds after which `observe` is to be asked again although nothing came."""
        waits = []
        if self.governor:
            self.governor.rest()
            waits += [self.governor.target] if self.governor.overloaded else []
        if self.budget and self._began is not None:
            waits.append(self.budget.seconds_to_fill)
        return min(waits, default=None)

    def _shorten(self, undone: float) -> None:
        self.shortened += 1
        self.undone += undone
        if self.governor:
            self.governor.shortened += 1

    def _look(self, now: float) -> OverloadChange | None:
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
class PricedPolicy(BatchPolicy):
    """A policy whose restarts may be shortened."""

    policy: RestartPolicy
    spending: RestartPricing

    def point(self, standing: StandingWords) -> int:
        """Give the policy's point, or a later one."""
        point = min(max(self.policy.point(standing), 0), standing.words)
        return self.spending.limit(standing.words, point, lambda: standing)

    def points(self, ask: PolicyBatch) -> list[int]:
        """The same for all segments of a step: each pays what those before it have left."""
        asked = zip(ask.segments[:, 1].tolist(), restart_points(self.policy, ask), strict=True)
        return [self.spending.limit(words, point, partial(ask.standing, i)) for i, (words, point) in enumerate(asked)]
