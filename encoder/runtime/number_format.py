"""Choice of the linears' number type, from the processor's features and a measurement of a few milliseconds."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from encoder.model.number_types import NumberType
from encoder.runtime.cpu.avx512.gemm import AS_IS, BLOCK, ROWS, PackedWeights, make_run
from encoder.runtime.cpu.avx512.microkernel import can_multiply
from encoder.runtime.cpu.avx512.workspace import NUMPY, aligned
from encoder.runtime.cpu.packed_linear import PackedLinear

NumberFormat = Literal["auto", "float32", "bfloat16", "int8"]
NUMBER_FORMATS: tuple[str, ...] = get_args(NumberFormat)


class NumberFormatError(ValueError):
    """A number format is unknown or not supported here; the message says which to use."""


_ROWS, _INPUTS, _OUTPUTS = 32, 384, 768


def choose_number_format(wanted: str, *, fused: bool = True) -> NumberType:
    """Choose the linears' number type: fewer bits only if the processor supports them and they measure faster.

    Args:
        wanted: one of `NUMBER_FORMATS`.
        fused: whether the fused layers can do the model's shape; "auto" never takes int8 without them.

    Raises:
        NumberFormatError: `wanted` is not a number format.
    """
    if wanted not in NUMBER_FORMATS:
        raise NumberFormatError(
            f"number_format must be {', '.join(NUMBER_FORMATS[:-1])} or {NUMBER_FORMATS[-1]} (got {wanted!r})"
        )
    if wanted != "auto":
        return wanted  # type: ignore[return-value]
    best: NumberType = "float32"
    seconds = _seconds("float32")
    if cpu_has_bfloat16() and (measured := _seconds("bfloat16")) < 0.9 * seconds:
        best, seconds = "bfloat16", measured
    if fused and can_multiply("int8") and _seconds("int8") < 0.9 * seconds:
        best = "int8"
    return best


def page_type(number_format: NumberType, *, fused: bool = True) -> torch.dtype:
    """Give the type of cached keys and values for linears of this number type."""
    if number_format == "int8":
        return torch.bfloat16 if fused and can_multiply("bfloat16") else torch.float32
    return torch.bfloat16 if number_format == "bfloat16" else torch.float32


def cpu_has_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 natively; without it torch's bfloat16 is up to nine times slower."""
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux: float32 is never wrong
        return False
    return "avx512_bf16" in words or "amx_bf16" in words


def _seconds(number_format: NumberType) -> float:
    """Measure the best of a few products of a typical shape; about 2 ms."""
    run = _fused_product() if number_format == "int8" else _packed_product(number_format)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best


def _packed_product(number_format: NumberType) -> Callable[[], object]:
    dtype = torch.bfloat16 if number_format == "bfloat16" else torch.float32
    linear = PackedLinear(torch.full((_OUTPUTS, _INPUTS), 0.5), torch.zeros(_OUTPUTS), dtype)
    x = torch.ones(_ROWS, _INPUTS, dtype=dtype)
    return lambda: linear(x)


def _fused_product() -> Callable[[], object]:
    run_product = make_run("int8")
    words = aligned(_INPUTS * _OUTPUTS // 4 + 3 * _OUTPUTS, np.int32)
    words.setflags(write=False)
    place = _INPUTS * _OUTPUTS // 4
    products = np.array([0, place, place + _OUTPUTS, place + 2 * _OUTPUTS, _INPUTS // 4, _OUTPUTS // BLOCK, AS_IS])
    packed = PackedWeights(words, words.view(np.float32), products, np.zeros(2, np.int64), 0)
    a, scale, zero = aligned(_ROWS * _INPUTS, NUMPY["int8"]), aligned(_ROWS, np.float32), aligned(_ROWS, np.int32)
    sums, out = aligned(ROWS * BLOCK, np.int32), aligned(_ROWS * _OUTPUTS, np.float32)
    return lambda: run_product(packed, a, _ROWS, scale, zero, sums, out)
