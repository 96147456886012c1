"""Scalar helpers that numba inlines into its kernels: number formats and the exponential."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

# numba's typing and code generation contexts have no public types
Context = Any


_INT = ir.IntType(32)
_FLOAT = ir.FloatType()


@intrinsic
def _from_bfloat16(typing: Context, value: Context) -> Any:
    """Read a uint16's bits as the upper half of a float32."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        return builder.bitcast(builder.shl(builder.zext(args[0], _INT), _INT(16)), _FLOAT)

    return types.float32(types.uint16), generate


@intrinsic
def _to_bfloat16(typing: Context, value: Context) -> Any:
    """Round a float32 to a bfloat16's bits, to nearest even; not for NaN."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        bits = builder.bitcast(args[0], _INT)
        odd = builder.and_(builder.lshr(bits, _INT(16)), _INT(1))
        rounded = builder.add(builder.add(bits, _INT(0x7FFF)), odd)
        return builder.trunc(builder.lshr(rounded, _INT(16)), ir.IntType(16))

    return types.uint16(types.float32), generate


@intrinsic
def _power_of_two(typing: Context, n: Context) -> Any:
    """Raise 2 to a whole float32 of -126 .. 127 by writing the exponent's bits."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        exponent = builder.add(builder.fptosi(args[0], _INT), _INT(127))
        return builder.bitcast(builder.shl(exponent, _INT(23)), _FLOAT)

    return types.float32(types.float32), generate


def widen(value: Any) -> Any:
    """Read a stored element as float32: float32 itself, or the uint16 of a bfloat16."""
    raise NotImplementedError  # only inside numba


@overload(widen, inline="always")
def _widen(value: Any) -> Any:
    def from_bfloat16(value: Any) -> Any:
        return _from_bfloat16(value)

    def same(value: Any) -> Any:
        return value

    return from_bfloat16 if value == types.uint16 else same


def narrow(value: Any, like: Any) -> Any:
    """Convert a float32 to what an array with elements like `like` stores; bfloat16 rounds to nearest even."""
    raise NotImplementedError  # only inside numba


@overload(narrow, inline="always")
def _narrow(value: Any, like: Any) -> Any:
    def to_bfloat16(value: Any, like: Any) -> Any:
        return _to_bfloat16(value)

    def same(value: Any, like: Any) -> Any:
        return value

    return to_bfloat16 if like == types.uint16 else same


@register_jitable
def exp_float32(x: Any) -> Any:
    """Raise e to a float32 of -87 .. 87, to 2e-7; unlike `np.exp` a loop over it becomes vector code.

    2^n * e^r with r in -ln 2 / 2 .. ln 2 / 2 (Cephes' expf polynomial); below -87 the result is that of -87.
    """
    x = max(x, np.float32(-87.0))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1.0)
    return p * _power_of_two(n)
