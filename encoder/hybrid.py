"""The hybrid encoder over many slots at once: causal prefix, bidirectional tail from any restart point, label scores.

One call of `HybridEncoder.step` is one packed pass: all appended tokens of all slots through the prefix, all tokens
from the restart points on through the tail (design: model.md, "Forward"). Knows slots and tokens; when to cut, restart
or evict is the caller's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.cache import Cache, OutOfPages, Pass, Plan, prefix_rows, tail_rows
from encoder.checkpoint import Checkpoint
from encoder.config import HybridConfig
from encoder.linear import NumberFormat, PackedLinear, choose_number_format
from encoder.ops import Buffer, Embedding, IntArray, Kernels, Norm, Pages, Rows, Stream, choose_kernels
from encoder.stability import FEATURES

__all__ = ["HybridEncoder", "OutOfPages", "Pass", "Scores"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Label scores of all computed tokens of one step, packed."""

    logits: NDArray[np.float32]
    """(N, columns) rows of tokens restart .. n-1 of each pass, in order of the passes; see `HybridConfig.columns`"""
    starts: NDArray[np.int64]
    """(passes + 1,) row offsets"""


class _Layer:
    """The packed weights of one post-norm layer."""

    def __init__(self, weights: dict[str, Tensor], config: HybridConfig, dtype: torch.dtype) -> None:
        def linear(name: str, gelu: bool = False) -> PackedLinear:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            return PackedLinear(weight, bias, dtype, gelu=gelu, approximate=config.gelu)

        eps = config.layer_norm_eps
        self.qkv, self.out = linear("qkv"), linear("out")
        self.ff_in, self.ff_out = linear("ff_in", gelu=True), linear("ff_out")
        self.norm1, self.norm2 = _norm(weights, "norm1", eps), _norm(weights, "norm2", eps)

    def forward(self, x: Stream, kernels: Kernels, pages: Pages, table: IntArray, rows: Rows) -> Stream:
        """Map the stream of T packed tokens to the next layer's; writes their keys and values."""
        seen = kernels.attend(self.qkv(x.cast.tensor), pages, table, rows)
        x = kernels.add_norm(x, self.out(seen), self.norm1)
        return kernels.add_norm(x, self.ff_out(self.ff_in(x.cast.tensor)), self.norm2)


