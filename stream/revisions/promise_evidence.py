"""Evidence against a promise: an e-process for "the mean loss of a unit is at most alpha" (docs/promise.md).

Losses L_1, L_2, ... are in [0, 1], each of one unit (a session). The null hypothesis is that each has a mean of at most
alpha, given all units before it. For a bet b the capital prod_i (1 + b (L_i - alpha)), 0 <= b < 1 / alpha, is then a
nonnegative supermartingale that begins at 1, and so is every mixture of such capitals over bets and over the unit after
which the betting begins. By Ville's inequality the mixture ever reaches 1 / epsilon with a probability of at most
epsilon, however often one looks.

The mixture over bets needs no guess of how broken the promise may be (Waudby-Smith and Ramdas 2024). The mixture over
beginnings lets the evidence rise soon after a change, however long everything was well before: the capital that has not
been bet yet is 1 / (n + 1) after n units, of which the next beginning gets its share.
"""

import math

import numpy as np
from numpy.typing import NDArray

_SHARES = 2.0 ** -np.arange(1, 7)
"""Bets as shares of the largest one, 1 / alpha; all have the same weight."""
_LARGEST = 300.0
"""Largest value that is reported, as a power of ten."""


class Evidence:
    """E-process of one promise.

    Args:
        alpha: the largest mean loss that is promised, between 0 and 1.
    """

    def __init__(self, alpha: float) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
        self.alpha = alpha
        self.units = 0
        """Number of losses so far."""
        self.log10 = 0.0
        """Decimal logarithm of the e-process: 3 is "a thousand to one against the promise". It is at least that of
        1 / (units + 1), and at most 300.
        """
        self._bets = _SHARES / alpha
        self._capital: NDArray[np.float64] = np.full(len(_SHARES), -np.inf)
        """Logarithm of the capital that each bet has, (bets,)."""

    def add(self, loss: float) -> None:
        """Add the loss of one unit, from 0 to 1."""
        held = -math.log(self.units + 1)  # not bet yet
        self.units += 1
        staked = np.logaddexp(self._capital, held - math.log(self.units + 1))
        self._capital = staked + np.log1p(self._bets * (loss - self.alpha))
        bet = float(np.logaddexp.reduce(self._capital)) - math.log(len(self._bets))
        total = float(np.logaddexp(bet, -math.log(self.units + 1)))
        self.log10 = min(total / math.log(10), _LARGEST)


def merge_evidence(logs: list[float]) -> float:
    """Return the decimal logarithm of the mean of e-processes, which are given by theirs; 0 for none.

    It is an e-process for "all of the promises hold", whatever the dependence between them.
    """
    if not logs:
        return 0.0
    largest = max(logs)
    return largest + math.log10(sum(10.0 ** (x - largest) for x in logs) / len(logs))
