"""Packing a checkpoint's weights into one flat block of memory, in the order in which the fused layers read them.

Where each part lies follows from the configuration and the kind of numbers alone, so a file of the block needs no
directory. All parts begin at cache lines. A product's weights are (blocks, steps, columns of a block, numbers of a
double word); the head and the projection of narrow embeddings stay float32.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoder.model.config import HybridConfig
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.gemm import AS_IS, BLOCK, GELU, GELU_BY_TANH, PackedWeights, padded
from encoder.runtime.cpu.fused.microkernel import LANES, PER_STEP

LAYOUT: Final = 1
"""Version of the layout; raise it when the order or meaning of packed weights changes."""

PRODUCTS: Final = ("qkv", "out", "ff_in", "ff_out")
"""Products of each layer; those of the head and the projection follow after all layers."""
NORMS: Final = ("norm1", "norm2")
"""Norms of each layer; that of the embedding follows after all layers."""


def _products(config: HybridConfig, numbers: NumberType) -> Iterator[tuple[str, NumberType, int, int]]:
    """Name, kind, inputs and outputs of each product."""
    hidden, wide = config.hidden, config.intermediate
    shapes = {"qkv": (hidden, 3 * hidden), "out": (hidden, hidden), "ff_in": (hidden, wide), "ff_out": (wide, hidden)}
    for layer in range(config.layers):
        for name in PRODUCTS:
            yield f"layers.{layer}.{name}", numbers, *shapes[name]
    yield "head", "float32", hidden, config.columns
    if config.embedding is not None:
        yield "project", "float32", config.embedding, hidden


def _norms(config: HybridConfig) -> Iterator[tuple[str, int]]:
    for layer in range(config.layers):
        for name in NORMS:
            yield f"layers.{layer}.{name}", config.hidden
    yield "norm", config.table_width


def _form(config: HybridConfig, name: str) -> int:
    if not name.endswith("ff_in"):
        return AS_IS
    return GELU_BY_TANH if config.gelu == "tanh" else GELU


class WeightLayout:
    """Offsets of the parts of a packed checkpoint."""

    def __init__(self, config: HybridConfig, numbers: NumberType) -> None:
        self.config, self.numbers = config, numbers
        self._end = 0
        products, norms = [], []
        for name, kind, inputs, outputs in _products(config, numbers):
            steps, blocks = -(-inputs // PER_STEP[kind]), padded(outputs) // BLOCK
            weight = self._reserve(steps * blocks * BLOCK)
            products.append(
                (weight, *(self._reserve(blocks * BLOCK) for _ in range(3)), steps, blocks, _form(config, name))
            )
        for _, width in _norms(config):
            norms.append((self._reserve(width), self._reserve(width)))
        self.position = self._reserve(config.positions * config.table_width)
        self.sinks = self._reserve(config.layers * 2 * config.hidden) if config.sink else 0
        self.products = np.array(products, np.int64)
        self.norms = np.array(norms, np.int64)

    def _reserve(self, words: int) -> int:
        start = self._end
        self._end += -(-words // LANES) * LANES
        return start

    @property
    def size(self) -> int:
        """Total number of double words."""
        return self._end

    def packed(self, words: NDArray[np.int32]) -> PackedWeights:
        """Give views of the parts of the block `words` (size,)."""
        products, norms = self.products.reshape(-1), self.norms.reshape(-1)
        return PackedWeights(words, words.view(np.float32), products, norms, self.position, self.sinks)

    def fill(
        self,
        words: NDArray[np.int32],
        weights: Mapping[str, NDArray[np.float32]],
        head: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> None:
        """Pack weights by name, and the head's own weight and bias, into `words` (size,)."""
        packed = self.packed(words)
        for (name, kind, _, _), row in zip(_products(self.config, self.numbers), self.products.tolist(), strict=True):
            weight, bias = head if name == "head" else (weights[f"{name}.weight"], weights[f"{name}.bias"])
            scale, columns, numbers = _rounded(weight, kind)
            steps, blocks = row[4:6]
            words[row[0] : row[0] + steps * blocks * BLOCK] = _laid_out(numbers, steps * PER_STEP[kind], blocks)
            packed.reals[row[1] : row[1] + len(scale)] = scale
            words[row[2] : row[2] + len(columns)] = columns
            packed.reals[row[3] : row[3] + len(bias)] = bias
        for (name, width), offsets in zip(_norms(self.config), self.norms.tolist(), strict=True):
            for part, offset in zip(("weight", "bias"), offsets, strict=True):
                packed.reals[offset : offset + width] = weights[f"{name}.{part}"]
        position = weights["position.weight"].reshape(-1)
        packed.reals[self.position : self.position + len(position)] = position
        for layer in range(self.config.layers if self.config.sink else 0):
            sink = weights[f"layers.{layer}.sink"].reshape(-1)
            offset = self.sinks + layer * len(sink)
            packed.reals[offset : offset + len(sink)] = sink


def round_columns(weight: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Round a weight (N, K) to int8 with a scale for each of its N outputs: (N,) and (N, K)."""
    scale = np.maximum(np.abs(weight).max(axis=1), np.float32(1e-30)) / np.float32(127.0)
    return scale, np.rint(weight / scale[:, None]).astype(np.int8)


def round_to_bfloat16(x: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round finite float32 to bfloat16, to the nearest and to even in between; its bits as uint16."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    odd = bits >> np.uint32(16) & np.uint32(1)
    return (bits + np.uint32(0x7FFF) + odd >> np.uint32(16)).astype(np.uint16)


def _rounded(
    weight: NDArray[np.float32], kind: NumberType
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.generic]]:
    """Scales (N,) and column sums (N,) of a weight (N, K), and its numbers; only int8 has need of the first two."""
    if kind == "int8":
        scale, whole = round_columns(weight)
        return scale, whole.sum(axis=1, dtype=np.int32), whole
    none = np.zeros(0, np.int32)
    if kind == "bfloat16":
        return none.view(np.float32), none, round_to_bfloat16(weight)
    return none.view(np.float32), none, weight


def _laid_out(numbers: NDArray[np.generic], inputs: int, blocks: int) -> NDArray[np.int32]:
    """Reorder (N, K) numbers into blocks, padded with zeros; flat."""
    full = np.zeros((blocks * BLOCK, inputs), numbers.dtype)
    full[: numbers.shape[0], : numbers.shape[1]] = numbers
    words = full.view(np.int32).reshape(blocks, BLOCK, -1)  # (blocks, columns, steps)
    return np.ascontiguousarray(words.transpose(0, 2, 1)).reshape(-1)