class HybridEncoder:
    """A checkpoint, packed, and the cache of all slots. Not thread-safe: one compute thread owns it."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        max_sessions: int = 1024,
        max_pages: int | None = None,
        kernels: str = "auto",
        number_format: NumberFormat = "auto",
    ) -> None:
        """Pack the weights, reserve the cache, and compile the kernels (seconds, the first time on a machine).

        Args:
            checkpoint: configuration and weights.
            max_sessions: slots that can be open at once.
            max_pages: pages that can be in use at once; None for what all slots can fill, up to about 2 GiB.
            kernels: "auto", "torch" or "numba".
            number_format: of the linears and of cached keys and values; "auto" measures what is faster here.

        Raises:
            ValueError: unknown kernels or number format, no session, or too few pages for one.
        """
        config = checkpoint.config
        self.config: HybridConfig = config
        self.identity = checkpoint.identity()
        """Of the checkpoint: labels of another one mean nothing here."""
        self.dtype = choose_number_format(number_format)
        self._kernels = choose_kernels(kernels)
        self._cache = Cache(config, self.dtype, max_sessions, max_pages)
        weights = checkpoint.weights
        self._embedding = Embedding(
            _held(weights["word.weight"]),
            _held(weights["position.weight"]),
            _norm(weights, "norm", config.layer_norm_eps),
        )
        self._layers = [_Layer(_below(weights, f"layers.{i}."), config, self.dtype) for i in range(config.layers)]
        self._project: PackedLinear | None = None
        if config.embedding is not None:
            self._project = PackedLinear(weights["project.weight"], weights["project.bias"], torch.float32)
        self._head = PackedLinear(*head_columns(config, weights), torch.float32)
        self._warm_up()

    def open(self) -> int:
        """Open an empty slot.

        Raises:
            RuntimeError: all slots are open.
        """
        return self._cache.open()

    def free(self, slot: int) -> None:
        """Give back all of a slot's pages and close it."""
        self._cache.free(slot)

    def evict(self, slot: int) -> None:
        """Give back all of a slot's pages; it stays open and its length becomes 0."""
        self._cache.evict(slot)

    def length(self, slot: int) -> int:
        """Count the tokens cached in a slot."""
        return self._cache.length(slot)

    @property
    def pages_in_use(self) -> int:
        """Pages that open slots hold, of the prefix and of the tail."""
        return self._cache.pages_in_use

    @property
    def pages_total(self) -> int:
        """The most pages that can be in use."""
        return self._cache.max_pages

    def pages_needed(self, one: Pass) -> int:
        """Count the pages that a pass takes beyond those it gives back; may be negative.

        Raises:
            ValueError: the pass breaks a rule of `Pass`.
        """
        return self._cache.plan([one]).new_pages

    def step(self, passes: Sequence[Pass]) -> Scores:
        """Run one packed pass over many slots, at most one pass a slot.

        Raises:
            OutOfPages: before anything is changed; evict a slot and try again.
            ValueError: a pass breaks a rule of `Pass`; nothing is changed.
        """
        plan = self._cache.plan(passes)
        self._cache.apply(plan)
        with torch.inference_mode():
            self._run_prefix(plan)
            logits = self._run_tail(plan)
        computed = plan.requests[:, 1] + plan.requests[:, 2] - plan.requests[:, 4]
        return Scores(logits, np.concatenate((np.zeros(1, np.int64), np.cumsum(computed))))

    def flops(self, passes: Sequence[Pass]) -> int:
        """Count the floating point operations of these passes: linears, attention products and head."""
        return count_flops(self.config, self._cache.plan(passes))

    def _warm_up(self) -> None:
        """Run one token, so that no kernel is compiled while a message waits."""
        slot = self.open()
        self.step([Pass(slot, 0, np.zeros(1, np.int32), 0, 0)])
        self.free(slot)

    def _run_prefix(self, plan: Plan) -> None:
        """Append: causal layers over the new tokens; their boundary states are stored."""
        rows = prefix_rows(plan)
        if not len(rows):
            return
        cache = self._cache
        x = self._widen(self._kernels.embed(plan.tokens, rows, self._embedding, self.dtype))
        for layer, pages in zip(self._layers, cache.prefix, strict=False):  # ends after the causal layers
            x = layer.forward(x, self._kernels, pages, cache.prefix_table, rows)
        self._kernels.store(x, cache.boundary, cache.tail_table, rows)

    def _widen(self, x: Stream) -> Stream:
        """Project embeddings that are narrower than the layers."""
        if self._project is None:
            return x
        full = Buffer(self._project(x.full.tensor))
        return Stream(full, full if self.dtype == torch.float32 else Buffer(full.tensor.to(self.dtype)))

    def _run_tail(self, plan: Plan) -> NDArray[np.float32]:
        """Restart: tail layers over the tokens from the restart points on; returns their (N, columns) scores."""
        rows = tail_rows(plan)
        if not len(rows):
            return np.empty((0, self.config.columns), np.float32)
        cache = self._cache
        x = self._kernels.gather(cache.boundary, cache.tail_table, rows, self.dtype)
        for layer, pages in zip(self._layers[self.config.causal_layers :], cache.tail, strict=True):
            x = layer.forward(x, self._kernels, pages, cache.tail_table, rows)
        logits: NDArray[np.float32] = self._head(x.full.tensor).numpy()
        return logits


def count_flops(config: HybridConfig, plan: Plan) -> int:
    """Count the floating point operations of a step: linears, attention products and head."""
    _, keep, count, window, restart = plan.requests.T
    n = keep + count
    computed = n - restart
    pairs = config.causal_layers * (n * (n + 1) - keep * (keep + 1)) // 2
    pairs = pairs + config.tail_layers * computed * (n - window)
    linear = 2 * config.hidden * (4 * config.hidden + 2 * config.intermediate)
    tokens = config.causal_layers * count + config.tail_layers * computed
    embedded = 2 * (config.embedding or 0) * config.hidden * count
    head = (2 * config.hidden * config.columns + stability_flops(config)) * computed
    return int((tokens * linear + pairs * 4 * config.hidden + embedded + head).sum())


def stability_flops(config: HybridConfig) -> int:
    """Count the FLOPs of all stability heads for one word, beyond their columns of the encoder's head."""
    return len(config.label_sets) * 2 * config.stability * (FEATURES + 2)


def head_columns(config: HybridConfig, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weight (columns, H) and bias (columns,): of each tagger its labels, then its stability head's hidden units."""
    counts = [len(labels) for labels in config.label_sets.values()]
    found: list[list[Tensor]] = []
    for name in ("weight", "bias"):
        parts = list(torch.split(weights[f"head.{name}"], counts))
        if config.stability:
            parts = [x for i, part in enumerate(parts) for x in (part, weights[f"stability.{i}.hidden.{name}"])]
        found.append(parts)
    return torch.cat(found[0]), torch.cat(found[1])


def _held(tensor: Tensor) -> Buffer:
    return Buffer(tensor.detach().float().contiguous())


def _norm(weights: dict[str, Tensor], name: str, eps: float) -> Norm:
    return Norm(_held(weights[f"{name}.weight"]), _held(weights[f"{name}.bias"]), eps)


def _below(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
