"""numba kernels that treat each packed row alone: embedding, residual and norm, boundary states in and out of pages.

`cast` arrays hold the same numbers in the linears' number format: the same array in float32, uint16 for bfloat16.
"""

from typing import Any

import numba
import numpy as np

from encoder.ops.scalar import narrow, widen

FAST = {"contract"}  # fused multiply-add only: sums keep their order, so that a row's bits do not depend on its place
LANES = 16


@numba.njit(cache=True, fastmath=FAST)
def norm_row(x: Any, weight: Any, bias: Any, eps: float, cast: Any) -> None:
    """Norm one row (H,) in place and write it to `cast` as well."""
    width = len(x)
    lanes = np.zeros(LANES, np.float32)
    whole = width // LANES * LANES
    for i in range(0, whole, LANES):
        for j in range(LANES):
            lanes[j] += x[i + j]
    total = np.float32(0.0)
    for i in range(whole, width):
        total += x[i]
    for j in range(LANES):
        total += lanes[j]
        lanes[j] = 0.0
    mean = total / np.float32(width)
    for i in range(0, whole, LANES):
        for j in range(LANES):
            d = x[i + j] - mean
            lanes[j] += d * d
    square = np.float32(0.0)
    for i in range(whole, width):
        d = x[i] - mean
        square += d * d
    for j in range(LANES):
        square += lanes[j]
    scale = np.float32(1.0) / np.sqrt(square / np.float32(width) + np.float32(eps))
    for i in range(width):
        x[i] = (x[i] - mean) * scale * weight[i] + bias[i]
    for i in range(width):
        cast[i] = narrow(x[i], cast[i])


@numba.njit(cache=True, fastmath=FAST)
def embed(
    tokens: Any, position: Any, word_table: Any, position_table: Any, weight: Any, bias: Any, eps: float, full: Any, cast: Any
) -> None:
    """Sum word and position embeddings of each row, then norm."""
    for t in range(len(tokens)):
        word, place = word_table[tokens[t]], position_table[position[t]]
        for i in range(full.shape[1]):
            full[t, i] = word[i] + place[i]
        norm_row(full[t], weight, bias, eps, cast[t])


@numba.njit(cache=True, fastmath=FAST)
def add_norm(full: Any, delta: Any, weight: Any, bias: Any, eps: float, cast: Any) -> None:
    """Add (T, H) `delta`, in the linears' number format, to `full` in place, then norm."""
    for t in range(full.shape[0]):
        for i in range(full.shape[1]):
            full[t, i] += widen(delta[t, i])
        norm_row(full[t], weight, bias, eps, cast[t])


@numba.njit(cache=True)
def store(full: Any, pages: Any, table: Any, slots: Any, starts: Any, position: Any) -> None:
    """Write rows into pages (N, page_size, H); skip rows without a page."""
    size = pages.shape[1]
    for s in range(len(slots)):
        row = table[slots[s]]
        for t in range(starts[s], starts[s + 1]):
            page = row[position[t] // size]
            if page >= 0:
                pages[page, position[t] % size] = full[t]


@numba.njit(cache=True)
def gather(pages: Any, table: Any, slots: Any, starts: Any, position: Any, full: Any, cast: Any) -> None:
    """Read rows back from pages (N, page_size, H)."""
    size = pages.shape[1]
    for s in range(len(slots)):
        row = table[slots[s]]
        for t in range(starts[s], starts[s + 1]):
            source = pages[row[position[t] // size], position[t] % size]
            for i in range(len(source)):
                full[t, i] = source[i]
            for i in range(len(source)):
                cast[t, i] = narrow(source[i], cast[t, i])
