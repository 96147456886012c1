"""The layers of an encoder, one operation at a time: packed linears of torch, ragged operations of any `Kernels`.

They run models whose widths the fused layers cannot do, and the fused layers are tested against them.
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
from encoder.runtime.kernels import Buffer, Embedding, Kernels, Norm, Pages, ResidualStream, Sink
from encoder.runtime.packed_rows import IntArray, PackedRows
from encoder.runtime.paged_cache import PageBlock, PagedCache


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
        weights: Mapping[str, NDArray[np.float32]],
        head: tuple[NDArray[np.float32], NDArray[np.float32]],
        kernels: Kernels,
        number_format: NumberType,
    ) -> None:
        torch.set_num_threads(1)  # the order of sums must not depend on how rows are shared between threads
        self._config, self._cache, self._kernels = config, cache, kernels
        self._dtype = torch.bfloat16 if cache.numbers == "bfloat16" else torch.float32
        own = {name: torch.from_numpy(weights[name]) for name in weights}
        self._embedding = Embedding(
            _held(own["word.weight"]), _held(own["position.weight"]), _norm(own, "norm", config.layer_norm_eps)
        )
        below = [{k: own[k] for k in own if k.startswith(f"layers.{i}.")} for i in range(config.layers)]
        self._layers = [
            _PackedLayer({k.split(".", 2)[2]: v for k, v in part.items()}, config, self._dtype, number_format)
            for part in below
        ]
        self._project: PackedLinear | None = None
        if config.embedding is not None:
            self._project = PackedLinear(own["project.weight"], own["project.bias"], torch.float32)
        self._head = PackedLinear(torch.from_numpy(head[0]), torch.from_numpy(head[1]), torch.float32)
        self._prefix_pages = self._pages(cache.prefix_block, config.causal_layers)
        self._tail_pages = self._pages(cache.tail_block, config.tail_layers)
        self._boundary = Buffer(torch.from_numpy(cache.boundary), cache.boundary)

    def step(self, tokens: IntArray, appended: PackedRows, computed: PackedRows) -> NDArray[np.float32]:
        """See `encoder.runtime.encoder.Body.step`."""
        with torch.inference_mode():
            if len(appended):
                self._prefix(tokens, appended)
            if not len(computed):
                return np.empty((0, self._config.columns), np.float32)
            return self._tail(computed)

    def _pages(self, block: PageBlock, layers: int) -> list[Pages]:
        """View the memory of each layer as `encoder.runtime.kernels.Pages`."""
        config = self._config
        width, size = config.head_dim, config.page_size
        keys = torch.from_numpy(block.keys).view(self._dtype).view(layers, block.pages, config.heads, width, size)
        values = torch.from_numpy(block.values).view(self._dtype).view(layers, block.pages, config.heads, size, width)
        return [Pages(Buffer(keys[i]), Buffer(values[i])) for i in range(layers)]

    def _prefix(self, tokens: IntArray, rows: PackedRows) -> None:
        cache = self._cache
        x = self._widen(self._kernels.embed(tokens, rows, self._embedding, self._dtype))
        for layer, pages in zip(self._layers, self._prefix_pages, strict=False):  # ends after the causal layers
            x = layer.forward(x, self._kernels, pages, cache.prefix_table, rows)
        self._kernels.store(x, self._boundary, cache.tail_table, rows)

    def _tail(self, rows: PackedRows) -> NDArray[np.float32]:
        cache = self._cache
        x = self._kernels.gather(self._boundary, cache.tail_table, rows, self._dtype)
        for layer, pages in zip(self._layers[self._config.causal_layers :], self._tail_pages, strict=True):
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
