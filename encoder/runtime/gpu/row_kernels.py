"""Kernels on single packed rows: embedding, residual and norm, GELU, boundary states into and out of pages.

Each reads a row once and writes it once. The biases of the linears before them are added here, so that the linears are
plain matrix products. Rows beyond `totals` are padding, which is neither read nor written.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from encoder.runtime.gpu.launch import cdiv, power, row_grid, rows_a_program
from encoder.runtime.gpu.row_layout import DeviceRows

_COLUMNS = 1024


class DeviceStream(NamedTuple):
    """The residual stream, in float32 and as the linears take it (one tensor if that is float32)."""

    full: Tensor
    """(T, H) float32"""
    cast: Tensor
    """(T, H) in the number format"""

    @classmethod
    def empty(cls, rows: int, width: int, dtype: torch.dtype, device: torch.device) -> "DeviceStream":
        """Allocate a stream for rows."""
        full = torch.empty(rows, width, dtype=torch.float32, device=device)
        return cls(full, full if dtype == torch.float32 else torch.empty_like(full, dtype=dtype))


class DeviceNorm(NamedTuple):
    """One layer norm's parameters, (H,) float32 each."""

    weight: Tensor
    bias: Tensor
    eps: float


@triton.jit
def _norm_and_store(x, weight, bias, eps, column, mask, at, full, cast, WIDTH: tl.constexpr):
    """Norm a tile of rows, in two passes over registers; `x` is 0 where the mask is false."""
    inside = column < WIDTH
    x = tl.where(mask, x - (tl.sum(x, 1) / WIDTH)[:, None], 0.0)
    deviation = tl.sqrt(tl.sum(x * x, 1) / WIDTH + eps)
    x = x / deviation[:, None] * tl.load(weight + column, inside, 0.0)[None, :]
    x += tl.load(bias + column, inside, 0.0)[None, :]
    tl.store(full + at, x, mask)
    tl.store(cast + at, x.to(cast.dtype.element_ty), mask)


