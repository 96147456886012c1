"""Text scores in training: pooling over the words of each segment, and the loss."""

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.model.dense import HybridModel
from encoder.train.data.batches import TrainingBatch


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
