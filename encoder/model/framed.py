"""A bidirectional model run as it was pretrained: each text between its two special tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.model.dense import HybridModel

FRAME = 2
"""Special tokens around a text: one before it, one after it."""


@dataclass(frozen=True)
class FramedModel:
    """A dense model without causal layers whose position 0 is that of the opening special token."""

    model: HybridModel
    opening: int
    closing: int

    def hidden_states(self, ids: Tensor, real: Tensor) -> list[Tensor]:
        """Run texts between their special tokens.

        Args:
            ids: (B, T) int64 token ids without special tokens.
            real: (B, T) bool, false at padding, which is at the end.

        Returns:
            L + 1 tensors (B, T + 2, H): the embedding output and each layer's. Column 0 is the opening token; the
            closing one stands behind the last real token of its row.
        """
        end = real.sum(dim=1, keepdim=True) + 1  # (B, 1) place of the closing token
        framed = F.pad(ids * real, (1, 1))
        framed[:, 0] = self.opening
        framed.scatter_(1, end, self.closing)
        steps = torch.arange(framed.shape[1], device=ids.device).expand(framed.shape)
        inside = steps <= end
        last, first = torch.where(inside, end, steps), steps * ~inside  # padding sees itself only
        return self.model.hidden_states(framed, steps, last, first)
