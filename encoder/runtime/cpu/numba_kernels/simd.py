"""A numba type for short vectors of float32, so that kernels can hold sums in registers.

numba's own loops store and load a running sum at every step, because it cannot rule out that arrays overlap; that
triples the cost of attention. These few operations compile to LLVM vectors of any length, on any CPU. Each keeps its
lanes apart or adds them in a fixed order, so results do not depend on where a row lies.
"""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from encoder.kernel_checks import CHECKED

# numba's typing and code generation contexts, builders, types and base classes have no useful stubs
Context = Any
_Type: Any = types.Type
_PrimitiveModel: Any = models.PrimitiveModel
_StructModel: Any = models.StructModel
_get_function: Any = cgutils.get_or_insert_function
operation: Any = intrinsic(prefer_literal=True)  # a literal's type carries its value

_overload: Any = overload
_struct: Any = cgutils.create_struct_proxy

INT = ir.IntType(32)
FLOAT = ir.FloatType()
_LONG = ir.IntType(64)


class Lanes(_Type):  # type: ignore[misc]
    """`count` float32 side by side."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


@register_model(Lanes)
class _LanesModel(_PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Context, lanes: Lanes) -> None:
        super().__init__(manager, lanes, vector(lanes.count))


def vector(count: int, element: Any = FLOAT) -> Any:
    """Make the LLVM type of `count` elements side by side."""
    return ir.VectorType(element, count)


def splat(builder: Context, scalar: Any, count: int) -> Any:
    """Spread a scalar over all lanes."""
    one = builder.insert_element(ir.Constant(vector(count, scalar.type), ir.Undefined), scalar, INT(0))
    return builder.shuffle_vector(one, one, ir.Constant(vector(count, INT), [0] * count))


def constant(value: float, count: int) -> Any:
    """Make an LLVM constant of equal float32."""
    return ir.Constant(vector(count), [value] * count)


def whole(value: int, count: int) -> Any:
    """Make an LLVM constant of equal int32."""
    return ir.Constant(vector(count, INT), [value] * count)


def call_function(builder: Context, name: str, result: Any, *args: Any) -> Any:
    """Call a function of LLVM's by its name."""
    function = _get_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


class Bounded(_Type):  # type: ignore[misc]
    """A pointer with the number of elements from there on: the result of `pointer_to` if kernels are checked."""

    def __init__(self, dtype: Context) -> None:
        self.dtype = dtype
        super().__init__(name=f"Bounded({dtype})")


@register_model(Bounded)
class _BoundedModel(_StructModel):  # type: ignore[misc]
    def __init__(self, manager: Context, bounded: Bounded) -> None:
        pointer: Any = types.CPointer
        super().__init__(manager, bounded, [("data", pointer(bounded.dtype)), ("size", types.int64)])


def data_pointer(context: Context, builder: Context, array: Any, value: Any) -> Any:
    """Point at the first element of a contiguous array; a pointer is returned unchanged."""
    if isinstance(array, types.CPointer):
        return value
    if isinstance(array, Bounded):
        return _struct(array)(context, builder, value).data
    return context.make_array(array)(context, builder, value).data


def guard(context: Context, builder: Context, array: Any, value: Any, first: Any, count: Any, unit: int = 0) -> None:
    """Have the compiled code raise IndexError unless all of a range lies in the array; only where kernels are checked.

    Args:
        context, builder, array, value: as in an operation.
        first: element of the array that the range begins with.
        count: LLVM int64; number of items, each `unit` bytes long.
        unit: 0: the array's own elements.
    """
    if not CHECKED:
        return
    if isinstance(array, Bounded):
        size = _struct(array)(context, builder, value).size
    else:
        size = context.make_array(array)(context, builder, value).nitems
    item = array.dtype.bitwidth // 8
    unit = unit or item
    end = builder.add(builder.mul(first, _LONG(item)), builder.mul(count, _LONG(unit)))
    outside = builder.or_(
        builder.or_(builder.icmp_signed("<", first, _LONG(0)), builder.icmp_signed("<", count, _LONG(0))),
        builder.icmp_signed(">", end, builder.mul(size, _LONG(item))),
    )
    with builder.if_then(outside, likely=False):
        context.call_conv.return_user_exc(builder, IndexError, ("a kernel reached outside of its memory",))


