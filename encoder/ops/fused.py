"""Both halves of a step, each in one call: tokens to boundary states, and boundary states to label scores."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np

from encoder.ops.arena import CHUNK, Shape, bare_arena, bare_held, bare_packed, bare_where, extent_of
from encoder.ops.dots import LANES
from encoder.ops.lanes import bare, fill, load, plus, save, times
from encoder.ops.passes import make_layers
from encoder.ops.products import make_product, padded
from encoder.ops.row_casts import norm_row


@cache
def make_prefix(shape: Shape, table_width: int) -> Callable[..., None]:
    """Compile the prefix; `table_width` is that of the embedding tables, less than `hidden` where they are widened."""
    hidden, eps = shape.hidden, shape.eps
    layers, multiply = make_layers(shape), make_product("float32")
    narrow = table_width != hidden

    @numba.njit(cache=True)
    def embed(token: int, position: int, words: Any, scale: Any, packed: Any, norm: int, out: Any, o: int) -> None:
        """Add a row of each table and norm the sum."""
        nil = fill(np.float32(0.0), LANES)
        place = packed.position + position * table_width
        for j in range(0, table_width, LANES):
            word = times(load(words, token * table_width + j, nil), scale[token])
            save(out, o + j, plus(word, load(packed.reals, place + j, nil)))
        norm_row(out, o, table_width, packed.reals, packed.norms[2 * norm], packed.norms[2 * norm + 1], eps)

    @numba.njit(cache=True)
    def widen(
        tokens: Any, total: int, words: Any, scale: Any, arena: Any, packed: Any, where: Any, norm: int, which: int
    ) -> None:
        """Embed into rows that are narrower than the layers, and project them."""
        for begin in range(0, total, CHUNK):
            count = min(CHUNK, total - begin)
            for i in range(count):
                t = begin + i
                embed(tokens[t], where.position[t], words, scale, packed, norm, arena.narrow, i * table_width)
            multiply(
                packed, which, arena.narrow, np.int64(0), count, arena.scale, arena.zero, arena.head_sums, arena.chunk
            )
            for i in range(count):
                copy_row(arena.chunk, i * padded_hidden, arena.x, (begin + i) * hidden, hidden)

    padded_hidden = padded(hidden)

    @numba.njit(cache=True)
    def run_prefix(
        tokens: Any, words: Any, scale: Any, arena: Any, packed: Any, where: Any, extent: Any, held: Any,
        boundary: Any, tail_table: Any, norm: int, which: int, stop: int,
    ) -> None:  # fmt: skip
        """Do what `prefix` does, with pointers."""
        if narrow:
            widen(tokens, extent.rows, words, scale, arena, packed, where, norm, which)
        else:
            for t in range(extent.rows):
                embed(tokens[t], where.position[t], words, scale, packed, norm, arena.x, t * hidden)
        layers(arena, packed, where, extent, held, np.int64(0), stop)
        for s in range(extent.sequences):
            for t in range(where.starts[s], where.starts[s + 1]):
                page = np.int64(tail_table[where.slots[s] * extent.pages + where.position[t] // LANES])
                if page >= 0:
                    place = (page * LANES + where.position[t] % LANES) * hidden
                    copy_row(arena.x, t * hidden, boundary, place, hidden)

    @numba.njit(cache=True)
    def prefix(
        tokens: Any, words: Any, scale: Any, arena: Any, packed: Any, where: Any, held: Any, boundary: Any,
        tail_table: Any, norm: int, which: int, stop: int,
    ) -> None:  # fmt: skip
        """Take appended tokens through layers 0 .. stop-1; their states go to the boundary.

        Args:
            tokens: (T,) int32.
            words: the word table, flat, int8 or float32, and `scale` (V,) float32 of each of its rows.
            arena: memory to work in.
            packed: the weights.
            where: the rows.
            held: pages of these layers.
            boundary: (pages * page_size * H,) float32; `tail_table` its page table.
            norm: the embedding's norm.
            which: the projection's product.
            stop: number of these layers.
        """
        run_prefix(
            bare(tokens), bare(words), bare(scale), bare_arena(arena), bare_packed(packed), bare_where(where),
            extent_of(where), bare_held(held), bare(boundary), bare(tail_table), norm, which, stop,
        )  # fmt: skip

    return prefix


@cache
def make_tail(shape: Shape, columns: int) -> Callable[..., None]:
    """Compile the tail and the head of so many columns."""
    hidden, width = shape.hidden, padded(columns)
    layers, multiply = make_layers(shape), make_product("float32")

    @numba.njit(cache=True)
    def run_tail(
        arena: Any, packed: Any, where: Any, extent: Any, held: Any, boundary: Any, which: int, start: int, stop: int,
        logits: Any,
    ) -> None:  # fmt: skip
        """Do what `tail` does, with pointers."""
        for s in range(extent.sequences):
            for t in range(where.starts[s], where.starts[s + 1]):
                page = np.int64(where.table[where.slots[s] * extent.pages + where.position[t] // LANES])
                place = (page * LANES + where.position[t] % LANES) * hidden
                copy_row(boundary, place, arena.x, t * hidden, hidden)
        layers(arena, packed, where, extent, held, start, stop)
        for begin in range(0, extent.rows, CHUNK):
            count = min(CHUNK, extent.rows - begin)
            multiply(packed, which, arena.x, begin, count, arena.scale, arena.zero, arena.head_sums, arena.chunk)
            for i in range(count):
                for j in range(columns):
                    logits[(begin + i) * columns + j] = arena.chunk[i * width + j]

    @numba.njit(cache=True)
    def tail(
        arena: Any, packed: Any, where: Any, held: Any, boundary: Any, which: int, start: int, stop: int, logits: Any
    ) -> None:
        """Take boundary states through layers start .. stop-1 and the head, product `which`.

        Args:
            arena: memory to work in.
            packed: the weights.
            where: the rows.
            held: pages of these layers.
            boundary: (pages * page_size * H,) float32, in the same pages.
            which: the head's product.
            start: first of these layers; `stop` behind the last.
            logits: (T, columns) float32, written.
        """
        run_tail(
            bare_arena(arena), bare_packed(packed), bare_where(where), extent_of(where), bare_held(held),
            bare(boundary), which, start, stop, bare(logits),
        )  # fmt: skip

    return tail


@numba.njit(cache=True)
def copy_row(x: Any, i: int, out: Any, o: int, count: int) -> None:
    """Copy `count` float32, a multiple of 16."""
    nil = fill(np.float32(0.0), LANES)
    for j in range(0, count, LANES):
        save(out, o + j, load(x, i + j, nil))
