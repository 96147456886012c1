"""Metadata of the packed rows, made on the device: prefix sums over the requests of a step.

Launches have fixed sizes, so that they can be captured in a graph. So the arrays have a capacity, and their real
lengths are in `DeviceRows.totals`, which every kernel reads.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from encoder.runtime.gpu.launch import QUERIES

ROWS, BLOCKS = 0, 1
"""Places in `DeviceRows.totals`."""
_CHUNK = 1024
_FILL = 64


class DeviceRows(NamedTuple):
    """Metadata of the packed rows, int32 on the device. Sequence s is request s of the step."""

    starts: Tensor
    """(S + 1,) row offsets"""
    sequence: Tensor
    """(T,) request of each row"""
    position: Tensor
    """(T,) index of the token in its slot"""
    first: Tensor
    """(T,) first key the token sees"""
    last: Tensor
    """(T,) last key the token sees"""
    blocks: Tensor
    """(B, 3) request, first row and number of rows of each attention block: at most `QUERIES` rows of one request"""
    totals: Tensor
    """(2,) rows and blocks"""


@triton.jit
def scan_rows(count, begin, end, starts, block_starts, totals, CHUNK: tl.constexpr, QUERIES: tl.constexpr):
    """Sum the rows and blocks of the requests, in one program: 10,000 requests take a few iterations."""
    requests = tl.load(count)
    rows = 0
    blocks = 0
    for base in range(0, requests, CHUNK):
        i = base + tl.arange(0, CHUNK)
        live = i < requests
        n = tl.load(end + i, live, 0) - tl.load(begin + i, live, 0)
        b = (n + QUERIES - 1) // QUERIES
        tl.store(starts + i, rows + tl.cumsum(n, 0) - n, live)
        tl.store(block_starts + i, blocks + tl.cumsum(b, 0) - b, live)
        rows += tl.sum(n, 0)
        blocks += tl.sum(b, 0)
    tl.store(starts + requests, rows)
    tl.store(totals, rows)
    tl.store(totals + 1, blocks)


@triton.jit
def fill_rows(
    count,
    begin,
    end,
    window,
    starts,
    block_starts,
    sequence,
    position,
    first,
    last,
    blocks,
    CAUSAL: tl.constexpr,
    FILL: tl.constexpr,
    QUERIES: tl.constexpr,
):
    """Write the metadata of one request's rows and blocks."""
    i = tl.program_id(0)
    if i < tl.load(count):
        a = tl.load(begin + i)
        b = tl.load(end + i)
        n = b - a
        row = tl.load(starts + i)
        block = tl.load(block_starts + i)
        low = tl.load(window + i)
        step = tl.arange(0, FILL)
        for base in range(0, n, FILL):
            j = base + step
            live = j < n
            here = a + j
            tl.store(sequence + row + j, tl.full([FILL], 0, tl.int32) + i, live)
            tl.store(position + row + j, here, live)
            tl.store(first + row + j, tl.full([FILL], 0, tl.int32) if CAUSAL else low + 0 * j, live)
            tl.store(last + row + j, here if CAUSAL else b - 1 + 0 * j, live)
        for base in range(0, (n + QUERIES - 1) // QUERIES, FILL):
            j = base + step
            live = j * QUERIES < n
            at = (block + j) * 3
            tl.store(blocks + at, tl.full([FILL], 0, tl.int32) + i, live)
            tl.store(blocks + at + 1, row + j * QUERIES, live)
            tl.store(blocks + at + 2, tl.minimum(QUERIES, n - j * QUERIES), live)


def lay_out(count: Tensor, begin: Tensor, end: Tensor, window: Tensor | None, capacity: int) -> DeviceRows:
    """Lay out the tokens begin .. end-1 of each request.

    Args:
        count: (1,) int32 on the device: how many requests there are.
        begin: (S,) int32 slot tokens; only the first `count` are read.
        end: (S,) int32; begin <= end.
        window: (S,) int32 first key of all tokens of a request, which then see all keys up to end-1; None: each token
            sees all keys up to its own.
        capacity: rows that there is room for; at least as many as there are.
    """
    size, device = len(begin), begin.device
    most = min(capacity, capacity // QUERIES + size)

    def new(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int32, device=device)

    packed = DeviceRows(
        new(size + 1), new(capacity), new(capacity), new(capacity), new(capacity), new(most, 3), new(2)
    )  # fmt: skip
    block_starts = new(size)
    scan_rows[(1,)](count, begin, end, packed.starts, block_starts, packed.totals, CHUNK=_CHUNK, QUERIES=QUERIES)
    fill_rows[(size,)](
        count, begin, end, begin if window is None else window, packed.starts, block_starts, packed.sequence,
        packed.position, packed.first, packed.last, packed.blocks,
        CAUSAL=window is None, FILL=_FILL, QUERIES=QUERIES, num_warps=2,
    )  # fmt: skip
    return packed