def _pointer(context: Context, builder: Context, array: Any, value: Any, offset: Any, element: Any, count: int) -> Any:
    """Point at `count` elements of a contiguous one-dimensional array, or of a pointer, from `offset` on."""
    guard(context, builder, array, value, offset, _LONG(count))
    data = data_pointer(context, builder, array, value)
    return builder.bitcast(builder.gep(data, [offset]), vector(count, element).as_pointer())


@operation
def pointer_to(typing: Context, array: Context) -> Any:
    """Point at the first element of a contiguous array.

    numba counts references to an array that a function is given, at every call: four times the cost of what small
    functions do. The array itself must be held elsewhere. Indices of a pointer must not be negative. Where kernels are
    checked, the pointer carries the number of its elements.
    """

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        if not CHECKED:
            return data_pointer(context, builder, array, args[0])
        bounded = _struct(signature.return_type)(context, builder)
        bounded.data = data_pointer(context, builder, array, args[0])
        bounded.size = context.make_array(array)(context, builder, args[0]).nitems
        return bounded._getvalue()

    pointer: Any = Bounded if CHECKED else types.CPointer
    return pointer(array.dtype)(array), generate


@operation
def _read(typing: Context, array: Context, index: Context) -> Any:
    """An element of a bounded pointer."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        guard(context, builder, array, args[0], args[1], _LONG(1))
        place = builder.gep(data_pointer(context, builder, array, args[0]), [args[1]])
        return context.unpack_value(builder, array.dtype, place)

    return array.dtype(array, types.int64), generate


@operation
def _write(typing: Context, array: Context, index: Context, element: Context) -> Any:
    """Set an element of a bounded pointer."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        guard(context, builder, array, args[0], args[1], _LONG(1))
        place = builder.gep(data_pointer(context, builder, array, args[0]), [args[1]])
        context.pack_value(builder, array.dtype, args[2], place)
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), generate


if CHECKED:

    @_overload(operator.getitem, strict=False)
    def _get_item(array: Context, index: Context) -> Any:
        return (lambda array, index: _read(array, index)) if isinstance(array, Bounded) else None

    @_overload(operator.setitem, strict=False)
    def _set_item(array: Context, index: Context, element: Context) -> Any:
        return (lambda array, index, element: _write(array, index, element)) if isinstance(array, Bounded) else None


@operation
def prefetch(typing: Context, array: Context, offset: Context) -> Any:
    """Ask for the cache line of an element that is read soon."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        guard(context, builder, array, args[0], args[1], _LONG(1))
        data = builder.gep(data_pointer(context, builder, array, args[0]), [args[1]])
        flags = [INT(0), INT(3), INT(1)]  # to be read; to be kept; data
        arguments = [builder.bitcast(data, ir.IntType(8).as_pointer()), *flags]
        kind = ir.FunctionType(ir.VoidType(), [a.type for a in arguments])
        builder.call(_get_function(builder.module, kind, "llvm.prefetch.p0"), arguments)
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@operation
def fill(typing: Context, value: Context, count: Context) -> Any:
    """Make `count` lanes of one float32; `count` must be a constant."""
    lanes = Lanes(count.literal_value)

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return splat(builder, args[0], lanes.count)

    return lanes(types.float32, count), generate


@operation
def load(typing: Context, array: Context, offset: Context, lanes: Context) -> Any:
    """Load as many lanes as `lanes` has from a flat array of float32, of uint16 that hold bfloat16, or of int8."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        if array.dtype == types.float32:
            pointer = _pointer(context, builder, array, args[0], args[1], FLOAT, lanes.count)
            return builder.load(pointer, align=4)
        if array.dtype == types.int8:
            pointer = _pointer(context, builder, array, args[0], args[1], ir.IntType(8), lanes.count)
            return builder.sitofp(builder.load(pointer, align=1), vector(lanes.count))
        pointer = _pointer(context, builder, array, args[0], args[1], ir.IntType(16), lanes.count)
        bits = builder.zext(builder.load(pointer, align=2), vector(lanes.count, INT))
        return builder.bitcast(builder.shl(bits, whole(16, lanes.count)), vector(lanes.count))

    return lanes(array, types.int64, lanes), generate


