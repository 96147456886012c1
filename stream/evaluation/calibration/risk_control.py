"""Risk control: tests that the streaming exact match lost by saving restarts is at most delta.

Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021): every threshold has a null hypothesis "its risk is
above delta", and one whose hypothesis is rejected, at a family-wise level epsilon, is safe with probability
1 - epsilon. The numbers come from `stream.evaluation.calibration.calibrate`. The full reasoning is in
docs/calibration.md.

*Risk.* Unit j (a sequence, or a document) has `n_j` rows of its chart, of which `D_j` fewer are right under the
threshold than under a full restart on every word. The risk is what streaming exact match loses, pooled over rows as in
docs/measuring.md: E[sum D_j] / sum n_j, for units as long as these: their lengths are the design of the experiment,
what happens in them is random. Units are independent; rows within one need not be, nor need units be alike.

*p-value.* A unit is allowed `b` lost rows, b = delta * mean n. Losses are capped at `cap` rows; what may be lost
beyond, at most n_j - cap rows of unit j, counts as lost, so b = delta * mean n - mean (n - cap)+. Under the null the
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
"""Bets as shares of the largest one, which suits few or small losses; larger losses need smaller bets."""
WEIGHTS = np.append(0.9, 0.1 * 2.0 ** -np.arange(1, 8) / (1 - 2.0**-7))
"""Weights of the bets. At least -log(epsilon * WEIGHTS[0]) * cap / b lossless units are needed: the first is large."""
_HALVINGS = 50
_MOST_COPIES = 1e4

Counts = NDArray[np.int64]
Losses = NDArray[np.int64] | NDArray[np.float64]


class LossAllowance(NamedTuple):
    """Rows that units may lose, given their lengths."""

    cap: float
    """Maximum number of lost rows that count in one unit; losses beyond it are allowed for in `mean`."""
    mean: float
    """b: mean number of rows that a unit may lose; less than `cap`."""


class Verdict(NamedTuple):
    """Result of the test of one threshold."""

    p_value: float
    bound: float
    """Upper bound of the risk with probability 1 - epsilon, for one threshold alone."""


def compute_allowance(rows: Counts, risk: float, cap: float | None = None) -> LossAllowance:
    """Spread a risk over units of these numbers of rows (units,); the default cap has most power without losses."""

    def beyond(cap: float) -> float:
        return float(np.maximum(rows - cap, 0).mean())

    total = risk * float(rows.mean())
    if cap is None:
        cap = max(np.unique(rows).tolist(), key=lambda cap: (total - beyond(cap)) / cap)
    return LossAllowance(float(cap), total - beyond(cap))


def p_value(lost: Losses, allowance: LossAllowance) -> float:
    """Return the p-value of "the expected losses exceed the allowance", given losses (units,) in rows."""
    return math.exp(min(0.0, -_log_capital(_log_growth(lost, allowance))))


def judge(lost: Counts, rows: Counts, delta: float, epsilon: float) -> Verdict:
    """Test "the risk is above delta" on units that lost (units,) of their rows (units,), and bound the risk.

    Raises:
        ValueError: delta or epsilon is not between 0 and 1, or there are no units or a unit without rows.
    """
    _check(rows, delta, epsilon)
    cap = compute_allowance(rows, delta).cap
    low, high = -1.0, 1.0  # the p-value falls as the risk rises
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if p_value(lost, compute_allowance(rows, middle, cap)) > epsilon:
            low = middle
        else:
            high = middle
    return Verdict(p_value(lost, compute_allowance(rows, delta, cap)), high)


def certify(p_values: Iterable[float], epsilon: float) -> Iterator[float]:
    """Yield the p-values of the rejected hypotheses, in their fixed order (fixed-sequence testing)."""
    for p in p_values:
        if p > epsilon:
            return
        yield p


def units_needed(lost: Counts, rows: Counts, delta: float, epsilon: float) -> int | None:
    """Estimate the number of units like these that would certify a threshold with these losses; None: no number."""
    _check(rows, delta, epsilon)
    growth = _log_growth(lost, compute_allowance(rows, delta))
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


def _log_growth(lost: Losses, allowance: LossAllowance) -> NDArray[np.float64]:
    """Return the log of the capital of each bet, (bets,)."""
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
