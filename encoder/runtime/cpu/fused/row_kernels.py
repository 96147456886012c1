"""Operations of the fused layers on single rows: norm a row, and cast it for the next product.

A row of int8 is unsigned bytes with a scale and a zero point, x = scale (byte - zero), chosen from its own smallest and
largest number, with 0 among them: nothing is fixed beforehand, and no row depends on another.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from encoder.kernel_cache import kernel
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.microkernel import LANES
from encoder.runtime.cpu.numba_kernels.simd import (
    fill,
    larger,
    largest,
    load,
    plus,
    product,
    save,
    smaller,
    times,
    total,
)


@cache
def make_cast(numbers: NumberType) -> Callable[..., None]:
    """Pick cast(x, i, count, out, o, scale, zero, t): `count` float32 from i on, a multiple of 16, to `out` from o."""
    return cast_bytes if numbers == "int8" else cast_real


@kernel
def cast_real(x: Any, i: int, count: int, out: Any, o: int, scale: Any, zero: Any, t: int) -> None:
    """Store a row as float32, or as bfloat16 in uint16."""
    nil = fill(np.float32(0.0), LANES)
    for j in range(0, count, LANES):
        save(out, o + j, load(x, i + j, nil))


@kernel
def cast_bytes(x: Any, i: int, count: int, out: Any, o: int, scale: Any, zero: Any, t: int) -> None:
    """Store a row as uint8, its scale and zero point at t."""
    nil = fill(np.float32(0.0), LANES)
    low, high = nil, nil
    for j in range(0, count, LANES):
        row = load(x, i + j, nil)
        low, high = smaller(low, row), larger(high, row)
    bottom = -largest(times(low, np.float32(-1.0)))
    step = (largest(high) - bottom) / np.float32(255.0)
    if step <= np.float32(1e-30):
        step = np.float32(1.0)
    inverse = np.float32(1.0) / step
    off = np.floor(-bottom * inverse + np.float32(0.5))
    scale[t], zero[t] = step, np.int32(off)
    top, shift = fill(np.float32(255.0), LANES), fill(np.float32(off + np.float32(0.5)), LANES)
    for j in range(0, count, LANES):
        save(out, o + j, smaller(plus(times(load(x, i + j, nil), inverse), shift), top))


@kernel
def norm_row(x: Any, i: int, count: int, reals: Any, weight: int, bias: int, eps: float) -> None:
    """Layer norm of `count` float32 of `x` from i on, in place; its parameters lie in `reals`."""
    nil = fill(np.float32(0.0), LANES)
    part = np.float32(1.0) / np.float32(count)
    sums = nil
    for j in range(0, count, LANES):
        sums = plus(sums, load(x, i + j, nil))
    mean = fill(-(total(sums) * part), LANES)
    squares = nil
    for j in range(0, count, LANES):
        row = plus(load(x, i + j, nil), mean)
        squares = plus(squares, product(row, row))
    scale = np.float32(1.0) / np.sqrt(total(squares) * part + np.float32(eps))
    for j in range(0, count, LANES):
        row = times(plus(load(x, i + j, nil), mean), scale)
        save(x, i + j, plus(product(row, load(reals, weight + j, nil)), load(reals, bias + j, nil)))


@kernel
def add_row(x: Any, i: int, count: int, other: Any, o: int) -> None:
    """Add `count` float32 of `other` from o on to those of `x` from i on, in place."""
    nil = fill(np.float32(0.0), LANES)
    for j in range(0, count, LANES):
        save(x, i + j, plus(load(x, i + j, nil), load(other, o + j, nil)))
