"""Compute budget: a token bucket of compute, and the price of a restart that follows from its level.

Time fills the bucket. Each step is charged its real cost, including closings, new words and words whose text was
rewritten. Those are always computed, so the level may fall below zero; restarts then wait until it has risen again.
What is left buys the restarts that are expected to change most labels for each word (`encoder.restart.expected_gain`).

Sessions are planned one by one, so restarts are not sorted into one list; they are compared with one price. At a
common price, those bids are accepted whose changes are worth it, and they are the best ones for what they cost together
(the Lagrangian of the knapsack problem). The price follows from the level alone: 0 down to half of the bucket, infinite
at its bottom. It settles where as much is spent as comes in, and a budget that is never half spent changes no byte. It
is the same for all sessions of a step, or those planned first would always win. What a step has bought is reserved
before it has run, so that it cannot buy more than is left.

Sessions with similar uncertainty are served alike: a session that is refused has more words that were not recomputed
each time, and each has more text that it has not seen, so its best bid rises with the logarithm of its wait. That
evens out small differences only. Beside sessions that are much more uncertain, one with little uncertainty may get no
restart before its segment closes, which is always computed.

The budget has no clock; its caller reports the time. If no time is reported, no restart is limited.
"""

from math import inf
from typing import Literal

Unit = Literal["flops", "seconds"]

BURST_SECONDS = 1.0
"""Size of the bucket, in seconds of its rate."""
FREE_FRACTION = 0.5
"""Fraction of the bucket down to which the price is 0."""
LOWEST_PRICE, HIGHEST_PRICE = 0.004, 0.5
"""Range of the price, in changes per word. It rises geometrically while the rest of the bucket is spent."""


class Budget:
    """Compute that an engine may spend per second. Only the thread that steps the engine may use it.

    Over any period restarts cost at most what the period brought plus one full bucket, apart from the estimation error
    of one step. What must be computed comes first; restarts get what it leaves.

    Args:
        rate: FLOPs per second, or seconds of the compute thread per second.
        unit: of the rate.
    """

    def __init__(self, rate: float, unit: Unit = "flops") -> None:
        assert rate > 0, "a budget has a rate above 0; without a limit there is no budget"
        self.unit: Unit = unit
        self.size = BURST_SECONDS * rate
        self.level = self.size
        """What is left, in the unit of the budget."""
        self._rate = rate
        self._refilled_at: float | None = None
        self._reserved = 0.0
        """Estimated cost of the restarts of the current step, which was not charged yet."""
        self._cost_per_word = 0.0
        """Moving average of the cost of a computed word."""

    @property
    def price(self) -> float:
        """Label changes that each recomputed word must be expected to bring; infinite when all is spent."""
        if self._refilled_at is None:
            return 0.0
        if self.level <= self._reserved:
            return inf
        left = self.level / (FREE_FRACTION * self.size)
        return 0.0 if left >= 1 else HIGHEST_PRICE * (LOWEST_PRICE / HIGHEST_PRICE) ** left

    @property
    def full(self) -> bool:
        """Whether the bucket is full."""
        return self.level >= self.size

    @property
    def seconds_to_fill(self) -> float:
        """Seconds until the bucket is full if nothing is spent."""
        return (self.size - self.level) / self._rate

    def refill(self, now: float) -> None:
        """Fill the bucket up to the time `now`, in seconds of any monotonic clock."""
        if self._refilled_at is not None:
            self.level = min(self.size, self.level + self._rate * max(0.0, now - self._refilled_at))
        self._refilled_at = now

    def reserve(self, words: int) -> None:
        """Reserve the cost of a restart over `words` standing words in the next step."""
        self._reserved += words * self._cost_per_word

    def charge(self, cost: float, words: int) -> None:
        """Charge a step that cost `cost`, in the unit of the budget, and computed `words`; clears what was reserved.

        Costs before the first `refill` are not charged.
        """
        self._reserved = 0.0
        if words:
            share = cost / words
            self._cost_per_word = (
                share if not self._cost_per_word else self._cost_per_word + (share - self._cost_per_word) / 8
            )
        if self._refilled_at is not None:
            self.level -= cost
