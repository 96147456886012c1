"""Packed linear layers: weights reordered once for oneDNN, the activation fused; and the choice of number format.

The packed operations are private to torch. This is the one file that may call them; where they are missing or fail,
`F.linear` does the same work.

Batch invariance: a row's result must not depend on how many rows are packed with it, or a replay after an eviction
would not be bit for bit what it replaces. oneDNN's kernels keep to it from two rows on, on one thread; a single row may
take another path (a matrix times a vector, summed in another order), so a layer where that shows computes it twice.
"""

import time
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

NumberFormat = Literal["auto", "float32", "bfloat16"]
GeluForm = Literal["none", "tanh"]


class PackedLinear:
    """y = x W^T + b, with GELU on top if wanted; float32 or bfloat16 in and out."""

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, *, gelu: bool = False, approximate: GeluForm = "none"
    ) -> None:
        """Pack `weight` (N, K) and `bias` (N,), both float32, for inputs of `dtype`."""
        self.dtype = dtype
        self.gelu = gelu
        self.approximate = approximate
        self._activation = "gelu" if gelu else "none"
        self.bias = bias.to(dtype)
        self.weight = weight.to(dtype).contiguous()
        self.packed = _pack(self.weight, self.bias)
        if self.packed is not None:
            self.weight = self.weight[:0]  # the packed copy is all that is read
        self.double_single_row = self._single_row_differs(weight.shape[1])

    def __call__(self, x: Tensor) -> Tensor:
        """Map (M, K) to (M, N), contiguous."""
        if self.double_single_row and x.shape[0] == 1:
            return self._compute(x.repeat(2, 1))[:1]
        return self._compute(x)

    def _compute(self, x: Tensor) -> Tensor:
        if self.packed is not None:
            return _fused(x, self.packed, self.bias, self._activation, _NO_SCALARS, self.approximate)
        y = F.linear(x, self.weight, self.bias)
        return F.gelu(y, approximate=self.approximate) if self.gelu else y

    def _single_row_differs(self, width: int) -> bool:
        """Tell whether one of sixteen rows gets other bits alone than among the others."""
        x = torch.sin(torch.arange(16 * width)).view(16, width).to(self.dtype)
        alone = torch.cat([self._compute(x[i : i + 1]) for i in range(len(x))])
        return not torch.equal(alone, self._compute(x))


_NO_SCALARS: list[float | None] = []


def _fused(x: Tensor, packed: Tensor, bias: Tensor, activation: str, scalars: list[float | None], form: str) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, packed, bias, activation, scalars, form)
    return y


def _pack(weight: Tensor, bias: Tensor) -> Tensor | None:
    """Reorder a weight for oneDNN, or return None where torch cannot or gets it wrong."""
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight.default(weight)
        x = torch.ones(2, weight.shape[1], dtype=weight.dtype)
        good = torch.allclose(
            _fused(x, packed, bias, "none", _NO_SCALARS, "none"), F.linear(x, weight, bias), 0.05, 0.05
        )
    except (AttributeError, RuntimeError, TypeError):  # operator missing, not built in, or of another signature
        return None
    return packed if good else None


def choose_number_format(wanted: NumberFormat) -> torch.dtype:
    """Choose what the linears compute in: bfloat16 only where the CPU has it and it measures faster than float32.

    Raises:
        ValueError: `wanted` is not a number format.
    """
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if wanted in formats:
        return formats[wanted]
    if wanted != "auto":
        raise ValueError(f"number_format must be auto, float32 or bfloat16 (got {wanted!r})")
    faster = cpu_has_bfloat16() and _seconds(torch.bfloat16) < 0.9 * _seconds(torch.float32)
    return torch.bfloat16 if faster else torch.float32


def cpu_has_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 natively; without it torch's bfloat16 is up to nine times slower."""
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux: float32 is never wrong
        return False
    return "avx512_bf16" in words or "amx_bf16" in words


def _seconds(dtype: torch.dtype) -> float:
    """Measure the best of a few packed products of a typical shape; about 2 ms."""
    linear = PackedLinear(torch.full((768, 384), 0.5), torch.zeros(768), dtype)
    x = torch.ones(32, 384, dtype=dtype)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        linear(x)
        best = min(best, time.perf_counter() - began)
    return best
