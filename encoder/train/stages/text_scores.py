"""Text scores in training: pooling over the words of each segment, the loss, and the scale that makes them calibrated.

The scale and shift are fitted on texts that training did not see (Platt 1999), and become part of the weights.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from encoder.model.dense import HybridModel
from encoder.train.data.batches import TrainingBatch

RIDGE = 1e-3
_STEPS = 50


def pool_segments(columns: Tensor, segment: Tensor, segments: int) -> Tensor:
    """Pool the columns of the words of each segment, as `encoder.heads.text_scores` does.

    Args:
        columns: (B, T, 2 x names) values, then weights.
        segment: (B, T) int64 the segment of each word's last piece; -1 elsewhere.
        segments: S, more than any number in `segment`.

    Returns:
        (B, S, names) log odds; 0 for segments without words.
    """
    names, rows = columns.shape[-1] // 2, columns.shape[0] * segments
    there = segment >= 0
    at = (segment + torch.arange(len(segment), device=segment.device)[:, None] * segments)[there]
    values, weights = columns[there].tensor_split(2, dim=-1)  # (words, names) each
    where = at[:, None].expand_as(weights)
    most = weights.new_full((rows, names), -torch.inf).scatter_reduce(0, where, weights.detach(), "amax")
    weights = (weights - most[at]).exp()
    total = weights.new_zeros(rows, names).index_add(0, at, weights)
    pooled = weights.new_zeros(rows, names).index_add(0, at, weights * values)
    found: Tensor = (pooled / total.clamp(min=1e-9)).view(-1, segments, names)
    return found


def text_score_logits(model: HybridModel, states: Tensor, segment: Tensor, segments: int) -> Tensor:
    """Give the log odds (B, S, text scores) of all taggers' text scores from the last hidden states (B, T, H)."""
    heads = model.text_scores.values()
    return torch.cat([pool_segments(head(states).float(), segment, segments) for head in heads], dim=-1)


def text_score_loss(model: HybridModel, states: Tensor, batch: TrainingBatch) -> Tensor:
    """Compute the cross entropy with the known scores, which may lie between 0 and 1; 0 if the batch has none."""
    known = ~batch.scores.isnan()
    if not known.any():
        return states.new_zeros((), dtype=torch.float32)
    logits = text_score_logits(model, states, batch.segment, batch.scores.shape[1])
    return F.binary_cross_entropy_with_logits(logits[known], batch.scores[known])


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
