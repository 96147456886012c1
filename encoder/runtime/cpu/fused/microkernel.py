"""The microkernel of every product: a few rows times a few vectors of columns, all sums held in registers.

Both factors are read as double words of 32 bits: four bytes, two bfloat16 or one float32 along the dimension that is
summed over. One step takes a double word of each row, spreads it over 16 lanes, and multiplies it with the double words
of 16 columns that lie side by side. A row's sums are added in the order of the steps, alone: its bits do not depend on
which rows share the tile.

float32 is compiled for any processor: LLVM makes two or four vectors of one where 16 lanes are too many for it. Bytes
and bfloat16 need AVX-512 with VNNI or BF16: ask `can_multiply` before anything is compiled.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target

from encoder.model.number_types import NumberType
from encoder.runtime.cpu.numba_kernels.simd import (
    INT,
    Context,
    call_function,
    data_pointer,
    guard,
    operation,
    splat,
    vector,
)

LANES: Final = 16
"""Columns of one vector."""
PER_STEP: Final = {"float32": 1, "bfloat16": 2, "int8": 4}
"""Numbers of one double word."""

_LONG = ir.IntType(64)
_FLOATS, _INTS = vector(LANES), vector(LANES, INT)
_DOTS = {
    "float32": "llvm.fma.v16f32",
    "bfloat16": "llvm.x86.avx512bf16.dpbf16ps.512",
    "int8": "llvm.x86.avx512.vpdpbusd.512",  # unsigned bytes of rows times signed bytes of columns
}


_WIDE: Final = "+avx512f"
_NEEDS: Final[dict[NumberType, set[str]]] = {
    "float32": set(), "bfloat16": {_WIDE, "+avx512bf16"}, "int8": {_WIDE, "+avx512vnni"}
}  # fmt: skip


@cache
def _features() -> frozenset[str]:
    return frozenset(cpu_target.target_context.codegen().magic_tuple()[2].split(","))


def can_multiply(numbers: NumberType) -> bool:
    """Tell whether numba compiles for a processor with the instructions for these products."""
    return _NEEDS[numbers] <= _features()


def has_wide_registers() -> bool:
    """Tell whether the processor has 32 registers of 16 lanes (AVX-512)."""
    return _WIDE in _features()


@cache
def make_tile(numbers: NumberType, rows: int, vectors: int, *, steps: int = 0, carry: bool = False) -> Any:
    """Make `tile(a, first, stride, w, place, steps, out, start, width)` for one size.

    `a`, `w` and `out` are flat arrays or pointers of any type; `first`, `place` and `start` count their items.
    `stride` and `width` are the double words from one row of `a` and of `out` to the next. At `place` lie, step by
    step, `vectors` vectors side by side. Sums go to `out`: int32 for int8, else float32.

    Args:
        numbers: number type of both factors.
        rows: of `a`.
        vectors: of columns.
        steps: number of unrolled steps, which replaces the argument of the call; 0: the argument counts.
        carry: sums begin with what `out` has, else with 0.
    """
    element = _INTS if numbers == "int8" else _FLOATS
    size = range(rows * vectors)

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        def extent(number: int, count: Any) -> None:
            """`count` double words are read or written of that argument, from where the next one says."""
            guard(context, builder, signature.args[number], args[number], args[number + 1], count, 4)

        def spread(stride: Any, last: Any) -> Any:
            """Double words from the beginning of the first row to the end of the last, which has `last`."""
            return builder.add(builder.mul(stride, _LONG(rows - 1)), last)

        def pointer(number: int, kind: Any) -> Any:
            data = data_pointer(context, builder, signature.args[number], args[number])
            return builder.bitcast(builder.gep(data, [args[number + 1]]), kind.as_pointer())

        turns = _LONG(steps) if steps else args[5]
        extent(0, spread(args[2], turns))
        extent(3, builder.mul(turns, _LONG(vectors * LANES)))
        extent(6, spread(args[8], _LONG(vectors * LANES)))
        data, weights, sums = pointer(0, INT), pointer(3, _INTS), pointer(6, INT)

        def cell(i: int) -> Any:
            offset = builder.add(builder.mul(args[8], _LONG(i // vectors)), _LONG(LANES * (i % vectors)))
            return builder.bitcast(builder.gep(sums, [offset]), element.as_pointer())

        def step(k: Any, held: list[Any]) -> list[Any]:
            first = builder.mul(k, _LONG(vectors))
            columns = [
                builder.load(builder.gep(weights, [builder.add(first, _LONG(v))]), align=4) for v in range(vectors)
            ]
            found = []
            for row in range(rows):
                place = builder.add(builder.mul(args[2], _LONG(row)), k)
                one = splat(builder, builder.load(builder.gep(data, [place]), align=4), LANES)
                found += [_dot(builder, numbers, held[row * vectors + v], one, columns[v]) for v in range(vectors)]
            return found

        held = [builder.load(cell(i), align=4) if carry else ir.Constant(element, None) for i in size]
        for k in range(steps):
            held = step(_LONG(k), held)
        for i, value in enumerate(held if steps else _loop(builder, args[5], held, step)):
            builder.store(value, cell(i), align=4)
        return context.get_dummy_value()

    @operation
    def tile(
        typing: Context,
        a: Context,
        first: Context,
        stride: Context,
        w: Context,
        place: Context,
        steps: Context,
        out: Context,
        start: Context,
        width: Context,
    ) -> Any:
        count = types.int64
        return types.void(a, count, count, w, count, count, out, count, count), generate

    return tile


def _dot(builder: Context, numbers: NumberType, held: Any, one: Any, column: Any) -> Any:
    if numbers == "float32":
        one, column = builder.bitcast(one, _FLOATS), builder.bitcast(column, _FLOATS)
        return call_function(builder, _DOTS[numbers], _FLOATS, one, column, held)
    return call_function(builder, _DOTS[numbers], held.type, held, one, column)


def _loop(builder: Context, steps: Any, held: list[Any], step: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """Run `step` at least once; its values stay in registers from one iteration to the next."""
    before, body, after = builder.block, builder.append_basic_block("step"), builder.append_basic_block("after")
    builder.branch(body)
    builder.position_at_end(body)
    k = builder.phi(_LONG)
    turns = [builder.phi(value.type) for value in held]
    found = step(k, turns)
    following = builder.add(k, _LONG(1))
    for turn, value, result in zip(turns, held, found, strict=True):
        turn.add_incoming(value, before)
        turn.add_incoming(result, body)
    k.add_incoming(_LONG(0), before)
    k.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, steps), body, after)
    builder.position_at_end(after)
    return found
