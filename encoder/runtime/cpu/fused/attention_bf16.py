"""Paged attention of bfloat16 by dot products of pairs: the fused layers' own form of pages.

    keys    (pages, heads, head_dim / 2, page_size, 2)    pairs along the dimension that scores are summed over
    values  (pages, heads, page_size / 2, head_dim, 2)    pairs of neighbouring tokens

The same memory as `encoder.runtime.kernels.Pages` has, and the same work as in
`encoder.runtime.cpu.numba_kernels.attention`. Weights of keys are rounded to bfloat16 before values are mixed, and
divided by their sum afterwards, in float32.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np

from encoder.kernel_cache import kernel
from encoder.runtime.cpu.fused.microkernel import LANES, make_tile
from encoder.runtime.cpu.numba_kernels.attention import dot
from encoder.runtime.cpu.numba_kernels.simd import (
    fill,
    larger,
    largest,
    load,
    plus,
    prefetch,
    save,
    times,
    total,
    within,
)
from encoder.runtime.cpu.numba_kernels.simd_math import exp_minus

QUERIES: Final = 4
"""Rows that share one pass over the pages."""


@cache
def make_write(heads: int, width: int) -> Callable[..., None]:
    """Compile the writing of one row's key and value into its page; `width` is head_dim."""
    hidden, half = heads * width, width // 2

    @kernel
    def write(
        qkv: Any, i: int, queries: Any, t: int, keys: Any, values: Any, base: int, offset: int, row: Any, pairs: Any
    ) -> None:
        """Write a row's query, key and value.

        Args:
            qkv: float32, the row's query, key and value from i on.
            queries: (T * H,) uint16; the scaled query goes to row t.
            keys: flat, int32; `values` flat, uint16.
            base: the page, counted over all layers; `offset` the token in it.
            row: (2 * H,) scratch, uint16; `pairs` the same memory, int32.
        """
        nil = fill(np.float32(0.0), LANES)
        for j in range(0, hidden, LANES):
            save(queries, t * hidden + j, times(load(qkv, i + j, nil), np.float32(width**-0.5)))
        for j in range(0, 2 * hidden, LANES):
            save(row, j, load(qkv, i + hidden + j, nil))
        k = base * heads * half * LANES + offset
        for j in range(heads * half):
            keys[k + j * LANES] = pairs[j]
        v = base * heads * width * LANES + offset // 2 * width * 2 + offset % 2
        for h in range(heads):
            for d in range(width):
                values[v + h * width * LANES + d * 2] = row[hidden + h * width + d]

    return write