@operation
def save(typing: Context, array: Context, offset: Context, lanes: Context) -> Any:
    """Store lanes to a flat array of float32, round them to bfloat16 for one of uint16, or cut them off for uint8."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        value = args[2]
        if array.dtype == types.float32:
            pointer = _pointer(context, builder, array, args[0], args[1], FLOAT, lanes.count)
            builder.store(value, pointer, align=4)
        elif array.dtype == types.uint8:
            byte = vector(lanes.count, ir.IntType(8))
            pointer = _pointer(context, builder, array, args[0], args[1], ir.IntType(8), lanes.count)
            builder.store(builder.trunc(builder.fptosi(value, vector(lanes.count, INT)), byte), pointer, align=1)
        else:
            bits = builder.bitcast(value, vector(lanes.count, INT))
            odd = builder.and_(builder.lshr(bits, whole(16, lanes.count)), whole(1, lanes.count))
            bits = builder.add(builder.add(bits, whole(0x7FFF, lanes.count)), odd)
            short = vector(lanes.count, ir.IntType(16))
            pointer = _pointer(context, builder, array, args[0], args[1], ir.IntType(16), lanes.count)
            builder.store(builder.trunc(builder.lshr(bits, whole(16, lanes.count)), short), pointer, align=2)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


@operation
def fused(typing: Context, scale: Context, lanes: Context, total: Context) -> Any:
    """Add `scale` (a float32) times lanes to a running total of lanes, rounding once."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        scalar = splat(builder, args[0], lanes.count)
        return call_function(builder, f"llvm.fma.v{lanes.count}f32", vector(lanes.count), scalar, args[1], args[2])

    return lanes(types.float32, lanes, lanes), generate


def _lane_by_lane(combine: Callable[[Context, Any, Any], Any]) -> Any:
    """Make an operation that combines two vectors of equal length lane by lane."""

    @operation
    def lane_by_lane(typing: Context, left: Context, right: Context) -> Any:
        def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
            return combine(builder, *args)

        return left(left, right), generate

    return lane_by_lane


def _maximum(builder: Context, left: Any, right: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


plus = _lane_by_lane(lambda builder, left, right: builder.fadd(left, right))
product = _lane_by_lane(lambda builder, left, right: builder.fmul(left, right))
quotient = _lane_by_lane(lambda builder, left, right: builder.fdiv(left, right))
larger = _lane_by_lane(_maximum)
smaller = _lane_by_lane(lambda builder, a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))


@operation
def times(typing: Context, lanes: Context, scale: Context) -> Any:
    """Multiply all lanes with one float32."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return builder.fmul(args[0], splat(builder, args[1], lanes.count))

    return lanes(lanes, types.float32), generate


@operation
def corrected(
    typing: Context, sums: Context, i: Context, columns: Context, j: Context, off: Context, like: Context
) -> Any:
    """Load int32 sums at i, less `off` (an int32) times the int32 columns at j, as float32 lanes."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        count = like.count
        left = builder.load(_pointer(context, builder, sums, args[0], args[1], INT, count), align=4)
        right = builder.load(_pointer(context, builder, columns, args[2], args[3], INT, count), align=4)
        right = builder.mul(right, splat(builder, args[4], count))
        return builder.sitofp(builder.sub(left, right), vector(count))

    return like(sums, types.int64, columns, types.int64, types.int32, like), generate


@operation
def within(typing: Context, lanes: Context, start: Context, stop: Context, other: Context) -> Any:
    """Keep lanes start .. stop-1, counted from 0; all others become `other` (a float32). Bounds may lie outside."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        count = lanes.count
        place = ir.Constant(vector(count, INT), list(range(count)))
        low, high = (splat(builder, builder.trunc(bound, INT), count) for bound in args[1:3])
        inside = builder.and_(builder.icmp_signed(">=", place, low), builder.icmp_signed("<", place, high))
        return builder.select(inside, args[0], splat(builder, args[3], count))

    return lanes(lanes, types.int64, types.int64, types.float32), generate


def _folded(builder: Context, value: Any, count: int, combine: Any) -> Any:
    """Combine the upper half of the lanes with the lower repeatedly, then the remaining lanes one by one."""
    while count % 2 == 0:
        count //= 2
        halves = (range(count), range(count, 2 * count))
        low, high = (
            builder.shuffle_vector(value, value, ir.Constant(vector(count, INT), list(half))) for half in halves
        )
        value = combine(low, high)
    result = builder.extract_element(value, INT(0))
    for i in range(1, count):
        result = combine(result, builder.extract_element(value, INT(i)))
    return result


@operation
def total(typing: Context, lanes: Context) -> Any:
    """Add all lanes, in an order that depends on their count alone."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return _folded(builder, args[0], lanes.count, builder.fadd)

    return types.float32(lanes), generate


@operation
def largest(typing: Context, lanes: Context) -> Any:
    """Take the largest lane."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return _folded(builder, args[0], lanes.count, partial(_maximum, builder))

    return types.float32(lanes), generate