@triton.jit
def add_norm_rows(
    full,
    delta,
    shift,
    weight,
    bias,
    cast,
    totals,
    eps,
    WIDTH: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    """Norm full + delta + shift, in place."""
    row = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.arange(0, BLOCK_H)
    mask = (row < tl.load(totals))[:, None] & (column < WIDTH)[None, :]
    at = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    x = tl.load(full + at, mask, 0.0) + tl.load(delta + at, mask, 0.0).to(tl.float32)
    x += tl.where(mask, tl.load(shift + column, column < WIDTH, 0.0)[None, :], 0.0)
    _norm_and_store(x, weight, bias, eps, column, mask, at, full, cast, WIDTH)


@triton.jit
def embed_rows(
    tokens,
    position,
    words,
    places,
    weight,
    bias,
    full,
    cast,
    totals,
    eps,
    WIDTH: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    """Norm the sum of a token's and its position's embedding."""
    row = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.arange(0, BLOCK_H)
    live = row < tl.load(totals)
    mask = live[:, None] & (column < WIDTH)[None, :]
    token = tl.load(tokens + row, live, 0).to(tl.int64)
    place = tl.load(position + row, live, 0)
    x = tl.load(words + token[:, None] * WIDTH + column[None, :], mask, 0.0)
    x += tl.load(places + place[:, None] * WIDTH + column[None, :], mask, 0.0)
    at = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    _norm_and_store(x, weight, bias, eps, column, mask, at, full, cast, WIDTH)


@triton.jit
def gelu_rows(x, bias, totals, WIDTH: tl.constexpr, TANH: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr):
    """Add the bias and take GELU (Hendrycks and Gimpel 2016), in place."""
    row = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask = (row < tl.load(totals))[:, None] & (column < WIDTH)[None, :]
    at = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    y = tl.load(x + at, mask, 0.0).to(tl.float32) + tl.load(bias + column, column < WIDTH, 0.0)[None, :]
    if TANH:
        inner = 0.7978845608028654 * (y + 0.044715 * y * y * y)
        small = tl.exp(-2.0 * tl.abs(inner))  # of what cannot overflow
        tanh = (1.0 - small) / (1.0 + small)
        y = 0.5 * y * (1.0 + tl.where(inner < 0, -tanh, tanh))
    else:
        y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
    tl.store(x + at, y.to(x.dtype.element_ty), mask)


@triton.jit
def _cells(table, sequence, position, row, live, pages_a_slot, PAGE: tl.constexpr):
    """Find each row's cell in the pages, negative where there is no page."""
    place = tl.load(position + row, live, 0)
    page = tl.load(table + tl.load(sequence + row, live, 0) * pages_a_slot + place // PAGE, live, -1).to(tl.int64)
    return page * PAGE + tl.where(page >= 0, place % PAGE, 0)


@triton.jit
def store_rows(
    full,
    pages,
    table,
    sequence,
    position,
    totals,
    pages_a_slot,
    PAGE: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    """Write rows into pages (N, PAGE, WIDTH); those without a page are skipped."""
    row = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.arange(0, BLOCK_H)
    live = row < tl.load(totals)
    cell = _cells(table, sequence, position, row, live, pages_a_slot, PAGE)
    mask = (live & (cell >= 0))[:, None] & (column < WIDTH)[None, :]
    x = tl.load(full + row.to(tl.int64)[:, None] * WIDTH + column[None, :], mask, 0.0)
    tl.store(pages + cell[:, None] * WIDTH + column[None, :], x, mask)


@triton.jit
def gather_rows(
    pages,
    full,
    cast,
    table,
    sequence,
    position,
    totals,
    pages_a_slot,
    PAGE: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_H: tl.constexpr,
):
    """Read rows back from pages (N, PAGE, WIDTH)."""
    row = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.arange(0, BLOCK_H)
    live = row < tl.load(totals)
    cell = _cells(table, sequence, position, row, live, pages_a_slot, PAGE)
    mask = live[:, None] & (column < WIDTH)[None, :]
    x = tl.load(pages + cell[:, None] * WIDTH + column[None, :], mask & (cell >= 0)[:, None], 0.0)
    at = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    tl.store(full + at, x, mask)
    tl.store(cast + at, x.to(cast.dtype.element_ty), mask)


def embed(
    tokens: Tensor, rows: DeviceRows, words: Tensor, places: Tensor, norm: DeviceNorm, dtype: torch.dtype
) -> DeviceStream:
    """Embed (T,) int32 tokens at the rows' positions, by tables (V, E) and (P, E) float32; (T, E)."""
    width = words.shape[1]
    out = DeviceStream.empty(len(tokens), width, dtype, tokens.device)
    embed_rows[row_grid(tokens, width)](
        tokens, rows.position, words, places, norm.weight, norm.bias, out.full, out.cast, rows.totals, norm.eps,
        WIDTH=width, BLOCK_R=rows_a_program(width), BLOCK_H=power(width),
    )  # fmt: skip
    return out


def add_norm(x: DeviceStream, delta: Tensor, shift: Tensor, norm: DeviceNorm, rows: DeviceRows) -> DeviceStream:
    """Add a sublayer's product (T, H) and its bias (H,) float32 to the stream and norm it, in place."""
    width = delta.shape[1]
    add_norm_rows[row_grid(delta, width)](
        x.full, delta, shift, norm.weight, norm.bias, x.cast, rows.totals, norm.eps,
        WIDTH=width, BLOCK_R=rows_a_program(width), BLOCK_H=power(width),
    )  # fmt: skip
    return x


def gelu(x: Tensor, bias: Tensor, rows: DeviceRows, *, tanh: bool) -> Tensor:
    """Add a bias (N,) float32 to (T, N) and take GELU, in place."""
    width = x.shape[1]
    columns = min(_COLUMNS, power(width))
    height = rows_a_program(columns)
    gelu_rows[(cdiv(len(x), height), cdiv(width, columns))](
        x, bias, rows.totals, WIDTH=width, TANH=tanh, BLOCK_R=height, BLOCK_C=columns
    )
    return x


def store(full: Tensor, pages: Tensor, table: Tensor, rows: DeviceRows) -> None:
    """Write (T, H) states into pages (N, page_size, H) float32; rows without a page (-1) are skipped."""
    _, size, width = pages.shape
    store_rows[row_grid(full, width)](
        full, pages, table, rows.sequence, rows.position, rows.totals, table.shape[1],
        PAGE=size, WIDTH=width, BLOCK_R=rows_a_program(width), BLOCK_H=power(width),
    )  # fmt: skip


def gather(pages: Tensor, table: Tensor, rows: DeviceRows, dtype: torch.dtype) -> DeviceStream:
    """Read the rows' states from pages (N, page_size, H)."""
    _, size, width = pages.shape
    out = DeviceStream.empty(len(rows.sequence), width, dtype, pages.device)
    gather_rows[row_grid(out.full, width)](
        pages, out.full, out.cast, table, rows.sequence, rows.position, rows.totals, table.shape[1],
        PAGE=size, WIDTH=width, BLOCK_R=rows_a_program(width), BLOCK_H=power(width),
    )  # fmt: skip
    return out
