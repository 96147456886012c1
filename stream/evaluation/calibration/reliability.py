"""Reliability of stability (is 0.9 right nine times out of ten?): diagrams, and scaling that corrects it."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream.evaluation.calibration.stability_replay import StabilityPairs, pool

BINS = 15
RESAMPLES = 400
_EDGE = 1e-7
_STEPS = 50


class Scaling(NamedTuple):
    """stability -> sigmoid(scale * logit(stability) + shift); as scale > 0, the order of words stays."""

    scale: float = 1.0
    shift: float = 0.0

    def apply(self, stability: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale stabilities of any shape, 0..1."""
        mapped: NDArray[np.float32] = _sigmoid(self.scale * logit(stability) + self.shift).astype(np.float32)
        return mapped


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Reliability diagram: `BINS` bins of equal width; None in an empty bin."""

    pairs: int
    share: list[float]
    """Share of all predictions, by bin."""
    predicted: list[float | None]
    """Mean stability."""
    stood: list[float | None]
    """Share that stood at the close."""
    low: list[float | None]
    """2.5th percentile of `stood` over resampled units, which are drawn with replacement."""
    high: list[float | None]
    """97.5th percentile of the same."""
    ece: float
    """Expected calibration error: mean |predicted - stood| over bins, by share (Guo et al. 2017)."""
    ece_low: float
    ece_high: float


def logit(stability: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log odds; those of 0 and 1 are large, not infinite."""
    p = stability.astype(np.float64).clip(_EDGE, 1 - _EDGE)
    odds: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return odds


def fit_scaling(pairs: StabilityPairs) -> Scaling:
    """Fit scale and shift by maximum likelihood (Platt 1999, with his targets, which keep it finite).

    If no positive scale fits, because more stable labels stand less often, nothing is scaled.
    """
    x, n = logit(pairs.stability), int(pairs.stood.sum())
    if not len(x):
        return Scaling()
    y = np.where(pairs.stood, (n + 1) / (n + 2), 1 / (len(x) - n + 2))
    weights = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        step = _newton_step(weights, x, y)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    scale, shift = weights.tolist()
    return Scaling(scale, shift) if scale > 0 and np.isfinite(weights).all() else Scaling()


def _newton_step(weights: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a Newton step of logistic regression, clipped to 1 in each weight so that the fit cannot diverge."""
    p = _sigmoid(weights[0] * x + weights[1])
    miss, curve = y - p, p * (1 - p)
    mean = curve @ x
    hessian = np.array([[curve @ (x * x), mean], [mean, curve.sum()]]) + 1e-9 * len(x) * np.eye(2)
    step: NDArray[np.float64] = np.linalg.solve(hessian, np.array([miss @ x, miss.sum()]))
    return step / max(1.0, float(np.abs(step).max()))


def scale_across(
    units: Sequence[StabilityPairs], fits: Sequence[StabilityPairs], seed: int = 0
) -> list[StabilityPairs]:
    """Scale each unit's stabilities with a scaling fitted on the other half of the units (cross-fitting).

    Args:
        units: predictions that are scaled.
        fits: predictions of the same units, to which scalings are fitted.
        seed: seed of the split into halves.
    """
    first = np.random.default_rng(seed).permutation(len(units)) < len(units) // 2
    by_half = [
        fit_scaling(pool([x for x, inside in zip(fits, first, strict=True) if inside == half])) for half in (0, 1)
    ]
    return [
        StabilityPairs(by_half[1 - int(inside)].apply(x.stability), x.stood)
        for x, inside in zip(units, first, strict=True)
    ]


def measure_reliability(units: Sequence[StabilityPairs], seed: int = 0) -> Reliability:
    """Bin predictions; the bands are percentiles over resampled units."""
    sums = np.stack([_bin(x) for x in units])  # (units, 3, BINS) predictions, their sum, those that stood
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=RESAMPLES)
    drawn = np.einsum("ru,ukb->rkb", weights.astype(np.float64), sums)
    total = sums.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        stood = drawn[:, 2] / drawn[:, 0]  # (RESAMPLES, BINS)
    filled = total[0] > 0
    # A tagger that labels nothing has no predictions to bin.
    low, high = np.nanpercentile(stood[:, filled], (2.5, 97.5), axis=0) if filled.any() else np.empty((2, 0))
    ece_low, ece_high = np.percentile([_ece(x) for x in drawn], (2.5, 97.5)).tolist()
    return Reliability(
        pairs=int(total[0].sum()),
        share=(total[0] / max(1.0, total[0].sum())).tolist(),
        predicted=_fill_bins(total[1][filled] / total[0][filled], filled),
        stood=_fill_bins(total[2][filled] / total[0][filled], filled),
        low=_fill_bins(low, filled),
        high=_fill_bins(high, filled),
        ece=_ece(total),
        ece_low=ece_low,
        ece_high=ece_high,
    )


def _bin(pairs: StabilityPairs) -> NDArray[np.float64]:
    """Return number and sum of a unit's predictions, and the number that stood, by bin: (3, BINS)."""
    which = np.minimum((pairs.stability * BINS).astype(np.int64), BINS - 1)
    ones = np.ones(len(which))
    return np.stack([np.bincount(which, x, BINS) for x in (ones, pairs.stability, pairs.stood)])


def _ece(sums: NDArray[np.float64]) -> float:
    return float(np.abs(sums[1] - sums[2]).sum() / max(1.0, sums[0].sum()))


def _fill_bins(values: NDArray[np.float64], filled: NDArray[np.bool_]) -> list[float | None]:
    left = iter(values.tolist())
    return [next(left) if x else None for x in filled]


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    p: NDArray[np.float64] = 0.5 * (1 + np.tanh(x / 2))
    return p