@cache
def make_attend(heads: int, width: int, sink: bool) -> Callable[..., None]:
    """Compile attention of a few rows of one sequence, for pages of 16 tokens; `sink`: there is an attention sink."""
    hidden, columns = heads * width, width // LANES
    score1, score2, score3, score4 = (make_tile("bfloat16", rows, 1, steps=width // 2) for rows in range(1, 5))
    mix1, mix2, mix3, mix4 = (
        make_tile("bfloat16", rows, columns, steps=LANES // 2, carry=True) for rows in range(1, 5)
    )
    key_block, value_block = width // 2 * LANES, width * LANES

    @kernel
    def ask_keys(keys: Any, block: int) -> None:
        for line in range(0, key_block, LANES):
            prefetch(keys, block * key_block + line)

    @kernel
    def ask_values(values: Any, block: int) -> None:
        for line in range(0, value_block, 2 * LANES):
            prefetch(values, block * value_block + line)

    @kernel
    def attend(
        queries: Any, begin: int, count: int, keys: Any, values: Any, base: int, table: Any, pages: int, ahead: int,
        first: Any, last: Any, scores: Any, weights: Any, sinks: Any, place: int, out: Any,
    ) -> None:  # fmt: skip
        """Attend from rows begin .. begin+count-1, at most `QUERIES`.

        Args:
            queries: (T * H,) uint16, scaled.
            begin: first row; `count` rows.
            keys: flat, int32; `values` flat, uint16.
            base: the first page of this layer.
            table: the page table, flat; from `pages` on it is the sequence's own.
            ahead: the page whose keys will be read next: memory is slow to begin.
            first: (T,) first key of each row; `last` (T,) its last.
            scores: (QUERIES * heads * keys,) float32 scratch; `weights` as many uint16.
            sinks: float32; the layer's sink (2 * H,) lies there from `place` on.
            out: (count * H,) float32.
        """
        low, high = first[begin], last[begin]
        for t in range(begin + 1, begin + count):
            low, high = min(low, first[t]), max(high, last[t])
        low, high = low // LANES, high // LANES + 1
        span = (high - low) * LANES
        width_q, width_s, width_w = hidden // 2, heads * span, heads * span // 2
        for p in range(low, high):
            page = (base + table[pages + p]) * heads
            for h in range(heads):
                if p + 1 < high:
                    ask_keys(keys, (base + table[pages + p + 1]) * heads + h)
                else:
                    ask_values(values, (base + table[pages + low]) * heads + h)
                q, k, s = begin * hidden + h * width, (page + h) * key_block, h * span + (p - low) * LANES
                if count == 1:
                    score1(queries, q, width_q, keys, k, 0, scores, s, width_s)
                elif count == 2:
                    score2(queries, q, width_q, keys, k, 0, scores, s, width_s)
                elif count == 3:
                    score3(queries, q, width_q, keys, k, 0, scores, s, width_s)
                else:
                    score4(queries, q, width_q, keys, k, 0, scores, s, width_s)
        nil = fill(np.float32(0.0), LANES)
        for i in range(count):
            start, stop = first[begin + i] - low * LANES, last[begin + i] + 1 - low * LANES
            for h in range(heads):
                if sink:
                    key = place + h * width
                    beside = dot(queries, (begin + i) * hidden + h * width, sinks, key, width, LANES, nil)
                    weight = _weigh_beside(scores, weights, (i * heads + h) * span, span, start, stop, beside)
                    for j in range(0, width, LANES):
                        save(out, i * hidden + h * width + j, times(load(sinks, key + hidden + j, nil), weight))
                else:
                    _weigh(scores, weights, (i * heads + h) * span, span, start, stop)
        if not sink:
            for j in range(0, count * hidden, LANES):
                save(out, j, nil)
        for p in range(low, high):
            page = (base + table[pages + p]) * heads
            for h in range(heads):
                if p + 1 < high:
                    ask_values(values, (base + table[pages + p + 1]) * heads + h)
                else:
                    ask_keys(keys, (base + ahead) * heads + h)
                w, v, o = h * span + (p - low) * LANES, (page + h) * value_block, h * width
                if count == 1:
                    mix1(weights, w, width_w, values, v, 0, out, o, hidden)
                elif count == 2:
                    mix2(weights, w, width_w, values, v, 0, out, o, hidden)
                elif count == 3:
                    mix3(weights, w, width_w, values, v, 0, out, o, hidden)
                else:
                    mix4(weights, w, width_w, values, v, 0, out, o, hidden)
        for i in range(count * heads):
            share = np.float32(1.0) / scores[i * span]
            for j in range(i * width, (i + 1) * width, LANES):
                save(out, j, times(load(out, j, nil), share))

    return attend


@kernel
def _weigh(scores: Any, weights: Any, i: int, span: int, start: int, stop: int) -> None:
    """Turn the scores from i on of keys start .. stop-1 into weights, all others into 0; scores[i] is their sum."""
    nil = fill(np.float32(0.0), LANES)
    tops = fill(np.float32(-1e30), LANES)
    for j in range(0, span, LANES):
        tops = larger(tops, within(load(scores, i + j, nil), start - j, stop - j, np.float32(-1e30)))
    top = largest(tops)
    sums = nil
    for j in range(0, span, LANES):
        weight = within(exp_minus(load(scores, i + j, nil), top), start - j, stop - j, np.float32(0.0))
        save(weights, i + j, weight)
        sums = plus(sums, weight)
    scores[i] = total(sums)


@kernel
def _weigh_beside(scores: Any, weights: Any, i: int, span: int, start: int, stop: int, beside: Any) -> Any:
    """Do as `_weigh`, with one more score, whose weight is in the sum and is returned."""
    nil = fill(np.float32(0.0), LANES)
    tops = fill(beside, LANES)
    for j in range(0, span, LANES):
        tops = larger(tops, within(load(scores, i + j, nil), start - j, stop - j, np.float32(-1e30)))
    top = largest(tops)
    first = largest(exp_minus(fill(beside, LANES), top))
    sums = nil
    for j in range(0, span, LANES):
        weight = within(exp_minus(load(scores, i + j, nil), top), start - j, stop - j, np.float32(0.0))
        save(weights, i + j, weight)
        sums = plus(sums, weight)
    scores[i] = total(sums) + first
    return first
