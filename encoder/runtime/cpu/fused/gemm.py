"""Rows times packed weights: the product of every fused layer.

A product's weights lie in blocks of `BLOCK` columns, of each block step by step
(`encoder.runtime.cpu.fused.weight_packing`). One block stays in the first cache while all rows pass over it; for few
rows it is read once, at the speed of memory.

int8 takes rows of unsigned bytes, each with a scale and a zero point of its own
(`encoder.runtime.cpu.fused.row_kernels`), and columns of signed bytes with a scale each. So a row's result depends on
nothing but the row, and its sums are whole numbers.

The sums of some rows in one block are computed by a `RowSums`, chosen once: by vectors, five rows at a time, or by the
tile registers of AMX, 32 at a time.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from encoder.kernel_cache import kernel
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.microkernel import LANES, PER_STEP, has_wide_registers, make_tile
from encoder.runtime.cpu.fused.tile_registers import (
    GROUP,
    TILE_ROWS,
    TILE_STEPS,
    can_use_tiles,
    configure,
    make_tile_block,
    release,
    tiles_agree,
)
from encoder.runtime.cpu.numba_kernels.simd import (
    corrected,
    fill,
    load,
    plus,
    pointer_to,
    product,
    quotient,
    save,
    smaller,
    times,
)
from encoder.runtime.cpu.numba_kernels.simd_math import erf, exp_minus

ROWS: Final = 5
"""Rows of a tile: 20 sums, 4 vectors of columns and one number of each row fit into 32 registers in any order. With six
rows that depends on the compiler, and sums that do not stay in registers halve the speed."""
VECTORS: Final = 4 if has_wide_registers() else 1
"""Vectors of columns of a tile: with the 16 registers of AVX2, half as wide, five rows of one vector fit."""
BLOCK: Final = LANES * VECTORS
"""Columns of a block; a product has a whole number of blocks."""
FEW_ROWS: Final = 3
"""Up to so many rows are multiplied by vectors where there are tile registers: a register takes as long to load."""
SUMS: Final = GROUP * BLOCK
"""Sums that a product needs room for."""

AS_IS: Final = 0
GELU: Final = 1
GELU_BY_TANH: Final = 2


def padded(columns: int) -> int:
    """Count the columns that a product's output has room for."""
    return -(-columns // BLOCK) * BLOCK


PARTS: Final = 7
"""Fields of a product's description, see `PackedWeights`."""


class PackedWeights(NamedTuple):
    """Packed weights as `encoder.runtime.cpu.fused.weight_packing` lays them out: flat arrays, or pointers. Offsets
    count double words.
    """

    words: NDArray[np.int32]
    """All of them."""
    reals: NDArray[np.float32]
    """The same memory."""
    products: NDArray[np.int64]
    """(products * 7,) offsets of weight, scale, column sums and bias; steps, blocks, form of the activation"""
    norms: NDArray[np.int64]
    """(norms * 2,) offsets of weight and bias"""
    position: int
    """Offset of the position table (P, width)."""
    sinks: int
    """Offset of the layers' sinks (layers, 2, H), where there are any."""


@kernel
def weight_pointers(p: Any) -> Any:
    """Point at all arrays of packed weights."""
    return PackedWeights(
        pointer_to(p.words), pointer_to(p.reals), pointer_to(p.products), pointer_to(p.norms), p.position, p.sinks
    )


class RowSums(NamedTuple):
    """Computes the sums of a few rows in one block of columns."""

    rows: int
    """Most rows of a call."""
    prepare: Any
    """prepare(rows, held): before a call with `rows` rows, where `held` is the result of the last one, at first 0."""
    add_up: Any
    """add_up(a, first, stride, words, w, steps, sums, start, rows): of `rows` rows from item `first` of `a` on,
    `stride` double words apart, and the `steps` of a block at `w`; the sums go to `start`, `BLOCK` of each row.
    """
    end: Any
    """end(held): after all calls."""


@cache
def make_vector_sums(numbers: NumberType, *, carry: bool = False) -> RowSums:
    """Compile sums by vector registers; with `carry` they are added to those that there are."""
    one, two, three, four, five = (make_tile(numbers, rows, VECTORS, carry=carry) for rows in range(1, ROWS + 1))

    @kernel
    def prepare(rows: int, held: int) -> int:
        return held

    @kernel
    def add_up(
        a: Any, first: int, stride: int, words: Any, w: int, steps: int, sums: Any, start: int, rows: int
    ) -> None:
        if rows == 5:
            five(a, first, stride, words, w, steps, sums, start, BLOCK)
        elif rows == 4:
            four(a, first, stride, words, w, steps, sums, start, BLOCK)
        elif rows == 3:
            three(a, first, stride, words, w, steps, sums, start, BLOCK)
        elif rows == 2:
            two(a, first, stride, words, w, steps, sums, start, BLOCK)
        else:
            one(a, first, stride, words, w, steps, sums, start, BLOCK)

    @kernel
    def end(held: int) -> None:
        pass

    return RowSums(ROWS, prepare, add_up, end)


@cache
def make_tile_sums() -> RowSums:
    """Compile sums of bytes by tile registers; vectors take the steps that fill no register, and very few rows."""
    narrow, wide = make_tile_block(1, 4, VECTORS), make_tile_block(2, 2, VECTORS)
    _, _, by_vectors, _ = make_vector_sums("int8")
    _, _, add_rest, _ = make_vector_sums("int8", carry=True)

    @kernel
    def prepare(rows: int, held: int) -> int:
        if rows == held or rows <= FEW_ROWS:
            return held
        configure(rows)
        return rows

    @kernel
    def add_up(
        a: Any, first: int, stride: int, words: Any, w: int, steps: int, sums: Any, start: int, rows: int
    ) -> None:
        if rows <= FEW_ROWS:
            by_vectors(a, first, stride, words, w, steps, sums, start, rows)
            return
        if rows <= TILE_ROWS:
            narrow(a, first, stride, words, w, steps, sums, start, BLOCK, rows)
        else:
            half = BLOCK // 2
            wide(a, first, stride, words, w, steps, sums, start, BLOCK, rows)
            wide(a, first, stride, words, w + half, steps, sums, start + half, BLOCK, rows)
        done = steps - steps % TILE_STEPS
        if done < steps:
            for r in range(0, rows, ROWS):
                add_rest(
                    a, first + 4 * (r * stride + done), stride, words, w + done * BLOCK, steps - done, sums,
                    start + r * BLOCK, min(ROWS, rows - r),
                )  # fmt: skip

    @kernel
    def end(held: int) -> None:
        if held:
            release()

    return RowSums(GROUP, prepare, add_up, end)


@cache
def make_product(numbers: NumberType, *, tiles: bool | None = None) -> Callable[..., None]:
    """Compile the product of one number type, for any shape.

    `tiles`: whether bytes are multiplied by tile registers; None: where this machine has them, and they are right.
    """
    if tiles is None:
        tiles = numbers == "int8" and can_use_tiles() and tiles_agree()
    most, prepare, add_up, end = make_tile_sums() if tiles else make_vector_sums(numbers)
    per_step = PER_STEP[numbers]
    finish = _finish_bytes if numbers == "int8" else _finish

    @kernel
    def multiply(
        packed: Any, which: int, a: Any, begin: int, count: int, scale: Any, zero: Any, sums: Any, out: Any
    ) -> None:
        """Multiply rows begin .. begin+count-1 of `a` with one product's weights, add its bias, and activate.

        Args:
            packed: pointers.
            which: number of the product.
            a: (T * K,) flat, in the kind of numbers.
            begin: first row; the result of `count` rows goes to the start of `out`.
            scale: (T,) float32 of int8 rows; `zero` (T,) int32. Other kinds do not read them.
            sums: (SUMS,) scratch, int32 for int8, else float32.
            out: (count * blocks * BLOCK,) float32, flat.
        """
        at = which * PARTS
        begins, factors, columns, bias = (
            packed.products[at], packed.products[at + 1], packed.products[at + 2], packed.products[at + 3],
        )  # fmt: skip
        steps, blocks, form = packed.products[at + 4], packed.products[at + 5], packed.products[at + 6]
        nil, held = fill(np.float32(0.0), LANES), np.int64(0)
        for b in range(blocks):
            w = begins + b * steps * BLOCK
            for r in range(0, count, most):
                rows = min(most, count - r)
                first = (begin + r) * steps * per_step
                held = prepare(rows, held)
                add_up(a, first, steps, packed.words, w, steps, sums, np.int64(0), rows)
                for v in range(b * BLOCK, (b + 1) * BLOCK, LANES):
                    factor, added = load(packed.reals, factors + v, nil), load(packed.reals, bias + v, nil)
                    for i in range(rows):
                        t, place = begin + r + i, i * BLOCK + v - b * BLOCK
                        x = finish(sums, place, packed.words, columns + v, factor, scale, zero, t, added)
                        activate(x, out, (r + i) * blocks * BLOCK + v, form)
        end(held)

    return multiply


@cache
def make_run(numbers: NumberType, *, tiles: bool | None = None) -> Callable[..., None]:
    """Compile one product of arrays, for measurements and tests; `tiles` as for `make_product`."""
    multiply = make_product(numbers, tiles=tiles)

    @kernel
    def run(packed: Any, a: Any, count: int, scale: Any, zero: Any, sums: Any, out: Any) -> None:
        nothing = np.int64(0)
        multiply(
            weight_pointers(packed), nothing, pointer_to(a), nothing, count, pointer_to(scale), pointer_to(zero),
            pointer_to(sums), pointer_to(out),
        )  # fmt: skip

    return run


_part = register_jitable(inline="always")


@_part
def _finish(sums: Any, i: int, words: Any, c: int, factor: Any, scale: Any, zero: Any, t: int, added: Any) -> Any:
    """Add the bias to a vector of sums at i."""
    return plus(load(sums, i, added), added)


@_part
def _finish_bytes(sums: Any, i: int, words: Any, c: int, factor: Any, scale: Any, zero: Any, t: int, added: Any) -> Any:
    """The same of whole sums: first less the zero point's part, and scaled by column and row."""
    x = corrected(sums, i, words, c, zero[t], added)
    return plus(times(product(x, factor), scale[t]), added)


@kernel
def activate(x: Any, out: Any, goal: int, form: int) -> None:
    """Store lanes, after GELU in one of its forms (Hendrycks and Gimpel 2016, section 2)."""
    if form == AS_IS:
        save(out, goal, x)
    elif form == GELU:
        half = times(x, np.float32(0.5))
        save(out, goal, plus(half, product(half, erf(times(x, np.float32(0.7071067811865476))))))
    else:  # x / (1 + e^-2u): half of 1 + tanh(u)
        cube = times(product(product(x, x), x), np.float32(0.044715))
        u = times(plus(x, cube), np.float32(-1.5957691216057308))
        power = exp_minus(smaller(u, fill(np.float32(80.0), LANES)), np.float32(0.0))
        save(out, goal, quotient(x, plus(fill(np.float32(1.0), LANES), power)))
