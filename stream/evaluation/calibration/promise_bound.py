"""Upper confidence bound of a mean share, by tests of "the mean is above alpha" (Learn then Test; docs/promise.md).

Units are independent; the loss of each is in [0, 1], whatever the dependence inside of it. Two p-values are valid for
any number of units, and each is the smaller one somewhere: that of Hoeffding and Bentkus (Bates et al. 2021) where most
units lose nothing or all, as those of one span do; the capital of `stream.evaluation.calibration.risk_control` where
the losses of units are alike. Both fall as alpha rises, so the values of alpha are a fixed sequence of tests from 1
down, and the last one rejected is the bound. Each of the two has half of the error, so the smaller bound holds.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream.evaluation.calibration.risk_control import LossAllowance, p_value

_HALVINGS = 40


def bound_mean(losses: NDArray[np.float64], epsilon: float) -> float:
    """Return the number that the mean exceeds with a probability of at most epsilon; 1 if nothing is known.

    Args:
        losses: (units,) in [0, 1], independent of each other.
        epsilon: between 0 and 1.
    """
    if not len(losses) or losses.mean() == 1:
        return 1.0
    tests = [
        lambda alpha: _hoeffding_bentkus(losses, alpha),
        lambda alpha: p_value(losses, LossAllowance(1.0, alpha)),
    ]
    return min(_last_rejected(test, float(losses.mean()), epsilon / len(tests)) for test in tests)


def _last_rejected(test: Callable[[float], float], low: float, epsilon: float) -> float:
    """Return the smallest alpha between `low` and 1 whose p-value is at most epsilon; 1 if there is none."""
    high = 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if test(middle) > epsilon:
            low = middle
        else:
            high = middle
    return high


def _hoeffding_bentkus(losses: NDArray[np.float64], alpha: float) -> float:
    """Return the p-value of "the mean is above alpha"."""
    n, mean = len(losses), float(losses.mean())
    if mean >= alpha:
        return 1.0
    hoeffding = -n * ((mean and mean * math.log(mean / alpha)) + (1 - mean) * math.log((1 - mean) / (1 - alpha)))
    bentkus = 1 + _log_binomial_cdf(math.ceil(n * mean - 1e-9), n, alpha)
    return math.exp(min(hoeffding, bentkus, 0.0))


def _log_binomial_cdf(most: int, n: int, p: float) -> float:
    """Return log P(B <= most) of B ~ Binomial(n, p)."""
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(most + 1)
    log_chances = factorials[n] - factorials[k] - factorials[n - k] + k * math.log(p) + (n - k) * math.log1p(-p)
    return float(np.logaddexp.reduce(log_chances))
