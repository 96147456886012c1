"""Writing keys and values into pages, and attention of ragged queries over a page table, for every kind of pass.

Pages of one layer, of keys and of values alike, in the linears' number type:

    (pages, heads, page_size, head_dim)

One head of one page is contiguous, one key a row, as a matrix product loads it. (The CPU's keys are transposed, see
`encoder.runtime.kernels`.)

The two are separate launches: a block attends to keys that another block's rows have just written, and only the end of
a kernel makes the writes of all its blocks visible to all blocks of the next.
"""

import math
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from encoder.runtime.gpu.launch import KEYS, QUERIES, power, row_grid, rows_a_program
from encoder.runtime.gpu.row_layout import DeviceRows


class DevicePages(NamedTuple):
    """Paged keys and values of one layer, (pages, heads, page_size, head_dim) each."""

    keys: Tensor
    values: Tensor


@triton.jit
def write_pages(
    qkv,
    keys,
    values,
    table,
    sequence,
    position,
    totals,
    pages_a_slot,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    """Write each row's key and value into its page."""
    row = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.arange(0, BLOCK_H)
    live = row < tl.load(totals)
    place = tl.load(position + row, live, 0)
    page = tl.load(table + tl.load(sequence + row, live, 0) * pages_a_slot + place // PAGE, live, 0).to(tl.int64)
    mask = live[:, None] & (column < HEADS * DIM)[None, :]
    source = row.to(tl.int64)[:, None] * (3 * HEADS * DIM) + column[None, :]
    target = ((page[:, None] * HEADS + column[None, :] // DIM) * PAGE + (place % PAGE)[:, None]) * DIM
    target += column[None, :] % DIM
    tl.store(keys + target, tl.load(qkv + HEADS * DIM + source, mask, 0.0), mask)
    tl.store(values + target, tl.load(qkv + 2 * HEADS * DIM + source, mask, 0.0), mask)


@triton.jit
def attend_pages(
    qkv,
    keys,
    values,
    table,
    blocks,
    first,
    last,
    totals,
    sink,
    out,
    scale,
    pages_a_slot,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_D: tl.constexpr,
    SINK: tl.constexpr,
):
    """Attend with up to BLOCK_Q rows of one request and one head; online softmax (Milakov and Gimelshein 2018)."""
    block = tl.program_id(0)
    head = tl.program_id(1)
    if block < tl.load(totals + 1):
        sequence = tl.load(blocks + block * 3)
        index = tl.arange(0, BLOCK_Q)
        live = index < tl.load(blocks + block * 3 + 2)
        row = tl.load(blocks + block * 3 + 1) + index
        low = tl.load(first + row, live, 1 << 30)
        high = tl.load(last + row, live, -1)
        d = tl.arange(0, BLOCK_D)
        inner = (d < DIM)[None, :]
        at = row.to(tl.int64)[:, None] * (3 * HEADS * DIM) + head * DIM + d[None, :]
        q = tl.load(qkv + at, live[:, None] & inner, 0.0)
        begin = tl.min(low, 0) // BLOCK_K * BLOCK_K
        end = tl.max(high, 0) + 1
        if SINK:  # its score and value are what the sums begin with
            own = head * DIM + d
            sink_key = tl.load(sink + own, d < DIM, 0.0)
            best = tl.sum(q.to(tl.float32) * sink_key[None, :], 1) * scale
            mass = tl.full([BLOCK_Q], 1.0, tl.float32)
            sink_value = tl.load(sink + HEADS * DIM + own, d < DIM, 0.0)
            seen = tl.zeros([BLOCK_Q, BLOCK_D], tl.float32) + sink_value[None, :]
        else:
            best = tl.full([BLOCK_Q], -float("inf"), tl.float32)
            mass = tl.zeros([BLOCK_Q], tl.float32)
            seen = tl.zeros([BLOCK_Q, BLOCK_D], tl.float32)
        for base in range(begin, end, BLOCK_K):
            j = base + tl.arange(0, BLOCK_K)
            page = tl.load(table + sequence * pages_a_slot + j // PAGE, j < end, -1)
            known = (page >= 0)[:, None] & inner  # pages before `first` may be gone
            cell = ((page.to(tl.int64) * HEADS + head) * PAGE + j % PAGE)[:, None] * DIM + d[None, :]
            k = tl.load(keys + cell, known, 0.0)
            scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
            allowed = (j[None, :] >= low[:, None]) & (j[None, :] <= high[:, None])
            scores = tl.where(allowed, scores, -float("inf"))
            top = tl.maximum(best, tl.max(scores, 1))
            safe = tl.where(top == -float("inf"), 0.0, top)  # no key yet
            weight = tl.exp2(scores - safe[:, None])
            fade = tl.exp2(best - safe)
            v = tl.load(values + cell, known, 0.0)
            seen = seen * fade[:, None] + tl.dot(weight.to(v.dtype), v, input_precision="ieee")
            mass = mass * fade + tl.sum(weight, 1)
            best = top
        target = row.to(tl.int64)[:, None] * (HEADS * DIM) + head * DIM + d[None, :]
        seen = seen / tl.where(live, mass, 1.0)[:, None]
        tl.store(out + target, seen.to(out.dtype.element_ty), live[:, None] & inner)


def write(qkv: Tensor, pages: DevicePages, table: Tensor, rows: DeviceRows) -> None:
    """Write keys and values of (T, 3 * H) `qkv` into their pages; arguments as in `attend`."""
    _, heads, size, dim = pages.keys.shape
    width = heads * dim
    write_pages[row_grid(qkv, width)](
        qkv, pages.keys, pages.values, table, rows.sequence, rows.position, rows.totals, table.shape[1],
        HEADS=heads, DIM=dim, PAGE=size, BLOCK_R=rows_a_program(width), BLOCK_H=power(width),
    )  # fmt: skip


def attend(qkv: Tensor, pages: DevicePages, table: Tensor, rows: DeviceRows, sink: Tensor | None = None) -> Tensor:
    """Attend to the keys and values in the pages.

    Args:
        qkv: (T, 3 * H) queries, keys and values side by side.
        pages: of this layer; they already have the rows' own keys and values (`write`).
        table: (S, pages a slot) int32 pages of each request; every page that a row sees is there, others may be -1.
        rows: limits of each query.
        sink: (2, H) float32 key and value of the layer's attention sink, if it has one.

    Returns:
        (T, H) in the number format of `qkv`.
    """
    _, heads, size, dim = pages.keys.shape
    out = torch.empty(len(qkv), heads * dim, dtype=qkv.dtype, device=qkv.device)
    attend_pages[(len(rows.blocks), heads)](
        qkv, pages.keys, pages.values, table, rows.blocks, rows.first, rows.last, rows.totals,
        out if sink is None else sink, out,
        dim**-0.5 * math.log2(math.e), table.shape[1],
        HEADS=heads, DIM=dim, PAGE=size, BLOCK_Q=QUERIES, BLOCK_K=KEYS, BLOCK_D=max(16, power(dim)),
        SINK=sink is not None, num_warps=2,
    )  # fmt: skip
    return out
