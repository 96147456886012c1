"""numba kernels of paged ragged attention.

The inner work is one query, one head and one page: page_size scores side by side, then head_dim outputs side by side.
Pages are walked in the order of memory, all heads of a page in a row, since at many sessions the time goes into reading
them. No sum depends on what else is packed: a query's bits depend on its keys and values alone.

The attention sink of a layer is a key and a value that lie in no page: its score joins each query's softmax, and its
weighted value is what the query's sum begins with.

Sizes are constants of the compiled code. Scratch arrays are flat: query and mixed are (QUERIES, heads, head_dim),
scores are (QUERIES, heads, span) where span counts the keys of the pages that the queries at hand see.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba.extending import register_jitable

from encoder.kernel_cache import kernel
from encoder.runtime.cpu.numba_kernels.simd import (
    fill,
    fused,
    larger,
    largest,
    load,
    plus,
    product,
    save,
    times,
    total,
    within,
)
from encoder.runtime.cpu.numba_kernels.simd_math import exp_minus

QUERIES = 8  # rows that share one walk over the pages; bounds the scratch memory


@kernel
def write(qkv: Any, keys: Any, values: Any, table: Any, slots: Any, starts: Any, position: Any) -> None:
    """Copy the keys and values of (T, 3 * H) rows into their pages; all in one number format."""
    _, heads, width, size = keys.shape
    for s in range(len(slots)):
        row = table[slots[s]]
        for t in range(starts[s], starts[s + 1]):
            page, offset = row[position[t] // size], position[t] % size
            for h in range(heads):
                k = (heads + h) * width
                v = (2 * heads + h) * width
                for d in range(width):
                    keys[page, h, d, offset] = qkv[t, k + d]
                for d in range(width):
                    values[page, h, offset, d] = qkv[t, v + d]


def scratch_size(heads: int, head_dim: int, keys: int) -> int:
    """Count the float32 that `attend` needs as scratch when a query sees at most `keys` keys, in whole pages."""
    return QUERIES * heads * (keys + 2 * head_dim)


_part = register_jitable(inline="always")


@_part
def _start(
    qkv: Any, scratch: Any, room: int, begin: int, end: int, heads: int, width: int, parts: int, zero: Any
) -> None:
    """Scale the queries of rows begin .. end-1, and clear the outputs after them; `zero` has head_dim lanes."""
    for t in range(begin, end):
        for h in range(heads):
            i = ((t - begin) * heads + h) * width
            save(scratch, i, times(load(qkv, (parts * t * heads + h) * width, zero), width**-0.5))
            save(scratch, room + i, zero)


@_part
def _weighted_sum(
    weights: Any, i: int, rows: Any, j: int, count: int, width: int, first: Any, zero: Any, out: Any, o: int
) -> None:
    """Add `count` rows of `width` numbers from j on, with the weights from i on, to `first`; the result goes to o.

    Two sums, so that neither waits for itself.
    """
    even, odd = first, zero
    for k in range(0, count - 1, 2):
        even = fused(weights[i + k], load(rows, j + k * width, zero), even)
        odd = fused(weights[i + k + 1], load(rows, j + (k + 1) * width, zero), odd)
    if count % 2:
        even = fused(weights[i + count - 1], load(rows, j + (count - 1) * width, zero), even)
    save(out, o, plus(even, odd))


@_part
def dot(left: Any, i: int, right: Any, j: int, count: int, lanes: int, zero: Any) -> Any:
    """Sum the products of `count` numbers; `zero` has that many `lanes`, of which `count` is a multiple."""
    sums = zero
    for k in range(0, count, lanes):
        sums = plus(sums, product(load(left, i + k, zero), load(right, j + k, zero)))
    return total(sums)


@_part
def _softmax_beside(scores: Any, base: int, span: int, start: int, stop: int, size: int, beside: Any, zero: Any) -> Any:
    """Do as `_softmax`, with one more score, which all lanes of `beside` have; returns its weight."""
    tops = beside
    for j in range(0, span, size):
        tops = larger(tops, within(load(scores, base + j, zero), start - j, stop - j, -1e30))
    top = largest(tops)
    first = largest(exp_minus(beside, top))
    sums = zero
    for j in range(0, span, size):
        weights = within(exp_minus(load(scores, base + j, zero), top), start - j, stop - j, 0.0)
        save(scores, base + j, weights)
        sums = plus(sums, weights)
    share = np.float32(1.0) / (total(sums) + first)
    for j in range(0, span, size):
        save(scores, base + j, times(load(scores, base + j, zero), share))
    return first * share


@_part
def _softmax(scores: Any, base: int, span: int, start: int, stop: int, size: int, zero: Any) -> None:
    """Turn the scores of keys start .. stop-1 of a span into weights that sum to one, all others into 0."""
    tops = within(zero, 0, 0, -1e30)
    for j in range(0, span, size):
        tops = larger(tops, within(load(scores, base + j, zero), start - j, stop - j, -1e30))
    top = largest(tops)
    sums = zero
    for j in range(0, span, size):
        weights = within(exp_minus(load(scores, base + j, zero), top), start - j, stop - j, 0.0)
        save(scores, base + j, weights)
        sums = plus(sums, weights)
    share = np.float32(1.0) / total(sums)
    for j in range(0, span, size):
        save(scores, base + j, times(load(scores, base + j, zero), share))


@cache
def make_rows(heads: int, width: int, size: int, parts: int, sink: bool) -> Callable[..., None]:
    """Compile attention of a few rows of one sequence; a query begins every `parts` * H numbers.

    `sink`: there is an attention sink.
    """
    block = width * size
    room = QUERIES * heads * width
    scores = 2 * room

    @kernel
    def attend_rows(
        qkv: Any, keys: Any, values: Any, base: int, table: Any, pages: int, begin: int, end: int, first: Any,
        last: Any, scratch: Any, sinks: Any, place: int, out: Any, goal: int,
    ) -> None:  # fmt: skip
        """Attend from rows begin .. end-1, at most `QUERIES`; `out` is written from `goal` on.

        As in `make_attend`; `table` is flat, from `pages` on it is the sequence's own, and pages count from `base` on.
        The layer's sink (2 * H,) lies in `sinks` from `place` on.
        """
        zero, nil = fill(0.0, size), fill(0.0, width)
        low, high = first[begin], last[begin]
        for t in range(begin + 1, end):
            low, high = min(low, first[t]), max(high, last[t])
        low, high = low // size, high // size + 1
        span = (high - low) * size
        _start(qkv, scratch, room, begin, end, heads, width, parts, nil)
        for p in range(low, high):
            for h in range(heads):
                k = ((base + int(table[pages + p])) * heads + h) * block
                for i in range(h, (end - begin) * heads, heads):
                    s = scores + i * span + (p - low) * size
                    _weighted_sum(scratch, i * width, keys, k, width, size, zero, zero, scratch, s)
        for i in range((end - begin) * heads):
            t = begin + i // heads
            start, stop = first[t] - low * size, last[t] + 1 - low * size
            if sink:
                key = place + i % heads * width
                beside = fill(dot(scratch, i * width, sinks, key, width, width, nil), size)
                weight = _softmax_beside(scratch, scores + i * span, span, start, stop, size, beside, zero)
                save(scratch, room + i * width, times(load(sinks, key + heads * width, nil), weight))
            else:
                _softmax(scratch, scores + i * span, span, start, stop, size, zero)
        for p in range(low, high):
            for h in range(heads):
                v = ((base + int(table[pages + p])) * heads + h) * block
                for i in range(h, (end - begin) * heads, heads):
                    w = scores + i * span + (p - low) * size
                    o = room + i * width
                    _weighted_sum(scratch, w, values, v, size, width, load(scratch, o, nil), nil, scratch, o)
        for i in range(0, (end - begin) * heads * width, width):
            save(out, goal + i, load(scratch, room + i, nil))

    return attend_rows


@cache
def make_attend(heads: int, width: int, size: int, sink: bool = False) -> Callable[..., None]:
    """Compile attention for one shape; `width` is head_dim, `size` page_size; `sink`: there is an attention sink."""
    attend_rows = make_rows(heads, width, size, 3, sink)

    @kernel
    def attend(
        qkv: Any,
        keys: Any,
        values: Any,
        table: Any,
        slots: Any,
        starts: Any,
        first: Any,
        last: Any,
        scratch: Any,
        sinks: Any,
        out: Any,
    ) -> None:
        """Attend from each row to the keys it sees.

        Args:
            qkv: (T * 3 * H,); only the queries are read.
            keys: (pages * heads * head_dim * page_size,) and `values`, both flat, in the number format of `qkv`.
            table: (slots, pages a slot) int32.
            slots: (S,) int32; `starts` (S + 1,) int32.
            first: (T,) int32 first key of each row; `last` (T,) int32.
            scratch: (`scratch_size`,) float32.
            sinks: (2 * H,) float32, the sink's key and value; empty where there is none.
            out: (T * H,), written in the number format of `qkv`.
        """
        nothing = np.int64(0)
        for s in range(len(slots)):
            row = table[slots[s]]
            for begin in range(starts[s], starts[s + 1], QUERIES):
                end = min(begin + QUERIES, starts[s + 1])
                goal = begin * heads * width
                attend_rows(
                    qkv, keys, values, nothing, row, nothing, begin, end, first, last, scratch, sinks, nothing, out,
                    goal,
                )  # fmt: skip

    return attend
