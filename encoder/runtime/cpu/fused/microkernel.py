"""The microkernel of every product: a few rows times a few vectors of columns, all sums held in registers.

Both factors are read as double words of 32 bits: four bytes, two bfloat16 or one float32 along the dimension that is
summed over. One step takes a double word of each row, spreads it over 16 lanes, and multiplies it with the double words
of 16 columns that lie side by side. A row's sums are added in the order of the steps, alone: its bits do not depend on
which rows share the tile.

float32 is compiled for any processor: LLVM makes two or four vectors of one where 16 lanes are too many for it.
bfloat16 needs AVX-512 BF16, and bytes need AVX2 at least: ask `can_multiply` before anything is compiled. The best
instruction for bytes is taken, and sums of bytes are whole numbers, so that all processors compute the same:

    AVX-512 VNNI, AVX-VNNI    vpdpbusd: four products and their sum in one step
    AVX-512 BW, AVX2          vpmaddwd of 16-bit numbers, even bytes and odd bytes apart: exact, where vpmaddubsw would
                              saturate at 2^15 (two bytes times two of 127 give up to 64,770)
    AMX                       a microkernel of its own, `encoder.runtime.cpu.fused.tile_registers`
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal

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

ByteProduct = Literal["vnni_512", "madd_512", "vnni_256", "madd_256"]
"""Instruction that multiplies bytes, and the bits of its registers."""

_LONG, _SHORT = ir.IntType(64), ir.IntType(16)
_FLOATS, _INTS = vector(LANES), vector(LANES, INT)
_DOTS = {
    "float32": "llvm.fma.v16f32",
    "bfloat16": "llvm.x86.avx512bf16.dpbf16ps.512",
    "vnni_512": "llvm.x86.avx512.vpdpbusd.512",  # unsigned bytes of rows times signed bytes of columns
    "vnni_256": "llvm.x86.avx512.vpdpbusd.256",
    "madd_512": "llvm.x86.avx512.pmaddw.d.512",
    "madd_256": "llvm.x86.avx2.pmadd.wd",
}


_WIDE: Final = "+avx512f"
_BYTES: Final[dict[ByteProduct, set[str]]] = {
    "vnni_512": {_WIDE, "+avx512vnni"}, "madd_512": {_WIDE, "+avx512bw"}, "vnni_256": {"+avx2", "+avxvnni"},
    "madd_256": {"+avx2"},
}  # fmt: skip
"""Features that each needs, the fastest first."""


@cache
def compiled_features() -> frozenset[str]:
    """Features of the processor that numba compiles for, as LLVM names them: `+avx2`."""
    return frozenset(cpu_target.target_context.codegen().magic_tuple()[2].split(","))


@cache
def choose_byte_product() -> ByteProduct | None:
    """Choose what multiplies bytes; None if the processor has nothing for it."""
    features = compiled_features()
    wide = _WIDE in features  # registers of half the size would waste the others
    return next((x for x, needs in _BYTES.items() if needs <= features and wide == x.endswith("512")), None)


def can_multiply(numbers: NumberType) -> bool:
    """Tell whether numba compiles for a processor with the instructions for these products."""
    if numbers == "int8":
        return choose_byte_product() is not None
    return numbers == "float32" or compiled_features() >= {_WIDE, "+avx512bf16"}


def has_wide_registers() -> bool:
    """Tell whether the processor has 32 registers of 16 lanes (AVX-512)."""
    return _WIDE in compiled_features()


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
    bytewise = choose_byte_product() if numbers == "int8" else None

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
                _split_columns(
                    builder, bytewise, builder.load(builder.gep(weights, [builder.add(first, _LONG(v))]), align=4)
                )
                for v in range(vectors)
            ]
            found = []
            for row in range(rows):
                place = builder.add(builder.mul(args[2], _LONG(row)), k)
                one = _spread_row(builder, bytewise, builder.load(builder.gep(data, [place]), align=4))
                for v in range(vectors):
                    total = held[row * vectors + v]
                    for factor, column in zip(one, columns[v], strict=True):
                        total = _dot(builder, bytewise or numbers, total, factor, column)
                    found.append(total)
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


def _spread_row(builder: Context, bytewise: ByteProduct | None, word: Any) -> list[Any]:
    """Spread a double word of a row over all lanes; of bytes as 16-bit numbers the even ones, and the odd ones."""
    words = [word]
    if bytewise in ("madd_512", "madd_256"):
        words = [builder.and_(x, INT(0x00FF00FF)) for x in (word, builder.lshr(word, INT(8)))]
    return [splat(builder, x, LANES) for x in words]


def _split_columns(builder: Context, bytewise: ByteProduct | None, words: Any) -> list[Any]:
    """Give the double words of 16 columns; of bytes as 16-bit numbers, with their signs, the even and the odd ones."""
    if bytewise not in ("madd_512", "madd_256"):
        return [words]
    pairs = vector(2 * LANES, _SHORT)
    shorts, eight = builder.bitcast(words, pairs), ir.Constant(pairs, [8] * 2 * LANES)
    return [builder.bitcast(builder.ashr(x, eight), _INTS) for x in (builder.shl(shorts, eight), shorts)]


def _dot(builder: Context, by: NumberType | ByteProduct, held: Any, one: Any, column: Any) -> Any:
    """Add the products of the numbers in each double word to the running sums of 16 lanes."""
    if by == "float32":
        one, column = builder.bitcast(one, _FLOATS), builder.bitcast(column, _FLOATS)
        return call_function(builder, _DOTS[by], _FLOATS, one, column, held)
    if not by.endswith("256"):
        return _dot_lanes(builder, by, held, one, column)
    halves = [range(LANES // 2), range(LANES // 2, LANES)]
    low, high = (
        _dot_lanes(builder, by, *(builder.shuffle_vector(x, x, _places(half)) for x in (held, one, column)))
        for half in halves
    )
    return builder.shuffle_vector(low, high, _places(range(LANES)))


def _dot_lanes(builder: Context, by: NumberType | ByteProduct, held: Any, one: Any, column: Any) -> Any:
    if by in ("madd_512", "madd_256"):
        shorts = vector(2 * held.type.count, _SHORT)
        one, column = builder.bitcast(one, shorts), builder.bitcast(column, shorts)
        return builder.add(held, call_function(builder, _DOTS[by], held.type, one, column))
    return call_function(builder, _DOTS[by], held.type, held, one, column)


def _places(lanes: range) -> Any:
    return ir.Constant(vector(len(lanes), INT), list(lanes))


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
