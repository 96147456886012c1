"""numba kernels of paged ragged attention.

A query, a head and a page make one block of work: page_size scores at a time, then head_dim outputs at a time. Both inner
loops run over contiguous memory without a reduction, so they become vector code that keeps the order of every sum: a
query's bits depend on its keys and on nothing else that is packed with it.
"""

from typing import Any

import numba
import numpy as np

from encoder.ops.scalar import exp_float32, narrow, widen

FAST = {"contract"}
UNROLL = 8


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


@numba.njit(cache=True, fastmath=FAST)
def score_page(query: Any, keys: Any, scores: Any) -> None:
    """Multiply a query (head_dim,) with the keys (head_dim, page_size) of one page."""
    width, size = keys.shape
    for j in range(size):
        scores[j] = np.float32(0.0)
    whole = width // UNROLL * UNROLL
    for d in range(0, whole, UNROLL):
        q0, q1, q2, q3 = query[d], query[d + 1], query[d + 2], query[d + 3]
        q4, q5, q6, q7 = query[d + 4], query[d + 5], query[d + 6], query[d + 7]
        for j in range(size):
            a = q0 * widen(keys[d, j]) + q1 * widen(keys[d + 1, j])
            b = q2 * widen(keys[d + 2, j]) + q3 * widen(keys[d + 3, j])
            c = q4 * widen(keys[d + 4, j]) + q5 * widen(keys[d + 5, j])
            e = q6 * widen(keys[d + 6, j]) + q7 * widen(keys[d + 7, j])
            scores[j] += (a + b) + (c + e)
    for d in range(whole, width):
        for j in range(size):
            scores[j] += query[d] * widen(keys[d, j])


@numba.njit(cache=True, fastmath=FAST)
def mix_page(weights: Any, values: Any, mixed: Any) -> None:
    """Add the values (page_size, head_dim) of one page, weighted (page_size,), to `mixed` (head_dim,)."""
    size, width = values.shape
    whole = size // UNROLL * UNROLL
    for j in range(0, whole, UNROLL):
        w0, w1, w2, w3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        w4, w5, w6, w7 = weights[j + 4], weights[j + 5], weights[j + 6], weights[j + 7]
        for d in range(width):
            a = w0 * widen(values[j, d]) + w1 * widen(values[j + 1, d])
            b = w2 * widen(values[j + 2, d]) + w3 * widen(values[j + 3, d])
            c = w4 * widen(values[j + 4, d]) + w5 * widen(values[j + 5, d])
            e = w6 * widen(values[j + 6, d]) + w7 * widen(values[j + 7, d])
            mixed[d] += (a + b) + (c + e)
    for j in range(whole, size):
        for d in range(width):
            mixed[d] += weights[j] * widen(values[j, d])


@numba.njit(cache=True, fastmath=FAST)
def softmax(scores: Any, start: int, stop: int) -> Any:
    """Turn scores[start:stop] into unnormalised weights, all others into 0; returns their sum."""
    top = scores[start]
    for i in range(start, stop):
        top = max(top, scores[i])
    for i in range(len(scores)):
        scores[i] = exp_float32(scores[i] - top)
    for i in range(start):
        scores[i] = np.float32(0.0)
    for i in range(stop, len(scores)):
        scores[i] = np.float32(0.0)
    total = np.float32(0.0)
    for i in range(start, stop):
        total += scores[i]
    return total


@numba.njit(cache=True, fastmath=FAST)
def attend(
    qkv: Any, keys: Any, values: Any, table: Any, slots: Any, starts: Any, first: Any, last: Any, scratch: Any, out: Any
) -> None:
    """Attend from each row to keys first .. last of its sequence.

    Args:
        qkv: (T, 3 * H), of which the queries are read.
        keys: (pages, heads, head_dim, page_size); `values` (pages, heads, page_size, head_dim).
        table: (slots, pages a slot) int32.
        slots: (S,); `starts` (S + 1,); `first` and `last` (T,); all int32.
        scratch: float32, room for the scores of one slot.
        out: (T, H), written in the number format of `qkv`.
    """
    _, heads, width, size = keys.shape
    scale = np.float32(1.0 / np.sqrt(width))
    query, mixed = np.empty(width, np.float32), np.empty(width, np.float32)
    for s in range(len(slots)):
        row = table[slots[s]]
        for h in range(heads):
            for t in range(starts[s], starts[s + 1]):
                low, high = first[t] // size, last[t] // size + 1
                scores = scratch[: (high - low) * size]
                for d in range(width):
                    query[d] = widen(qkv[t, h * width + d]) * scale
                    mixed[d] = np.float32(0.0)
                for p in range(low, high):
                    score_page(query, keys[row[p], h], scores[(p - low) * size : (p - low + 1) * size])
                total = softmax(scores, first[t] - low * size, last[t] + 1 - low * size)
                for p in range(low, high):
                    mix_page(scores[(p - low) * size : (p - low + 1) * size], values[row[p], h], mixed)
                for d in range(width):
                    out[t, h * width + d] = narrow(mixed[d] / total, out[t, h * width + d])
