"""The microkernels against plain arithmetic: whole numbers exactly, the rest to rounding; equal bits in any company."""

from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.gemm import AS_IS, BLOCK, GELU, GELU_BY_TANH, SUMS, PackedWeights, make_run, padded
from encoder.runtime.cpu.fused.microkernel import PER_STEP
from encoder.runtime.cpu.fused.row_kernels import cast_bytes, norm_row
from encoder.runtime.cpu.fused.weight_packing import _laid_out, _rounded, round_columns
from encoder.runtime.cpu.fused.workspace import NUMPY, aligned
from encoder.runtime.cpu.numba_kernels.simd import pointer_to
from encoder.runtime.cpu.packed_linear import RoundedLinear, round_rows
from tests.encoder.wide import FORMATS, needs

Floats = NDArray[np.float32]


class Product:
    """One packed product alone."""

    def __init__(self, weight: Floats, bias: Floats, numbers: NumberType, form: int = AS_IS) -> None:
        self.numbers, self.outputs = numbers, len(weight)
        self.steps, width = -(-weight.shape[1] // PER_STEP[numbers]), padded(len(weight))
        scale, columns, rounded = _rounded(weight, numbers)
        size = self.steps * width
        words = np.zeros(size + 3 * width, np.int32)
        words[:size] = _laid_out(rounded, self.steps * PER_STEP[numbers], width // BLOCK)
        reals = words.view(np.float32)
        reals[size : size + len(scale)] = scale
        words[size + width : size + width + len(columns)] = columns
        reals[size + 2 * width : size + 2 * width + len(bias)] = bias
        places = [0, size, size + width, size + 2 * width, self.steps, width // BLOCK, form]
        words.setflags(write=False)
        self.packed = PackedWeights(words, words.view(np.float32), np.array(places), np.zeros(2, np.int64), 0, 0)
        self.width = width

    def __call__(self, x: Floats) -> Floats:
        """Map (M, K) to (M, N)."""
        count = len(x)
        rows = np.zeros((count, self.steps * PER_STEP[self.numbers]), NUMPY[self.numbers])
        scale, zero = np.ones(count, np.float32), np.zeros(count, np.int32)
        if self.numbers == "int8":
            whole, steps, zeros = round_rows(torch.from_numpy(x))
            rows[:, : x.shape[1]], scale, zero = whole.numpy(), steps.numpy(), zeros.numpy()
        else:
            half = torch.from_numpy(x).to(torch.bfloat16).view(torch.uint16).numpy()
            rows[:, : x.shape[1]] = half if self.numbers == "bfloat16" else x
        return self.run(rows, scale, zero)

    def run(self, rows: NDArray[Any], scale: Floats, zero: NDArray[np.int32]) -> Floats:
        """Multiply rows that are ready."""
        sums = aligned(SUMS, np.int32 if self.numbers == "int8" else np.float32)
        out = np.full(len(rows) * self.width, np.nan, np.float32)
        make_run(self.numbers)(self.packed, rows.reshape(-1), len(rows), scale, zero, sums, out)
        return out.reshape(len(rows), self.width)[:, : self.outputs]


def normal(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


SHAPES = st.tuples(
    st.integers(1, 13) | st.integers(30, 70), st.integers(1, 9).map(lambda k: 16 * k), st.integers(1, 150)
)


@settings(max_examples=40)
@given(shape=SHAPES, seed=st.integers(0, 1 << 20))
def test_sums_of_bytes_are_exact(shape: tuple[int, int, int], seed: int) -> None:
    needs("int8")
    rows, inputs, outputs = shape
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (outputs, inputs)).astype(np.float32)
    weight[:, 0] = 127.0  # so that the scale is 1
    product = Product(weight, np.zeros(outputs, np.float32), "int8")
    x, zero = rng.integers(0, 256, (rows, inputs)).astype(np.uint8), rng.integers(0, 256, rows).astype(np.int32)
    want = (x.astype(np.int64) - zero[:, None]) @ weight.T.astype(np.int64)
    assert np.abs(want).max() < 1 << 24  # float32 holds them all
    assert np.array_equal(product.run(x, np.ones(rows, np.float32), zero), want)


@settings(max_examples=25)
@given(shape=SHAPES, seed=st.integers(0, 1 << 20))
def test_products_of_bytes_have_the_bits_of_plain_float32(shape: tuple[int, int, int], seed: int) -> None:
    """So they are the same on all processors, whichever microkernel they take."""
    needs("int8")
    rows, inputs, outputs = shape
    weight, bias, rng = normal(seed, outputs, inputs), normal(seed + 1, outputs), np.random.default_rng(seed)
    x, zero = rng.integers(0, 256, (rows, inputs)).astype(np.uint8), rng.integers(0, 256, rows).astype(np.int32)
    scale = rng.random(rows, np.float32)
    factors, whole = round_columns(weight)
    sums = (x.astype(np.int32) - zero[:, None]) @ whole.T.astype(np.int32)
    want = sums.astype(np.float32) * factors * scale[:, None] + bias
    assert np.array_equal(Product(weight, bias, "int8").run(x, scale, zero), want)


@pytest.mark.parametrize("numbers", FORMATS)
@settings(max_examples=25)
@given(shape=SHAPES, seed=st.integers(0, 1 << 20), form=st.sampled_from([AS_IS, GELU, GELU_BY_TANH]))
def test_products_equal_plain_arithmetic(
    numbers: NumberType, shape: tuple[int, int, int], seed: int, form: int
) -> None:
    needs(numbers)
    rows, inputs, outputs = shape
    weight, bias = normal(seed, outputs, inputs) * np.float32(0.2), normal(seed + 1, outputs)
    x = normal(seed + 2, rows, inputs) * 2
    got = torch.from_numpy(Product(weight, bias, numbers, form)(x))
    if numbers == "int8":
        want = RoundedLinear(torch.from_numpy(weight), torch.from_numpy(bias), torch.float32)(torch.from_numpy(x))
    else:
        dtype = torch.bfloat16 if numbers == "bfloat16" else torch.float32
        factors = (torch.from_numpy(part).to(dtype).double() for part in (x, weight))
        want = F.linear(*factors, torch.from_numpy(bias).double()).float()
    if form != AS_IS:
        want = F.gelu(want, approximate="tanh" if form == GELU_BY_TANH else "none")
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("numbers", FORMATS)
def test_a_row_has_the_same_bits_in_any_company(numbers: NumberType) -> None:
    needs(numbers)
    product = Product(normal(0, 200, 384), normal(1, 200), numbers, GELU)
    x = normal(2, 24, 384)
    together = product(x)
    for count in range(1, 12):
        assert np.array_equal(product(x[:count]), together[:count]), count
        assert np.array_equal(product(x[-count:]), together[-count:]), count


@numba.njit
def _cast(x: Any, count: int, out: Any, scale: Any, zero: Any) -> None:
    for t in range(len(scale)):
        cast_bytes(pointer_to(x), t * count, count, pointer_to(out), t * count, pointer_to(scale), pointer_to(zero), t)


@numba.njit
def _norm(x: Any, count: int, reals: Any) -> None:
    for t in range(len(x) // count):
        norm_row(pointer_to(x), t * count, count, pointer_to(reals), 0, count, 1e-12)


@settings(max_examples=40)
@given(st.integers(0, 1 << 20), st.sampled_from([1e-3, 1.0, 40.0]), st.sampled_from([-3.0, 0.0, 0.2, 5.0]))
def test_rows_are_rounded_as_the_reference_rounds_them(seed: int, spread: float, shift: float) -> None:
    x = normal(seed, 5, 48) * np.float32(spread) + np.float32(shift)
    x[3] = 0.0
    x[4, 7] = 300.0
    out, scale, zero = np.zeros(x.size, np.uint8), np.zeros(5, np.float32), np.zeros(5, np.int32)
    _cast(x.reshape(-1).copy(), 48, out, scale, zero)
    whole, steps, zeros = round_rows(torch.from_numpy(x))
    assert np.array_equal(out.reshape(5, 48), whole.numpy())
    assert np.array_equal(scale, steps.numpy())
    assert np.array_equal(zero, zeros.numpy())
    back = (out.reshape(5, 48).astype(np.float32) - zero[:, None]) * scale[:, None]
    assert np.abs(back - x).max() <= 0.51 * scale.max() * 2


def test_norms_equal_layer_norm() -> None:
    x, weight, bias = normal(0, 7, 96) * 3 + 1, normal(1, 96), normal(2, 96)
    got = x.reshape(-1).copy()
    _norm(got, 96, np.concatenate([weight, bias]))
    want = F.layer_norm(torch.from_numpy(x), (96,), torch.from_numpy(weight), torch.from_numpy(bias), 1e-12)
    torch.testing.assert_close(torch.from_numpy(got.reshape(7, 96)), want, atol=1e-5, rtol=1e-5)
