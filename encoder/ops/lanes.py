"""A numba type for short vectors of float32, so that kernels can hold sums in registers.

numba's own loops store and load a running sum at every step, because it cannot rule out that arrays overlap; that
triples the cost of attention. These few operations compile to LLVM vectors of any length, on any CPU. Each keeps its
lanes apart or adds them in a fixed order, so results do not depend on where a row lies.

numba's cache does not notice changes in a file that a kernel merely imports: after an edit here, remove `__pycache__`.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

# numba's typing and code generation contexts, builders, types and base classes have no useful stubs
Context = Any
_Type: Any = types.Type
_PrimitiveModel: Any = models.PrimitiveModel
_get_function: Any = cgutils.get_or_insert_function
_operation: Any = intrinsic(prefer_literal=True)  # a literal's type carries its value

_INT = ir.IntType(32)
_FLOAT = ir.FloatType()


class Lanes(_Type):  # type: ignore[misc]
    """`count` float32 side by side."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


@register_model(Lanes)
class _LanesModel(_PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Context, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _vector(lanes.count))


def _vector(count: int, element: Any = _FLOAT) -> Any:
    return ir.VectorType(element, count)


def _splat(builder: Context, scalar: Any, count: int) -> Any:
    one = builder.insert_element(ir.Constant(_vector(count, scalar.type), ir.Undefined), scalar, _INT(0))
    return builder.shuffle_vector(one, one, ir.Constant(_vector(count, _INT), [0] * count))


def _constant(value: float, count: int) -> Any:
    return ir.Constant(_vector(count), [value] * count)


def _whole(value: int, count: int) -> Any:
    return ir.Constant(_vector(count, _INT), [value] * count)


def _call(builder: Context, name: str, result: Any, *args: Any) -> Any:
    function = _get_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def _pointer(context: Context, builder: Context, array: Any, value: Any, offset: Any, element: Any, count: int) -> Any:
    """Point at `count` elements of a contiguous one-dimensional array from `offset` on."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [offset]), _vector(count, element).as_pointer())


@_operation
def fill(typing: Context, value: Context, count: Context) -> Any:
    """Make `count` lanes of one float32; `count` must be a constant."""
    lanes = Lanes(count.literal_value)

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return _splat(builder, args[0], lanes.count)

    return lanes(types.float32, count), generate


@_operation
def load(typing: Context, array: Context, offset: Context, lanes: Context) -> Any:
    """Load as many lanes as `lanes` has from a flat array of float32, or of uint16 that hold bfloat16."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        if array.dtype == types.float32:
            pointer = _pointer(context, builder, array, args[0], args[1], _FLOAT, lanes.count)
            return builder.load(pointer, align=4)
        pointer = _pointer(context, builder, array, args[0], args[1], ir.IntType(16), lanes.count)
        bits = builder.zext(builder.load(pointer, align=2), _vector(lanes.count, _INT))
        return builder.bitcast(builder.shl(bits, _whole(16, lanes.count)), _vector(lanes.count))

    return lanes(array, types.int64, lanes), generate


@_operation
def save(typing: Context, array: Context, offset: Context, lanes: Context) -> Any:
    """Store lanes to a flat array of float32, or round them to bfloat16 for one of uint16."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        value = args[2]
        if array.dtype == types.float32:
            pointer = _pointer(context, builder, array, args[0], args[1], _FLOAT, lanes.count)
            builder.store(value, pointer, align=4)
        else:
            bits = builder.bitcast(value, _vector(lanes.count, _INT))
            odd = builder.and_(builder.lshr(bits, _whole(16, lanes.count)), _whole(1, lanes.count))
            bits = builder.add(builder.add(bits, _whole(0x7FFF, lanes.count)), odd)
            short = _vector(lanes.count, ir.IntType(16))
            pointer = _pointer(context, builder, array, args[0], args[1], ir.IntType(16), lanes.count)
            builder.store(builder.trunc(builder.lshr(bits, _whole(16, lanes.count)), short), pointer, align=2)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


@_operation
def fused(typing: Context, scale: Context, lanes: Context, total: Context) -> Any:
    """Add `scale` (a float32) times lanes to a running total of lanes, rounding once."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        scalar = _splat(builder, args[0], lanes.count)
        return _call(builder, f"llvm.fma.v{lanes.count}f32", _vector(lanes.count), scalar, args[1], args[2])

    return lanes(types.float32, lanes, lanes), generate


