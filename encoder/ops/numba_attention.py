"""numba kernels of paged ragged attention.

The inner work is one query, one head and one page: page_size scores side by side, then head_dim outputs side by side. Pages are
walked in the order of memory, all heads of a page in a row, since at many sessions the time goes into reading them. No sum
depends on what else is packed: a query's bits depend on its keys and values alone.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np

from encoder.ops.lanes import exp_minus, fill, fused, larger, largest, load, plus, save, times, total, within

QUERIES = 8  # rows that share one walk over the pages; bounds the scratch memory


@numba.njit(cache=True)
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


@cache
def make_attend(heads: int, width: int, size: int) -> Callable[..., None]:
    """Compile attention for one shape: lanes have constant lengths. `width` is head_dim, `size` page_size."""
    block = width * size
    hidden = heads * width
    scale = width**-0.5

    @numba.njit(cache=True)
    def attend(
        qkv: Any, keys: Any, values: Any, table: Any, slots: Any, starts: Any, first: Any, last: Any, scratch: Any, out: Any
    ) -> None:
        """Attend from each row to keys first .. last of its sequence.

        Args:
            qkv: (T * 3 * H,) of which the queries are read.
            keys: (pages * heads * head_dim * page_size,) and `values`, both flat, in the number format of `qkv`.
            table: (slots, pages a slot) int32.
            slots: (S,); `starts` (S + 1,); `first` and `last` (T,); all int32.
            scratch: (`scratch_size`,) float32.
            out: (T * H,), written in the number format of `qkv`.
        """
        query, mixed = scratch[: QUERIES * hidden], scratch[QUERIES * hidden : 2 * QUERIES * hidden]
        scores = scratch[2 * QUERIES * hidden :]
        for s in range(len(slots)):
            row = table[slots[s]]
            for begin in range(starts[s], starts[s + 1], QUERIES):
                end = min(begin + QUERIES, starts[s + 1])
                low, high = first[begin] // size, last[begin] // size + 1
                for t in range(begin, end):
                    low, high = min(low, first[t] // size), max(high, last[t] // size + 1)
                    for h in range(heads):
                        i = (t - begin) * hidden + h * width
                        lanes = load(qkv, 3 * t * hidden + h * width, width)
                        save(query, i, times(lanes, scale))
                        save(mixed, i, fill(0.0, width))
                span = (high - low) * size

                for p in range(low, high):
                    for h in range(heads):
                        k = (np.int64(row[p]) * heads + h) * block
                        for t in range(begin, end):
                            i = (t - begin) * hidden + h * width
                            even, odd = fill(0.0, size), fill(0.0, size)
                            for d in range(0, width - 1, 2):
                                even = fused(query[i + d], load(keys, k + d * size, size), even)
                                odd = fused(query[i + d + 1], load(keys, k + (d + 1) * size, size), odd)
                            if width % 2:
                                even = fused(query[i + width - 1], load(keys, k + (width - 1) * size, size), even)
                            save(scores, ((t - begin) * heads + h) * span + (p - low) * size, plus(even, odd))

                for t in range(begin, end):
                    start, stop = first[t] - low * size, last[t] + 1 - low * size
                    for h in range(heads):
                        base = ((t - begin) * heads + h) * span
                        tops = fill(-1e30, size)
                        for j in range(0, span, size):
                            lanes = within(load(scores, base + j, size), start - j, stop - j, -1e30)
                            tops = larger(tops, lanes)
                        top = largest(tops)
                        sums = fill(0.0, size)
                        for j in range(0, span, size):
                            lanes = exp_minus(load(scores, base + j, size), top)
                            lanes = within(lanes, start - j, stop - j, 0.0)
                            save(scores, base + j, lanes)
                            sums = plus(sums, lanes)
                        share = np.float32(1.0) / total(sums)
                        for j in range(0, span, size):
                            save(scores, base + j, times(load(scores, base + j, size), share))

                for p in range(low, high):
                    for h in range(heads):
                        v = (np.int64(row[p]) * heads + h) * block
                        for t in range(begin, end):
                            i = (t - begin) * hidden + h * width
                            w = ((t - begin) * heads + h) * span + (p - low) * size
                            even, odd = load(mixed, i, width), fill(0.0, width)
                            for j in range(0, size - 1, 2):
                                even = fused(scores[w + j], load(values, v + j * width, width), even)
                                odd = fused(scores[w + j + 1], load(values, v + (j + 1) * width, width), odd)
                            if size % 2:
                                even = fused(scores[w + size - 1], load(values, v + (size - 1) * width, width), even)
                            save(mixed, i, plus(even, odd))

                for t in range(begin, end):
                    for h in range(heads):
                        i = (t - begin) * hidden + h * width
                        save(out, t * hidden + h * width, load(mixed, i, width))

    return attend
