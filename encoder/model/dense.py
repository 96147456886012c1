"""The hybrid encoder as one dense forward pass: training runs it, and every incremental path must equal it.

Each query token has a first and a last key that it may see. These ranges are the whole mask, in the causal prefix and
in the bidirectional tail, live and in training. The layers are post-norm BERT layers (Devlin et al. 2019); token type 0
is folded into the position table. Embedding tables that are narrower than the layers are widened after their norm, as
in ELECTRA (Clark et al. 2020, section 3.2).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoder.heads.stability_head import FEATURES
from encoder.model.config import HybridConfig


class Layer(nn.Module):
    """One post-norm transformer layer (Vaswani et al. 2017, section 3.1, with BERT's GELU)."""

    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        self.heads, self.gelu = config.heads, config.gelu
        self.qkv = nn.Linear(config.hidden, 3 * config.hidden)
        self.sink = nn.Parameter(torch.zeros(2, config.hidden)) if config.sink else None
        """Key and value of the attention sink."""
        self.out = nn.Linear(config.hidden, config.hidden)
        self.norm1 = nn.LayerNorm(config.hidden, eps=config.layer_norm_eps)
        self.ff_in = nn.Linear(config.hidden, config.intermediate)
        self.ff_out = nn.Linear(config.intermediate, config.hidden)
        self.norm2 = nn.LayerNorm(config.hidden, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None, dropout: float = 0.0) -> Tensor:
        """Map (B, T, H) to (B, T, H); `mask` is (B, 1, T, T) bool, true where a query sees a key; None sees all."""
        batch, length, hidden = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
        if self.sink is not None:
            key, value = self.sink.to(k.dtype).view(2, 1, self.heads, 1, -1).expand(-1, batch, -1, -1, -1)
            k, v = torch.cat([key, k], dim=2), torch.cat([value, v], dim=2)
            mask = None if mask is None else F.pad(mask, (1, 0), value=True)
        attend = _attend_by_matmul if self.training and x.device.type == "cpu" else F.scaled_dot_product_attention
        seen: Tensor = attend(q, k, v, attn_mask=mask)  # (B, heads, T, head_dim)
        seen = self.out(seen.transpose(1, 2).reshape(batch, length, hidden))
        x = self.norm1(x + F.dropout(seen, dropout, self.training))
        wide = self.ff_out(F.gelu(self.ff_in(x), approximate=self.gelu))
        normed: Tensor = self.norm2(x + F.dropout(wide, dropout, self.training))
        return normed


def _attend_by_matmul(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None) -> Tensor:
    """Compute `F.scaled_dot_product_attention` by two matrix products.

    On a CPU its backward pass takes a third of a training step on short sequences, this one a twentieth.
    """
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    seen: Tensor = scores.softmax(-1).to(v.dtype) @ v
    return seen


def span_mask(first: Tensor | None, last: Tensor) -> Tensor:
    """Turn key ranges into a mask.

    Args:
        first: (B, T) first key that each query sees, or None for 0.
        last: (B, T) last key that each query sees.

    Returns:
        (B, 1, T, T) bool, true where query i sees key j.
    """
    keys = torch.arange(last.shape[1], device=last.device)
    mask = keys <= last[..., None]
    if first is not None:
        mask &= keys >= first[..., None]
    return mask[:, None]


class StabilityHead(nn.Module):
    """Two layers over a word's last hidden state, its label and `FEATURES` numbers."""

    def __init__(self, hidden: int, labels: int, units: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(hidden, units)
        self.label = nn.Embedding(labels, units)
        self.features = nn.Linear(FEATURES, units, bias=False)
        self.out = nn.Linear(units, 2)

    def forward(self, products: Tensor, labels: Tensor, features: Tensor) -> Tensor:
        """Compute base and drift.

        Args:
            products: (N, units) of the hidden layer with the words' hidden states, bias included.
            labels: (N,) int64 standing labels.
            features: (N, FEATURES) as `encoder.heads.stability_head.make_features` has them.

        Returns:
            (N, 2) base, drift.
        """
        z: Tensor = self.out(F.gelu(products + self.label(labels) + self.features(features)))
        return z


class HybridModel(nn.Module):
    """Embeddings, C causal layers, L - C tail layers and the label head, dense over a batch."""

    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        self.config = config
        self.word = nn.Embedding(config.word_rows, config.table_width)
        self.start = (
            nn.Parameter(torch.zeros(config.table_width), requires_grad=False) if config.segment_starts else None
        )
        """What the rows of first tokens have more than the others (`encoder.checkpoints.checkpoint.add_start_rows`)."""
        self.position = nn.Embedding(config.positions, config.table_width)
        self.norm = nn.LayerNorm(config.table_width, eps=config.layer_norm_eps)
        self.project = None if config.embedding is None else nn.Linear(config.embedding, config.hidden)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.head = nn.Linear(config.hidden, config.scores)
        sets = config.label_sets.values() if config.stability else ()
        self.stability = nn.ModuleList(StabilityHead(config.hidden, len(x), config.stability) for x in sets)
        """Stability heads, in the order of `config.label_sets`; not part of `forward`."""
        self.text_scores = nn.ModuleDict(
            {
                str(i): nn.Linear(config.hidden, 2 * len(config.text_scores[name]))
                for i, name in enumerate(config.label_sets)
                if name in config.text_scores
            }
        )
        """Heads of the text scores, by the number of their label set; not part of `forward`."""
        self.dropout = 0.0

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Embed token ids (B, T) at positions (B, T) into (B, T, H)."""
        embedded: Tensor = self.norm(self.word(ids) + self.position(positions))
        if self.project is not None:
            embedded = self.project(embedded)
        return F.dropout(embedded, self.dropout, self.training)

    def hidden_states(
        self, ids: Tensor, positions: Tensor, tail_last: Tensor, tail_first: Tensor | None = None
    ) -> list[Tensor]:
        """Run all layers; return the embedding output and each layer's output, L + 1 tensors of (B, T, H).

        Args:
            ids: (B, T) int64 token ids.
            positions: (B, T) int64 positions, below `config.positions`.
            tail_last: (B, T) last key that each tail query sees (the end of its block).
            tail_first: (B, T) first key that each tail query sees; None for 0.
        """
        x = self.embed(ids, positions)
        states = [x]
        steps = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
        prefix, tail = span_mask(None, steps), span_mask(tail_first, tail_last)
        for i, layer in enumerate(self.layers):
            x = layer(x, prefix if i < self.config.causal_layers else tail, self.dropout)
            states.append(x)
        return states

    def forward(self, ids: Tensor, positions: Tensor, tail_last: Tensor, tail_first: Tensor | None = None) -> Tensor:
        """Score labels: (B, T, labels) logits; arguments as in `hidden_states`."""
        logits: Tensor = self.head(self.hidden_states(ids, positions, tail_last, tail_first)[-1])
        return logits
