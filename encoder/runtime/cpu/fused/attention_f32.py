"""Paged attention of float32 for the fused layers: pages and arithmetic of
`encoder.runtime.cpu.numba_kernels.attention`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from encoder.kernel_cache import kernel
from encoder.runtime.cpu.fused.microkernel import LANES
from encoder.runtime.cpu.numba_kernels.attention import make_rows
from encoder.runtime.cpu.numba_kernels.simd import fill, load, save


@cache
def make_write(heads: int, width: int) -> Callable[..., None]:
    """Compile what `encoder.runtime.cpu.fused.attention_bf16.make_write` does, in float32."""
    hidden = heads * width

    @kernel
    def write(
        qkv: Any, i: int, queries: Any, t: int, keys: Any, values: Any, base: int, offset: int, row: Any, pairs: Any
    ) -> None:
        nil = fill(np.float32(0.0), LANES)
        for j in range(0, hidden, LANES):
            save(queries, t * hidden + j, load(qkv, i + j, nil))
        k, v = base * hidden * LANES + offset, base * hidden * LANES + offset * width
        for j in range(hidden):
            keys[k + j * LANES] = qkv[i + hidden + j]
        for h in range(heads):
            for d in range(width):
                values[v + h * width * LANES + d] = qkv[i + 2 * hidden + h * width + d]

    return write


@cache
def make_attend(heads: int, width: int, sink: bool) -> Callable[..., None]:
    """Compile what `encoder.runtime.cpu.fused.attention_bf16.make_attend` does, in float32; `scores` is all of the
    scratch.
    """
    attend_rows = make_rows(heads, width, LANES, 1, sink)

    @kernel
    def attend(
        queries: Any, begin: int, count: int, keys: Any, values: Any, base: int, table: Any, pages: int, ahead: int,
        first: Any, last: Any, scores: Any, weights: Any, sinks: Any, place: int, out: Any,
    ) -> None:  # fmt: skip
        attend_rows(
            queries, keys, values, base, table, pages, begin, begin + count, first, last, scores, sinks, place, out, 0
        )

    return attend
