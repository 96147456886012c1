"""Other valid p-values for "the units lose more than they may", to hold `stream.evaluation.calibration.risk_control`
against.

Both see the same losses under the same cap; they need them between bounds, so gains count for less.
"""

import math

import numpy as np

from stream.evaluation.calibration.risk_control import compute_allowance


def hoeffding_bentkus(lost, rows, delta):
    """Bates et al. 2021, Learn then Test's own: the smaller of Hoeffding's and e times a binomial tail."""
    cap, mean = compute_allowance(rows, delta)
    n, allowed = len(rows), mean / cap
    found = float(np.clip(lost, 0, cap).mean() / cap)
    below = np.arange(math.ceil(n * found) + 1)
    terms = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in below.tolist()]
    tail = math.exp(np.logaddexp.reduce(terms + below * math.log(allowed) + (n - below) * math.log1p(-allowed)))
    hoeffding = math.exp(-n * _divergence(found, allowed)) if found < allowed else 1.0
    return min(1.0, hoeffding, math.e * tail)


def empirical_bernstein(lost, rows, delta):
    """Maurer and Pontil 2009, theorem 4, solved for the probability at which the bound meets what is allowed."""
    cap, mean = compute_allowance(rows, delta)
    n, z = len(rows), (np.clip(lost, -cap, cap) + cap) / (2 * cap)
    room = (mean + cap) / (2 * cap) - z.mean()
    if room <= 0:
        return 1.0
    a, b = 7 / (3 * (n - 1)), math.sqrt(2 * z.var(ddof=1) / n)
    root = (-b + math.sqrt(b * b + 4 * a * room)) / (2 * a)
    return min(1.0, 2 * math.exp(-root * root))


def _divergence(a, b):
    """Kullback-Leibler divergence of coins."""
    return (a * math.log(a / b) if a else 0.0) + (1 - a) * math.log((1 - a) / (1 - b))
