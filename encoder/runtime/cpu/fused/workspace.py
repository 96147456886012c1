"""Shape, workspace and call arguments of the fused layers.

numba reads named tuples as they are, so that one call takes a handful of arguments and not thirty.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.kernel_cache import kernel
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.attention_bf16 import QUERIES
from encoder.runtime.cpu.fused.gemm import SUMS, padded
from encoder.runtime.cpu.fused.microkernel import LANES
from encoder.runtime.cpu.numba_kernels.attention import scratch_size
from encoder.runtime.cpu.numba_kernels.simd import pointer_to

CHUNK: Final = 96
"""Rows that go through a sublayer together."""


class StepShape(NamedTuple):
    """The shape that code is compiled for."""

    hidden: int
    intermediate: int
    heads: int
    numbers: NumberType
    """Of the layers' products."""
    page_numbers: NumberType
    """Of cached keys and values: float32 or bfloat16."""
    eps: float
    sink: bool
    """Whether every layer has an attention sink."""


class Workspace(NamedTuple):
    """Scratch memory of a step, reused by the next one, as arrays or pointers; T is the most rows so far."""

    x: NDArray[np.float32]
    """(T * H,) the residual stream"""
    narrow: NDArray[np.float32]
    """(CHUNK * table width,) embeddings that are to be widened"""
    queries: NDArray[np.generic]
    """(T * H,) in the numbers of pages"""
    cast: NDArray[np.generic]
    """(T * H,) rows for the products"""
    scale: NDArray[np.float32]
    """(T,) of int8 rows"""
    zero: NDArray[np.int32]
    """(T,) of int8 rows"""
    page: NDArray[np.int64]
    """(T,) page of each row"""
    chunk: NDArray[np.float32]
    """(CHUNK * widest product,)"""
    wide: NDArray[np.generic]
    """(CHUNK * intermediate,) rows for the last product of a layer"""
    wide_scale: NDArray[np.float32]
    """(CHUNK,)"""
    wide_zero: NDArray[np.int32]
    """(CHUNK,)"""
    sums: NDArray[np.generic]
    """(a tile,) int32 for int8, else float32"""
    head_sums: NDArray[np.float32]
    """(a tile,)"""
    scores: NDArray[np.float32]
    weights: NDArray[np.uint16]
    mixed: NDArray[np.float32]
    """Scratch of attention."""
    row: NDArray[np.uint16]
    """(2 * H,)"""
    pairs: NDArray[np.int32]
    """The same memory."""


class RowTable(NamedTuple):
    """The rows of a pass, as `encoder.runtime.kernels.PackedRows`, and their page table."""

    table: NDArray[np.int32]
    """(slots, pages a slot); pointed at, it is flat"""
    slots: NDArray[np.int32]
    starts: NDArray[np.int32]
    position: NDArray[np.int32]
    first: NDArray[np.int32]
    last: NDArray[np.int32]


class RowCounts(NamedTuple):
    """Sizes of the arrays that the pointers of a `RowTable` point at."""

    rows: int
    sequences: int
    pages: int
    """Entries of the table for one slot."""


class PagePool(NamedTuple):
    """Pages of several layers, flat, layer after layer."""

    keys: NDArray[np.generic]
    values: NDArray[np.generic]
    pages: int
    """Of one layer."""


NUMPY: Final[dict[NumberType, Any]] = {"int8": np.uint8, "bfloat16": np.uint16, "float32": np.float32}


def reserve(shape: StepShape, table_width: int, columns: int, positions: int, rows: int) -> Workspace:
    """Reserve memory for steps of up to `rows` rows, each of which sees up to `positions` keys."""
    hidden, heads = shape.hidden, shape.heads
    widest = max(padded(width) for width in (3 * hidden, shape.intermediate, columns))
    kind, pages = NUMPY[shape.numbers], NUMPY[shape.page_numbers]
    span = -(-positions // LANES) * LANES
    row = aligned(2 * hidden, np.uint16)
    return Workspace(
        x=aligned(rows * hidden, np.float32),
        narrow=aligned(CHUNK * table_width, np.float32),
        queries=aligned(rows * hidden, pages),
        cast=aligned(rows * hidden, kind),
        scale=aligned(rows, np.float32),
        zero=aligned(rows, np.int32),
        page=aligned(rows, np.int64),
        chunk=aligned(CHUNK * widest, np.float32),
        wide=aligned(CHUNK * shape.intermediate, kind),
        wide_scale=aligned(CHUNK, np.float32),
        wide_zero=aligned(CHUNK, np.int32),
        sums=aligned(SUMS, np.int32 if shape.numbers == "int8" else np.float32),
        head_sums=aligned(SUMS, np.float32),
        scores=aligned(scratch_size(heads, hidden // heads, span), np.float32),
        weights=aligned(QUERIES * heads * span, np.uint16),
        mixed=aligned(QUERIES * hidden, np.float32),
        row=row,
        pairs=row.view(np.int32),
    )


def aligned(count: int, kind: Any) -> NDArray[Any]:
    """Make a flat array of zeros that begins at a cache line; the system provides memory only when it is written."""
    size = math.ceil(count * np.dtype(kind).itemsize)
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(kind)


@kernel
def arena_pointers(a: Any) -> Any:
    """Point at all arrays of a workspace."""
    return Workspace(
        pointer_to(a.x), pointer_to(a.narrow), pointer_to(a.queries), pointer_to(a.cast), pointer_to(a.scale),
        pointer_to(a.zero), pointer_to(a.page), pointer_to(a.chunk), pointer_to(a.wide), pointer_to(a.wide_scale),
        pointer_to(a.wide_zero), pointer_to(a.sums), pointer_to(a.head_sums), pointer_to(a.scores),
        pointer_to(a.weights), pointer_to(a.mixed), pointer_to(a.row), pointer_to(a.pairs),
    )  # fmt: skip


@kernel
def row_table_pointers(w: Any) -> Any:
    """Point at all arrays of a row table."""
    return RowTable(
        pointer_to(w.table), pointer_to(w.slots), pointer_to(w.starts), pointer_to(w.position), pointer_to(w.first),
        pointer_to(w.last),
    )  # fmt: skip


@kernel
def row_counts(w: Any) -> Any:
    """Count the rows, sequences and pages a slot of a row table."""
    return RowCounts(len(w.position), len(w.slots), w.table.shape[1])


@kernel
def page_pool_pointers(h: Any) -> Any:
    """Point at all arrays of a page pool."""
    return PagePool(pointer_to(h.keys), pointer_to(h.values), h.pages)