@_operation
def plus(typing: Context, left: Context, right: Context) -> Any:
    """Add lane by lane."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return builder.fadd(*args)

    return left(left, right), generate


@_operation
def product(typing: Context, left: Context, right: Context) -> Any:
    """Multiply lane by lane."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return builder.fmul(*args)

    return left(left, right), generate


@_operation
def times(typing: Context, lanes: Context, scale: Context) -> Any:
    """Multiply all lanes with one float32."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return builder.fmul(args[0], _splat(builder, args[1], lanes.count))

    return lanes(lanes, types.float32), generate


@_operation
def larger(typing: Context, left: Context, right: Context) -> Any:
    """Take the larger of two, lane by lane."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return left(left, right), generate


@_operation
def within(typing: Context, lanes: Context, start: Context, stop: Context, other: Context) -> Any:
    """Keep lanes start .. stop-1, counted from 0; all others become `other` (a float32). Bounds may lie outside."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        count = lanes.count
        place = ir.Constant(_vector(count, _INT), list(range(count)))
        low, high = (_splat(builder, builder.trunc(bound, _INT), count) for bound in args[1:3])
        inside = builder.and_(builder.icmp_signed(">=", place, low), builder.icmp_signed("<", place, high))
        return builder.select(inside, args[0], _splat(builder, args[3], count))

    return lanes(lanes, types.int64, types.int64, types.float32), generate


@_operation
def total(typing: Context, lanes: Context) -> Any:
    """Add all lanes, from the first to the last."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        result = builder.extract_element(args[0], _INT(0))
        for i in range(1, lanes.count):
            result = builder.fadd(result, builder.extract_element(args[0], _INT(i)))
        return result

    return types.float32(lanes), generate


@_operation
def largest(typing: Context, lanes: Context) -> Any:
    """Take the largest lane."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        result = builder.extract_element(args[0], _INT(0))
        for i in range(1, lanes.count):
            lane = builder.extract_element(args[0], _INT(i))
            result = builder.select(builder.fcmp_ordered(">", result, lane), result, lane)
        return result

    return types.float32(lanes), generate


@_operation
def exp_minus(typing: Context, lanes: Context, shift: Context) -> Any:
    """Raise e to (lanes - shift), to 2e-7, for results of at most e^87; below e^-87 they stay there.

    2^n * e^r with r in -ln 2 / 2 .. ln 2 / 2 (the polynomial of Cephes' expf).
    """

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        count = lanes.count

        def fma(a: Any, b: Any, c: Any) -> Any:
            b, c = (_constant(x, count) if isinstance(x, float) else x for x in (b, c))
            return _call(builder, f"llvm.fma.v{count}f32", _vector(count), a, b, c)

        x = builder.fsub(args[0], _splat(builder, args[1], count))
        lowest = _constant(-87.0, count)
        x = builder.select(builder.fcmp_ordered(">", x, lowest), x, lowest)
        n = _call(builder, f"llvm.floor.v{count}f32", _vector(count), fma(x, 1.44269504088896341, 0.5))
        r = fma(n, 2.12194440e-4, fma(n, -0.693359375, x))
        p = fma(r, 1.9875691500e-4, 1.3981999507e-3)
        for c in (8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
            p = fma(p, r, c)
        p = builder.fadd(fma(builder.fmul(p, r), r, r), _constant(1.0, count))
        power = builder.add(builder.fptosi(n, _vector(count, _INT)), _whole(127, count))
        return builder.fmul(p, builder.bitcast(builder.shl(power, _whole(23, count)), _vector(count)))

    return lanes(lanes, types.float32), generate
