"""The scale and shift that make log odds calibrated (Platt 1999), fitted on texts that training did not see."""

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3
"""Penalty on the squared distance from scale 1 and shift 0."""
_STEPS = 50


def fit_scale(
    logits: NDArray[np.float64], wanted: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """Fit scale and shift of log odds (N,) to scores (N,) by penalised maximum likelihood (Newton's method).

    The scale stays positive, so that the order of texts does not change; without scores on both sides of .5 it is 1.
    """
    if not (wanted < 0.5).any() or not (wanted >= 0.5).any():
        return 1.0, 0.0
    weight = np.ones_like(logits) if weight is None else weight
    x = np.stack([logits, np.ones_like(logits)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (weight * (wanted - p)) - RIDGE * (weights - [1.0, 0.0])
        hessian = (x.T * (weight * p * (1 - p))) @ x + np.eye(2) * RIDGE
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return max(0.05, float(weights[0])), float(weights[1])
