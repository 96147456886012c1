"""The layers of an encoder, one operation at a time: packed linears of torch, ragged operations of any `Kernels`.

They run on processors without AVX-512, and the fused layers are tested against them.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.model.config import HybridConfig
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.numba_kernels.kernels import NumbaKernels
from encoder.runtime.cpu.packed_linear import PackedLinear, RoundedLinear
from encoder.runtime.cpu.torch_reference import TorchKernels
from encoder.runtime.kernels import Buffer, Embedding, IntArray, Kernels, Norm, PackedRows, Pages, ResidualStream, Sink
from encoder.runtime.paged_cache import PagedCache


class _PackedLayer:
    """The packed weights of one post-norm layer."""

    def __init__(
        self, weights: Mapping[str, Tensor], config: HybridConfig, dtype: torch.dtype, number_format: NumberType
    ) -> None:
        kind = RoundedLinear if number_format == "int8" else PackedLinear

        def linear(name: str, gelu: bool = False) -> PackedLinear | RoundedLinear:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            return kind(weight, bias, dtype, gelu=gelu, approximate=config.gelu)

        eps = config.layer_norm_eps
        self.qkv, self.out = linear("qkv"), linear("out")
        self.ff_in, self.ff_out = linear("ff_in", gelu=True), linear("ff_out")
        self.norm1, self.norm2 = _norm(weights, "norm1", eps), _norm(weights, "norm2", eps)
        self.sink = Sink(_held(weights["sink"])) if config.sink else None

    def forward(
        self, x: ResidualStream, kernels: Kernels, pages: Pages, table: IntArray, rows: PackedRows
    ) -> ResidualStream:
        """Map the stream of T packed tokens to the next layer's; writes their keys and values."""
        seen = kernels.attend(self.qkv(x.cast.tensor), pages, table, rows, self.sink)
        x = kernels.add_norm(x, self.out(seen), self.norm1)
        return kernels.add_norm(x, self.ff_out(self.ff_in(x.cast.tensor)), self.norm2)


class UnfusedBody:
    """`encoder.runtime.encoder.Body` over `Kernels`."""

    def __init__(
        self,
        config: HybridConfig,
        cache: PagedCache,
        weights: Mapping[str, Tensor],
        head: tuple[Tensor, Tensor],
        kernels: Kernels,
        number_format: NumberType,
    ) -> None:
        self._config, self._cache, self._kernels = config, cache, kernels
        self._dtype = cache.dtype
        self._embedding = Embedding(
            _held(weights["word.weight"]),
            _held(weights["position.weight"]),
            _norm(weights, "norm", config.layer_norm_eps),
        )
        below = [{k: weights[k] for k in weights if k.startswith(f"layers.{i}.")} for i in range(config.layers)]
        self._layers = [
            _PackedLayer({k.split(".", 2)[2]: v for k, v in part.items()}, config, self._dtype, number_format)
            for part in below
        ]
        self._project: PackedLinear | None = None
        if config.embedding is not None:
            self._project = PackedLinear(weights["project.weight"], weights["project.bias"], torch.float32)
        self._head = PackedLinear(*head, torch.float32)

    def step(self, tokens: IntArray, appended: PackedRows, computed: PackedRows) -> NDArray[np.float32]:
        """See `encoder.runtime.encoder.Body.step`."""
        with torch.inference_mode():
            if len(appended):
                self._prefix(tokens, appended)
            if not len(computed):
                return np.empty((0, self._config.columns), np.float32)
            return self._tail(computed)

    def _prefix(self, tokens: IntArray, rows: PackedRows) -> None:
        cache = self._cache
        x = self._widen(self._kernels.embed(tokens, rows, self._embedding, self._dtype))
        for layer, pages in zip(self._layers, cache.prefix, strict=False):  # ends after the causal layers
            x = layer.forward(x, self._kernels, pages, cache.prefix_table, rows)
        self._kernels.store(x, cache.boundary, cache.tail_table, rows)

    def _tail(self, rows: PackedRows) -> NDArray[np.float32]:
        cache = self._cache
        x = self._kernels.gather(cache.boundary, cache.tail_table, rows, self._dtype)
        for layer, pages in zip(self._layers[self._config.causal_layers :], cache.tail, strict=True):
            x = layer.forward(x, self._kernels, pages, cache.tail_table, rows)
        logits: NDArray[np.float32] = self._head(x.full.tensor).numpy()
        return logits

    def _widen(self, x: ResidualStream) -> ResidualStream:
        """Project embeddings that are narrower than the layers."""
        if self._project is None:
            return x
        full = Buffer(self._project(x.full.tensor))
        return ResidualStream(full, full if self._dtype == torch.float32 else Buffer(full.tensor.to(self._dtype)))


def choose_kernels(name: str = "auto") -> Kernels:
    """Choose an implementation: "torch" (the reference), "numba", or "auto", which is numba.

    Raises:
        ValueError: there is no implementation of that name.
    """
    if name in ("auto", "numba"):
        return NumbaKernels()
    if name == "torch":
        return TorchKernels()
    raise ValueError(f"kernels must be auto, torch or numba (got {name!r})")


def _held(tensor: Tensor) -> Buffer:
    return Buffer(tensor.detach().float().contiguous())


def _norm(weights: Mapping[str, Tensor], name: str, eps: float) -> Norm:
    return Norm(_held(weights[f"{name}.weight"]), _held(weights[f"{name}.bias"]), eps)
