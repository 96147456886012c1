"""A compute budget: what may be spent a second, and the price of a restart that follows from what is left of it.

A *budget* is a bucket that time fills. Each step empties it by what it really cost, closings, new words and words whose
text was rewritten included: those are always computed, so the bucket may go below nothing, and then restarts wait until
it has filled again. What is left buys restarts where most labels are expected to change a word
(`encoder.restart.expected_gain`).

Sessions are planned one by one, so they meet in a price, not in a list that is sorted: at one price for all, those bids
are taken whose changes are worth it, which are the best for what they cost together (the Lagrangian of the knapsack).
The price follows from the level alone, 0 down to half of the bucket and infinite at its bottom, so it settles
where as much is spent as comes in, and a budget that is never half spent changes no byte. It is the same for all
sessions of a step, or those planned first would always win. What the step has bought is booked before it has run, so
that it cannot buy more than is left.

Who doubts alike is served alike: whoever is refused has more unread words each time, each with more that it has not
seen, so its best bid rises with the logarithm of its wait. That bridges small differences only. Beside sessions that
doubt much more, one that doubts little may get nothing before its segment closes, which is always computed.

It has no clock: who has one tells it the time. If nobody does, nothing is shortened.
"""

from math import inf
from typing import Literal

Unit = Literal["flops", "seconds"]

BURST_SECONDS = 1.0
"""Seconds of the budget that the bucket holds."""
FREE_FRACTION = 0.5
"""The part of the bucket down to which restarts cost nothing."""
LOWEST_PRICE, HIGHEST_PRICE = 0.004, 0.5
"""Prices, in changes a word, between which it rises by equal factors while the other half is spent."""


class Budget:
    """What an engine may spend a second; for the thread that steps it.

    Over any time it holds that what restarts cost is at most what time brought and one full bucket, beyond one step's
    error of estimate. What has to be computed comes first: restarts get what it leaves.

    Args:
        rate: FLOPs a second, or seconds of the compute thread a second.
        unit: which of them.
    """

    def __init__(self, rate: float, unit: Unit = "flops") -> None:
        assert rate > 0, "no budget at all stands for no limit"
        self.unit: Unit = unit
        self.size = BURST_SECONDS * rate
        self.level = self.size
        """What is left, in the budget's unit."""
        self._rate = rate
        self._refilled_at: float | None = None
        self._reserved = 0.0
        """What this step has bought and not yet paid for."""
        self._cost_per_word = 0.0
        """What a computed word costs, of late."""

    @property
    def price(self) -> float:
        """Changes that a word computed again has to bring; infinite when all is spent."""
        if self._refilled_at is None:
            return 0.0
        if self.level <= self._reserved:
            return inf
        left = self.level / (FREE_FRACTION * self.size)
        return 0.0 if left >= 1 else HIGHEST_PRICE * (LOWEST_PRICE / HIGHEST_PRICE) ** left

    @property
    def full(self) -> bool:
        """Whether all that was spent has come back."""
        return self.level >= self.size

    @property
    def seconds_to_fill(self) -> float:
        """How long it takes until it is full if nothing is spent."""
        return (self.size - self.level) / self._rate

    def refill(self, now: float) -> None:
        """Let the time be `now`, in seconds of any rising clock."""
        if self._refilled_at is not None:
            self.level = min(self.size, self.level + self._rate * max(0.0, now - self._refilled_at))
        self._refilled_at = now

    def reserve(self, words: int) -> None:
        """A restart over so many standing words was bought for the next step."""
        self._reserved += words * self._cost_per_word

    def charge(self, cost: float, words: int) -> None:
        """A step has cost so much, in the budget's unit, and computed so many words; nothing else is booked then.

        Costs count from the first time that is told.
        """
        self._reserved = 0.0
        if words:
            share = cost / words
            self._cost_per_word = (
                share if not self._cost_per_word else self._cost_per_word + (share - self._cost_per_word) / 8
            )
        if self._refilled_at is not None:
            self.level -= cost
