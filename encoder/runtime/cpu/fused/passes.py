"""The fused layers: the whole prefix or tail of a step in one compiled call.

Layer by layer over all rows; within a layer in chunks of rows, so that the rows between two products stay in the
processor's cache. Nothing is allocated here: everything is written into the caller's
`encoder.runtime.cpu.fused.workspace.Workspace`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from encoder.kernel_cache import kernel
from encoder.runtime.cpu.fused import attention_bf16 as page_dots
from encoder.runtime.cpu.fused import attention_f32 as page_floats
from encoder.runtime.cpu.fused.attention_bf16 import QUERIES
from encoder.runtime.cpu.fused.gemm import make_product, padded
from encoder.runtime.cpu.fused.microkernel import LANES
from encoder.runtime.cpu.fused.row_kernels import add_row, make_cast, norm_row
from encoder.runtime.cpu.fused.workspace import CHUNK, StepShape


@cache
def make_layers(shape: StepShape) -> Callable[..., None]:
    """Compile a run of layers for one shape."""
    hidden, wide_width, heads, eps = shape.hidden, shape.intermediate, shape.heads, shape.eps
    pages = page_dots if shape.page_numbers == "bfloat16" else page_floats
    write = pages.make_write(heads, hidden // heads)
    attend = pages.make_attend(heads, hidden // heads, shape.sink)
    multiply, cast = make_product(shape.numbers), make_cast(shape.numbers)
    wide_span, qkv_span, span = padded(wide_width), padded(3 * hidden), padded(hidden)

    @kernel
    def project_qkv(arena: Any, packed: Any, layer: int, where: Any, held: Any, base: int, total: int) -> None:
        """Compute queries, keys and values of all rows; keys and values go to their pages."""
        for begin in range(0, total, CHUNK):
            count = min(CHUNK, total - begin)
            multiply(packed, 4 * layer, arena.cast, begin, count, arena.scale, arena.zero, arena.sums, arena.chunk)
            for i in range(count):
                t = begin + i
                write(
                    arena.chunk, i * qkv_span, arena.queries, t, held.keys, held.values,
                    base + arena.page[t], where.position[t] % LANES, arena.row, arena.pairs,
                )  # fmt: skip

    @kernel
    def attend_rows(arena: Any, packed: Any, layer: int, where: Any, extent: Any, held: Any, base: int) -> None:
        """Attend from all rows, and cast the results for the next product."""
        for s in range(extent.sequences):
            row = where.slots[s] * extent.pages
            other = min(s + 1, extent.sequences - 1)
            ahead = where.table[where.slots[other] * extent.pages + where.first[where.starts[other]] // LANES]
            for begin in range(where.starts[s], where.starts[s + 1], QUERIES):
                count = min(QUERIES, where.starts[s + 1] - begin)
                attend(
                    arena.queries, begin, count, held.keys, held.values, base, where.table, row, ahead,
                    where.first, where.last, arena.scores, arena.weights, packed.reals,
                    packed.sinks + layer * 2 * hidden, arena.mixed,
                )  # fmt: skip
                for t in range(begin, begin + count):
                    cast(arena.mixed, (t - begin) * hidden, hidden, arena.cast, t * hidden, arena.scale, arena.zero, t)

    @kernel
    def add_and_norm(arena: Any, packed: Any, norm: int, t: int, i: int) -> None:
        """Add a sublayer's output to row t, norm it, and cast it for the next product."""
        add_row(arena.x, t * hidden, hidden, arena.chunk, i * span)
        norm_row(arena.x, t * hidden, hidden, packed.reals, packed.norms[2 * norm], packed.norms[2 * norm + 1], eps)
        cast(arena.x, t * hidden, hidden, arena.cast, t * hidden, arena.scale, arena.zero, t)

    @kernel
    def feed_forward(arena: Any, packed: Any, layer: int, begin: int, count: int) -> None:
        """Take a chunk of rows from the attention's output to the end of the layer."""
        chunk, first = arena.chunk, 4 * layer
        multiply(packed, first + 1, arena.cast, begin, count, arena.scale, arena.zero, arena.sums, chunk)
        for i in range(count):
            add_and_norm(arena, packed, 2 * layer, begin + i, i)
        multiply(packed, first + 2, arena.cast, begin, count, arena.scale, arena.zero, arena.sums, chunk)
        for i in range(count):
            cast(chunk, i * wide_span, wide_width, arena.wide, i * wide_width, arena.wide_scale, arena.wide_zero, i)
        multiply(
            packed, first + 3, arena.wide, np.int64(0), count, arena.wide_scale, arena.wide_zero, arena.sums, chunk
        )
        for i in range(count):
            add_and_norm(arena, packed, 2 * layer + 1, begin + i, i)

    @kernel
    def layers(arena: Any, packed: Any, where: Any, extent: Any, held: Any, start: int, stop: int) -> None:
        """Take `arena.x` through layers start .. stop-1 and fill their pages. All arguments are pointers."""
        total = extent.rows
        for s in range(extent.sequences):
            for t in range(where.starts[s], where.starts[s + 1]):
                arena.page[t] = where.table[where.slots[s] * extent.pages + where.position[t] // LANES]
        for t in range(total):
            cast(arena.x, t * hidden, hidden, arena.cast, t * hidden, arena.scale, arena.zero, t)
        for layer in range(start, stop):
            base = (layer - start) * held.pages
            project_qkv(arena, packed, layer, where, held, base, total)
            attend_rows(arena, packed, layer, where, extent, held, base)
            for begin in range(0, total, CHUNK):
                feed_forward(arena, packed, layer, begin, min(CHUNK, total - begin))

    return layers
