"""A threshold with a guarantee: tests that the streaming exact match lost by saving restarts is at most delta.

Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021): every threshold has a null hypothesis "its risk is
above delta", and one whose hypothesis is rejected, at a family-wise level epsilon, is safe with probability
1 - epsilon. Knows numbers only; where they come from is `stream.evaluation.calibration.calibrate`'s business.
docs/calibration.md has the reasoning in full.

*Risk.* Unit j (a sequence, or a document) has `n_j` rows of its chart, of which `D_j` fewer are right under the
threshold than under a full restart on every word. The risk is what streaming exact match loses, pooled over rows as in
docs/measuring.md: E[sum D_j] / sum n_j, for units as long as these: their lengths are the design of the experiment,
what happens in them is random. Units are independent; rows within one need not be, nor need units be alike.

*p-value.* A unit is allowed `b` lost rows, b = delta * mean n. Losses are capped at `cap` rows; what may be lost
beyond, at most n_j - cap rows of unit j, is taken as lost, so b = delta * mean n - mean (n - cap)+. Under the null the
numbers Y_j = b - min(D_j, cap) have means that sum to at most 0, and Y_j >= b - cap. So for any bet
0 <= x <= 1 / (cap - b) the capital K(x) = prod_j (1 + x Y_j) has no negative factor, and, units being independent and
the geometric mean at most the arithmetic,

    E[K(x)] = prod_j (1 + x E[Y_j]) <= (1 + x mean_j E[Y_j])^N <= 1.

A weighted mean of capitals over fixed bets has the same bound, and by Markov's inequality 1 / K is a p-value, at any
number of units. It is the hedged capital of Waudby-Smith and Ramdas (2024) with bets fixed beforehand; bets that learn
on the way would need units that are alike. The cap, chosen by lengths alone, keeps it valid.

*Several thresholds.* Fixed-sequence testing: from the most cautious threshold on, each is tested at epsilon, and the
first that is not rejected ends it. The order is fixed in advance, and a mistake needs the first unsafe threshold of it
to be rejected, so epsilon is not divided.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BETS = 2.0 ** -np.arange(8)
"""Shares of the largest bet. It suits losses that are few or small; the larger they are, the smaller it must be."""
WEIGHTS = np.append(0.9, 0.1 * 2.0 ** -np.arange(1, 8) / (1 - 2.0**-7))
"""Of the bets. Units that lost nothing must be -log(epsilon * WEIGHTS[0]) * cap / b at least: so the first has most."""
_HALVINGS = 50
_MOST_COPIES = 1e4

Counts = NDArray[np.int64]


class LossAllowance(NamedTuple):
    """What units may lose, given their lengths."""

    cap: float
    """Rows of one unit that count as lost at most; what may be lost beyond is in `mean` already."""
    mean: float
    """b: rows that a unit may lose on average; less than `cap`."""


class Verdict(NamedTuple):
    """What the units say about one threshold."""

    p_value: float
    bound: float
    """With probability 1 - epsilon the risk is at most this; of one threshold alone."""


def allow(rows: Counts, risk: float, cap: float | None = None) -> LossAllowance:
    """Spread a risk over units of so many rows (units,); without a cap, take that under which no loss shows most."""

    def beyond(cap: float) -> float:
        return float(np.maximum(rows - cap, 0).mean())

    total = risk * float(rows.mean())
    if cap is None:
        cap = max(np.unique(rows).tolist(), key=lambda cap: (total - beyond(cap)) / cap)
    return LossAllowance(float(cap), total - beyond(cap))


def p_value(lost: Counts, allowance: LossAllowance) -> float:
    """Give the p-value of "the units' expected losses are above the allowance" for losses (units,) in rows."""
    return math.exp(min(0.0, -_log_capital(_growth(lost, allowance))))


def judge(lost: Counts, rows: Counts, delta: float, epsilon: float) -> Verdict:
    """Test "the risk is above delta" on units that lost (units,) of their rows (units,), and bound the risk.

    Raises:
        ValueError: delta or epsilon is not between 0 and 1, or there is nothing to test with.
    """
    _check(rows, delta, epsilon)
    cap = allow(rows, delta).cap
    low, high = -1.0, 1.0  # of risks; the p-value falls as they rise
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if p_value(lost, allow(rows, middle, cap)) > epsilon:
            low = middle
        else:
            high = middle
    return Verdict(p_value(lost, allow(rows, delta, cap)), high)


def certify(p_values: Iterable[float], epsilon: float) -> Iterator[float]:
    """Fixed-sequence testing: yield the p-values, in the order fixed before, of the hypotheses that are rejected."""
    for p in p_values:
        if p > epsilon:
            return
        yield p


def units_needed(lost: Counts, rows: Counts, delta: float, epsilon: float) -> int | None:
    """Estimate how many units like these would certify the threshold that lost so much; None: no number would."""
    _check(rows, delta, epsilon)
    growth = _growth(lost, allow(rows, delta))
    wanted = -math.log(epsilon)

    def suffices(copies: float) -> bool:
        return _log_capital(copies * growth) >= wanted

    if not suffices(_MOST_COPIES):
        return None
    low, high = 0.0, _MOST_COPIES
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return math.ceil(high * len(rows))


def _growth(lost: Counts, allowance: LossAllowance) -> NDArray[np.float64]:
    """Log of the capital of each bet, (bets,)."""
    cap, mean = allowance
    gain = (mean - np.minimum(lost, cap)) / (cap - mean)  # (units,) at least -1
    values, counts = np.unique(gain, return_counts=True)
    with np.errstate(divide="ignore"):
        grown: NDArray[np.float64] = (np.log1p(BETS[:, None] * values) * counts).sum(axis=1)
    return grown


def _log_capital(growth: NDArray[np.float64]) -> float:
    return float(np.logaddexp.reduce(np.log(WEIGHTS) + growth))


def _check(rows: Counts, delta: float, epsilon: float) -> None:
    for name, value in (("delta", delta), ("epsilon", epsilon)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be between 0 and 1, not {value}")
    if not len(rows) or rows.min() < 1:
        raise ValueError("every unit needs at least one row, and there must be one unit at least")
