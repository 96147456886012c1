"""Rows times packed weights: the product of every fused layer.

A product's weights lie in blocks of `BLOCK` columns, of each block step by step (`encoder.ops.packing`). One block stays
in the first cache while all rows pass over it; for few rows it is read once, at the speed of memory.

int8 takes rows of unsigned bytes, each with a scale and a zero point of its own (`encoder.ops.row_casts`), and columns of
signed bytes with a scale each. So a row's result depends on nothing but the row, and its sums are whole numbers.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from encoder.ops.curves import erf, exp_minus
from encoder.ops.dots import LANES, PER_STEP, Numbers, make_tile
from encoder.ops.lanes import corrected, fill, load, plus, product, quotient, save, smaller, times

ROWS: Final = 6
"""Rows of a tile: with four vectors of columns, as many sums as there are registers for."""
VECTORS: Final = 4
BLOCK: Final = LANES * VECTORS
"""Columns of a block; a product has a whole number of blocks."""

AS_IS: Final = 0
GELU: Final = 1
GELU_BY_TANH: Final = 2


def padded(columns: int) -> int:
    """Count the columns that a product's output has room for."""
    return -(-columns // BLOCK) * BLOCK


class Packed(NamedTuple):
    """Packed weights, as `encoder.ops.packing` lays them out; offsets count double words."""

    words: NDArray[np.int32]
    """All of them, flat."""
    reals: NDArray[np.float32]
    """The same memory."""
    products: NDArray[np.int64]
    """(products, 6) offsets of weight, scale, column sums and bias; steps, blocks"""
    norms: NDArray[np.int64]
    """(norms, 2) offsets of weight and bias"""
    position: int
    """Offset of the position table (P, width)."""


@cache
def make_product(numbers: Numbers) -> Callable[..., None]:
    """Compile the product of one kind of numbers, for any shape."""
    one, two, three, four, five, six = (make_tile(numbers, rows, VECTORS) for rows in range(1, ROWS + 1))
    per_step = PER_STEP[numbers]
    finish = _finish_bytes if numbers == "int8" else _finish

    @numba.njit(cache=True)
    def multiply(
        packed: Any, which: int, a: Any, begin: int, count: int, scale: Any, zero: Any, sums: Any, out: Any, form: int
    ) -> None:
        """Multiply rows begin .. begin+count-1 of `a` with one product's weights, add its bias, and activate.

        Args:
            packed: `Packed`.
            which: row of `packed.products`.
            a: (T * K,) flat, in the kind of numbers.
            begin: first row; `count` rows, of which the first goes to the start of `out`.
            scale: (T,) float32 of int8 rows; `zero` (T,) int32. Other kinds do not read them.
            sums: (ROWS * BLOCK,) scratch, int32 for int8, else float32.
            out: (count * blocks * BLOCK,) float32, flat.
            form: of the activation.
        """
        place, steps, blocks = packed.products[which, 0], packed.products[which, 4], packed.products[which, 5]
        for b in range(blocks):
            w = place + b * steps * BLOCK
            for r in range(0, count, ROWS):
                rows = min(ROWS, count - r)
                first = (begin + r) * steps * per_step
                if rows == 6:
                    six(a, first, steps, packed.words, w, steps, sums, 0, BLOCK)
                elif rows == 5:
                    five(a, first, steps, packed.words, w, steps, sums, 0, BLOCK)
                elif rows == 4:
                    four(a, first, steps, packed.words, w, steps, sums, 0, BLOCK)
                elif rows == 3:
                    three(a, first, steps, packed.words, w, steps, sums, 0, BLOCK)
                elif rows == 2:
                    two(a, first, steps, packed.words, w, steps, sums, 0, BLOCK)
                else:
                    one(a, first, steps, packed.words, w, steps, sums, 0, BLOCK)
                for i in range(rows):
                    t = begin + r + i
                    goal = ((r + i) * blocks + b) * BLOCK
                    finish(packed, which, sums, i * BLOCK, b * BLOCK, scale, zero, t, out, goal, form)

    return multiply  # type: ignore[no-any-return]


@numba.njit(cache=True)
def _finish(
    packed: Any, which: int, sums: Any, i: int, j: int, scale: Any, zero: Any, t: int, out: Any, goal: int, form: int
) -> None:
    """Add the bias to one row's sums of one block, from i on; its columns begin at j."""
    nil = fill(np.float32(0.0), LANES)
    bias = packed.products[which, 3] + j
    for v in range(0, BLOCK, LANES):
        _activate(plus(load(sums, i + v, nil), load(packed.reals, bias + v, nil)), out, goal + v, form)


@numba.njit(cache=True)
def _finish_bytes(
    packed: Any, which: int, sums: Any, i: int, j: int, scale: Any, zero: Any, t: int, out: Any, goal: int, form: int
) -> None:
    """The same of whole sums: first less the zero point's part, and scaled."""
    nil = fill(np.float32(0.0), LANES)
    factors, columns = packed.products[which, 1] + j, packed.products[which, 2] + j
    bias = packed.products[which, 3] + j
    for v in range(0, BLOCK, LANES):
        x = corrected(sums, i + v, packed.words, columns + v, zero[t], nil)
        x = times(product(x, load(packed.reals, factors + v, nil)), scale[t])
        _activate(plus(x, load(packed.reals, bias + v, nil)), out, goal + v, form)


@numba.njit(cache=True)
def _activate(x: Any, out: Any, goal: int, form: int) -> None:
    """Store lanes, after GELU in one of its forms (Hendrycks and Gimpel 2016, section 2)."""
    if form == GELU:
        half = times(x, np.float32(0.5))
        save(out, goal, plus(half, product(half, erf(times(x, np.float32(0.7071067811865476))))))
    elif form == GELU_BY_TANH:  # x / (1 + e^-2u): half of 1 + tanh(u)
        cube = times(product(product(x, x), x), np.float32(0.044715))
        u = times(plus(x, cube), np.float32(-1.5957691216057308))
        power = exp_minus(smaller(u, fill(np.float32(80.0), LANES)), np.float32(0.0))
        save(out, goal, quotient(x, plus(fill(np.float32(1.0), LANES), power)))
    else:
        save(out, goal, x)
