"""Exponential and error function of short vectors, by polynomials; kinds of
`encoder.runtime.cpu.numba_kernels.simd`.
"""

from typing import Any

from numba import types

from encoder.runtime.cpu.numba_kernels.simd import (
    INT,
    Context,
    call_function,
    constant,
    operation,
    splat,
    vector,
    whole,
)


def _fma(builder: Context, count: int, a: Any, b: Any, c: Any) -> Any:
    a, b, c = (constant(x, count) if isinstance(x, float) else x for x in (a, b, c))
    return call_function(builder, f"llvm.fma.v{count}f32", vector(count), a, b, c)


@operation
def exp_minus(typing: Context, lanes: Context, shift: Context) -> Any:
    """Raise e to (lanes - shift), to 2e-7, for results of at most e^87; below e^-87 they stay there.

    2^n * e^r with r in -ln 2 / 2 .. ln 2 / 2 (the polynomial of Cephes' expf).
    """

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        count = lanes.count

        x = builder.fsub(args[0], splat(builder, args[1], count))
        lowest = constant(-87.0, count)
        x = builder.select(builder.fcmp_ordered(">", x, lowest), x, lowest)
        n = call_function(
            builder, f"llvm.floor.v{count}f32", vector(count), _fma(builder, count, x, 1.44269504088896341, 0.5)
        )
        r = _fma(builder, count, n, 2.12194440e-4, _fma(builder, count, n, -0.693359375, x))
        p = _fma(builder, count, r, 1.9875691500e-4, 1.3981999507e-3)
        for c in (8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
            p = _fma(builder, count, p, r, c)
        p = builder.fadd(_fma(builder, count, builder.fmul(p, r), r, r), constant(1.0, count))
        power = builder.add(builder.fptosi(n, vector(count, INT)), whole(127, count))
        return builder.fmul(p, builder.bitcast(builder.shl(power, whole(23, count)), vector(count)))

    return lanes(lanes, types.float32), generate


_ERF_ABOVE = (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
              -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02)  # fmt: skip
_ERF_BELOW = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
              -1.42647390514189e-02)  # fmt: skip


@operation
def erf(typing: Context, lanes: Context) -> Any:
    """The error function, to 5e-7: a fraction of two polynomials (that of Eigen), between -4 and 4."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        count = lanes.count
        x = args[0]
        for sign, bound in ((">", -4.0), ("<", 4.0)):
            x = builder.select(builder.fcmp_ordered(sign, x, constant(bound, count)), x, constant(bound, count))
        square = builder.fmul(x, x)
        sides = []
        for factors in (_ERF_ABOVE, _ERF_BELOW):
            side: Any = factors[0]
            for c in factors[1:]:
                side = _fma(builder, count, side, square, c)
            sides.append(side)
        return builder.fdiv(builder.fmul(x, sides[0]), sides[1])

    return lanes(lanes), generate
