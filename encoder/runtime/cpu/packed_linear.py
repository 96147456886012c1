"""Packed linear layers: weights reordered once for oneDNN, the activation fused.

The packed operations are private to torch. This is the one file that may call them; where they are missing or fail,
`F.linear` does the same work.

Batch invariance: a row's result must not depend on how many rows are packed with it, or a replay after an eviction
would not be bit for bit what it replaces. oneDNN's kernels keep to it from two rows on, on one thread; a single row may
take another path (a matrix times a vector, summed in another order), so a layer where that shows computes it twice.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.runtime.cpu.fused.weight_packing import round_columns

GeluForm = Literal["none", "tanh"]


class PackedLinear:
    """Linear layer y = x W^T + b with optional GELU; float32 or bfloat16 in and out."""

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
        """Tell whether one of sixteen rows gives other bits alone than together with the others."""
        x = torch.sin(torch.arange(16 * width)).view(16, width).to(self.dtype)
        alone = torch.cat([self._compute(x[i : i + 1]) for i in range(len(x))])
        return not torch.equal(alone, self._compute(x))


_NO_SCALARS: list[float | None] = []


def _fused(x: Tensor, packed: Tensor, bias: Tensor, activation: str, scalars: list[float | None], form: str) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, packed, bias, activation, scalars, form)
    return y


def _pack(weight: Tensor, bias: Tensor) -> Tensor | None:
    """Reorder a weight for oneDNN; None if torch cannot, or computes wrong results with it."""
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight.default(weight)
        x = torch.ones(2, weight.shape[1], dtype=weight.dtype)
        good = torch.allclose(
            _fused(x, packed, bias, "none", _NO_SCALARS, "none"), F.linear(x, weight, bias), 0.05, 0.05
        )
    except (AttributeError, RuntimeError, TypeError):  # operator missing, not built in, or of another signature
        return None
    return packed if good else None


class RoundedLinear:
    """Linear layer in int8, in plain torch: the reference of the fused layers, exact in integers, and slow.

    Each row is rounded to unsigned bytes with a scale and a zero point of its own, an output's weights to signed bytes.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, *, gelu: bool = False, approximate: GeluForm = "none"
    ) -> None:
        """Round `weight` (N, K); inputs and outputs are of `dtype`."""
        scale, numbers = round_columns(weight.float().numpy())
        self.dtype, self.gelu, self.approximate, self.bias = dtype, gelu, approximate, bias.float()
        self.scale, self.weight = torch.from_numpy(scale), torch.from_numpy(numbers).int()

    def __call__(self, x: Tensor) -> Tensor:
        """Map (M, K) to (M, N)."""
        numbers, scale, zero = round_rows(x.float())
        sums = (numbers - zero[:, None]) @ self.weight.T
        y = sums.float() * self.scale * scale[:, None] + self.bias
        return (F.gelu(y, approximate=self.approximate) if self.gelu else y).to(self.dtype)


def round_rows(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Round each row of (M, K) float32 to bytes: (M, K) int32 from 0 to 255, (M,) scale and (M,) int32 zero point."""
    low, high = x.amin(1).clamp(max=0.0), x.amax(1).clamp(min=0.0)
    scale = (high - low) / 255.0
    scale = torch.where(scale <= 1e-30, 1.0, scale)
    zero = (-low * (1.0 / scale) + 0.5).floor()
    numbers = (x * (1.0 / scale)[:, None] + (zero + 0.5)[:, None]).clamp(max=255.0).int()
    return numbers, scale, zero.int()
