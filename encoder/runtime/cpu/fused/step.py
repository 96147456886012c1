"""A whole step in one call: tokens to boundary states, boundary states to label scores.

Every function is compiled again into all that call it: so there are few levels, and one way in.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from encoder.kernel_cache import kernel
from encoder.runtime.cpu.fused.gemm import BLOCK, make_product, padded, weight_pointers
from encoder.runtime.cpu.fused.microkernel import LANES
from encoder.runtime.cpu.fused.passes import make_layers
from encoder.runtime.cpu.fused.row_kernels import norm_row
from encoder.runtime.cpu.fused.workspace import (
    CHUNK,
    StepShape,
    arena_pointers,
    page_pool_pointers,
    row_counts,
    row_table_pointers,
)
from encoder.runtime.cpu.numba_kernels.simd import fill, load, plus, pointer_to, save, times


@cache
def make_begin(shape: StepShape, table_width: int) -> Callable[..., None]:
    """Compile the embedding; `table_width` is that of its tables, less than `hidden` where they are widened."""
    hidden, eps, span = shape.hidden, shape.eps, padded(shape.hidden)
    multiply = make_product("float32")

    @kernel
    def embed(token: int, position: int, words: Any, scale: Any, packed: Any, norm: int, out: Any, o: int) -> None:
        """Add a row of each table and norm the sum."""
        nil = fill(np.float32(0.0), LANES)
        place = packed.position + position * table_width
        for j in range(0, table_width, LANES):
            word = times(load(words, token * table_width + j, nil), scale[token])
            save(out, o + j, plus(word, load(packed.reals, place + j, nil)))
        norm_row(out, o, table_width, packed.reals, packed.norms[2 * norm], packed.norms[2 * norm + 1], eps)

    @kernel
    def begin(
        tokens: Any, words: Any, scale: Any, arena: Any, packed: Any, where: Any, total: int, norm: int, which: int
    ) -> None:
        """Embed (total,) tokens into `arena.x`."""
        for t in range(total):
            embed(tokens[t], where.position[t], words, scale, packed, norm, arena.x, t * hidden)

    @kernel
    def begin_narrow(
        tokens: Any, words: Any, scale: Any, arena: Any, packed: Any, where: Any, total: int, norm: int, which: int
    ) -> None:
        """The same, by way of rows that are narrower than the layers, and product `which`."""
        for start in range(0, total, CHUNK):
            count = min(CHUNK, total - start)
            for i in range(count):
                t = start + i
                embed(tokens[t], where.position[t], words, scale, packed, norm, arena.narrow, i * table_width)
            nothing = np.int64(0)
            multiply(packed, which, arena.narrow, nothing, count, arena.scale, arena.zero, arena.head_sums, arena.chunk)
            for i in range(count):
                copy_row(arena.chunk, i * span, arena.x, (start + i) * hidden, hidden)

    return begin if table_width == hidden else begin_narrow


@cache
def make_step(shape: StepShape, table_width: int) -> Callable[..., None]:
    """Compile a step: prefix, boundary, tail and head."""
    hidden = shape.hidden
    begin, layers, multiply = make_begin(shape, table_width), make_layers(shape), make_product("float32")

    @kernel
    def place_of(where: Any, extent: Any, table: Any, s: int, t: int) -> Any:
        """Find where the state of row t of sequence s lies in the boundary; negative where it has no page."""
        page = np.int64(table[where.slots[s] * extent.pages + where.position[t] // LANES])
        return (page * LANES + where.position[t] % LANES) * hidden

    # Without the interpreter: an event loop in another thread would wait for it until the step is over.
    @kernel(nogil=True)
    def step(
        tokens: Any, words: Any, scale: Any, arena: Any, packed: Any, boundary: Any, appended: Any, prefix: Any,
        computed: Any, tail: Any, causal: int, total: int, columns: int, logits: Any,
    ) -> None:  # fmt: skip
        """Take appended tokens through the prefix, and rows from the restart points on through the tail.

        All arrays are flat but the page tables of `RowTable`.

        Args:
            tokens: (T,) int32.
            words: the word table, int8 or float32, and `scale` (V,) float32 of each of its rows.
            arena: memory to work in.
            packed: the weights.
            boundary: (pages * page_size * H,) float32, in the pages of the tail.
            appended: rows of the prefix, and `prefix` the pages of its layers.
            computed: rows of the tail, and `tail` the pages of its layers.
            causal: layers of the prefix.
            total: layers in all.
            columns: of the head.
            logits: (N * columns,) float32, written.
        """
        memory, weights, states = arena_pointers(arena), weight_pointers(packed), pointer_to(boundary)
        where, extent, table = row_table_pointers(appended), row_counts(appended), pointer_to(computed.table)
        if extent.rows:
            begin(
                pointer_to(tokens), pointer_to(words), pointer_to(scale), memory, weights, where, extent.rows,
                2 * total, 4 * total + 1,
            )  # fmt: skip
            layers(memory, weights, where, extent, page_pool_pointers(prefix), np.int64(0), causal)
            for s in range(extent.sequences):
                for t in range(where.starts[s], where.starts[s + 1]):
                    place = place_of(where, extent, table, s, t)
                    if place >= 0:
                        copy_row(memory.x, t * hidden, states, place, hidden)
        width = (columns + BLOCK - 1) // BLOCK * BLOCK
        where, extent, scores = row_table_pointers(computed), row_counts(computed), pointer_to(logits)
        if extent.rows:
            for s in range(extent.sequences):
                for t in range(where.starts[s], where.starts[s + 1]):
                    copy_row(states, place_of(where, extent, table, s, t), memory.x, t * hidden, hidden)
            layers(memory, weights, where, extent, page_pool_pointers(tail), causal, total)
        for start in range(0, extent.rows, CHUNK):
            count = min(CHUNK, extent.rows - start)
            multiply(
                weights, 4 * total, memory.x, start, count, memory.scale, memory.zero, memory.head_sums, memory.chunk
            )
            for i in range(count):
                for j in range(columns):
                    scores[(start + i) * columns + j] = memory.chunk[i * width + j]

    return step


@kernel
def copy_row(x: Any, i: int, out: Any, o: int, count: int) -> None:
    """Copy `count` float32, a multiple of 16."""
    nil = fill(np.float32(0.0), LANES)
    for j in range(0, count, LANES):
        save(out, o + j, load(x, i + j, nil))
