"""numba kernels that treat each packed row alone: residual and norm, boundary states in and out of pages.

All arrays of rows are flat. `cast` holds the same numbers in the linears' number format: in float32 it is the same
array, else uint16 with bfloat16 inside.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from encoder.kernel_cache import kernel
from encoder.runtime.cpu.numba_kernels.simd import fill, load, plus, product, save, times, total


@cache
def make_add_norm(hidden: int) -> Callable[..., None]:
    """Compile residual and layer norm for one width: lanes have constant lengths."""
    count = math.gcd(hidden, 16)
    part = 1.0 / hidden

    @kernel
    def add_norm(full: Any, delta: Any, weight: Any, bias: Any, eps: float, cast: Any) -> None:
        """Add (T * H,) `delta`, in the linears' number format, to float32 `full` in place, norm, and fill `cast`."""
        zero = fill(0.0, count)
        for i in range(0, len(full), hidden):
            sums = zero
            for j in range(i, i + hidden, count):
                x = plus(load(full, j, zero), load(delta, j, zero))
                save(full, j, x)
                sums = plus(sums, x)
            mean = total(sums) * np.float32(part)
            squares = zero
            for j in range(i, i + hidden, count):
                x = plus(load(full, j, zero), fill(-mean, count))
                save(full, j, x)
                squares = plus(squares, product(x, x))
            scale = np.float32(1.0) / np.sqrt(total(squares) * np.float32(part) + np.float32(eps))
            for j in range(0, hidden, count):
                x = product(times(load(full, i + j, zero), scale), load(weight, j, zero))
                x = plus(x, load(bias, j, zero))
                save(full, i + j, x)
                save(cast, i + j, x)

    return add_norm


@cache
def make_gather(hidden: int) -> Callable[..., None]:
    """Compile the gather of boundary states for one width."""
    count = math.gcd(hidden, 16)

    @kernel
    def gather(pages: Any, size: int, table: Any, slots: Any, starts: Any, position: Any, full: Any, cast: Any) -> None:
        """Read rows back from flat pages (N * page_size * H,)."""
        zero = fill(0.0, count)
        for s in range(len(slots)):
            row = table[slots[s]]
            for t in range(starts[s], starts[s + 1]):
                source = (np.int64(row[position[t] // size]) * size + position[t] % size) * hidden
                for j in range(0, hidden, count):
                    x = load(pages, source + j, zero)
                    save(full, t * hidden + j, x)
                    save(cast, t * hidden + j, x)

    return gather


@kernel
def store(full: Any, pages: Any, table: Any, slots: Any, starts: Any, position: Any) -> None:
    """Write (T, H) rows into pages (N, page_size, H); skip rows without a page."""
    size = pages.shape[1]
    for s in range(len(slots)):
        row = table[slots[s]]
        for t in range(starts[s], starts[s + 1]):
            page = row[position[t] // size]
            if page >= 0:
                pages[page, position[t] % size] = full[t]
