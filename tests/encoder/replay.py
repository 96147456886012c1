"""The oracle: one slot's history replayed with the dense model's layers, unpaged, unpacked, in float32."""

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.model.dense import HybridModel
from encoder.runtime.passes import Pass


class Replay:
    """The tokens of one slot and its standing states; NaN where there is none, lest it be seen."""

    def __init__(self, model: HybridModel) -> None:
        self.model = model
        self.evict()

    def evict(self) -> None:
        config = self.model.config
        self.ids = torch.zeros(0, dtype=torch.int64)
        self.standing = torch.zeros(config.tail_layers, 2, 0, config.heads, config.head_dim)

    def stands(self, start: int, stop: int) -> bool:
        return not bool(self.standing[:, :, start:stop].isnan().any())

    @torch.no_grad()
    def step(self, one: Pass) -> Tensor:
        """Run one pass; returns (n - restart, labels) scores."""
        config = self.model.config
        self.ids = torch.cat((self.ids[: one.keep], torch.from_numpy(one.tokens).long()))
        n = len(self.ids)
        new = torch.full((config.tail_layers, 2, len(one.tokens), config.heads, config.head_dim), torch.nan)
        self.standing = torch.cat((self.standing[:, :, : one.keep], new), 2)
        if one.restart == n:
            return torch.zeros(0, len(config.labels))
        steps = torch.arange(n)[None]
        x = self.model.hidden_states(self.ids[None], steps, steps)[config.causal_layers][0, one.restart :]
        for i, layer in enumerate(list(self.model.layers)[config.causal_layers :]):
            q, k, v = layer.qkv(x).view(-1, 3, config.heads, config.head_dim).unbind(1)
            self.standing[i, 0, one.restart :], self.standing[i, 1, one.restart :] = k, v
            seen = self.standing[i, :, one.window :]
            if layer.sink is not None:
                seen = torch.cat((layer.sink.view(2, 1, config.heads, config.head_dim), seen), 1)
            seen = seen.transpose(1, 2)  # (2, heads, keys, head_dim)
            mixed = F.scaled_dot_product_attention(q.transpose(0, 1)[None], seen[0][None], seen[1][None])[0]
            x = layer.norm1(x + layer.out(mixed.transpose(0, 1).reshape(len(x), -1)))
            x = layer.norm2(x + layer.ff_out(F.gelu(layer.ff_in(x), approximate=config.gelu)))
        scores: Tensor = self.model.head(x)
        return scores


def dense_scores(model: HybridModel, ids: Tensor) -> Tensor:
    """Score a whole text (T,) at once, every tail token seeing all of it: (T, labels)."""
    with torch.no_grad():
        scores: Tensor = model(ids[None], torch.arange(len(ids))[None], torch.full((1, len(ids)), len(ids) - 1))[0]
    return scores
