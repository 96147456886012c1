"""Packed linears equal plain ones, and a row's bits do not depend on how many rows are packed with it."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.runtime.cpu import packed_linear as linear
from encoder.runtime.cpu.packed_linear import PackedLinear, RoundedLinear
from encoder.runtime.number_format import read_features

SHAPES = [(384, 1152, False), (384, 384, False), (384, 1536, True), (1536, 384, False), (384, 13, False), (33, 7, True)]


def skip_unmeasured(dtype: torch.dtype) -> None:
    """Skip bfloat16 where "auto" never takes oneDNN's: emulated, and with AMX, whose bits depend on other rows."""
    if dtype == torch.bfloat16 and not read_features().onednn_bfloat16:
        pytest.skip("oneDNN's bfloat16 is not taken on this processor: see encoder.runtime.number_format")


def weights(inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(inputs + outputs)
    return torch.randn(outputs, inputs, generator=generator) * 0.05, torch.randn(outputs, generator=generator)


def rows(count: int, width: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def close(layer: PackedLinear, weight: Tensor, bias: Tensor, tolerance: float) -> None:
    x = rows(5, weight.shape[1])
    want = F.linear(x, weight, bias)
    got = layer(x.to(layer.dtype)).float()
    want = F.gelu(want, approximate=layer.approximate) if layer.gelu else want
    torch.testing.assert_close(got, want, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize(("inputs", "outputs", "gelu"), SHAPES)
def test_packed_equals_plain(dtype: torch.dtype, tolerance: float, inputs: int, outputs: int, gelu: bool) -> None:
    weight, bias = weights(inputs, outputs)
    close(PackedLinear(weight, bias, dtype, gelu=gelu), weight, bias, tolerance)


def test_gelu_by_tanh_is_another_function() -> None:
    weight, bias = weights(384, 1536)
    tanh = PackedLinear(weight, bias, torch.float32, gelu=True, approximate="tanh")
    close(tanh, weight, bias, 2e-5)
    x = rows(5, 384)
    assert (tanh(x) - PackedLinear(weight, bias, torch.float32, gelu=True)(x)).abs().max() > 1e-4


def test_without_the_private_operations_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object) -> Tensor:
        raise AttributeError("no such operator")

    monkeypatch.setattr(linear, "_fused", missing)
    weight, bias = weights(384, 1536)
    layer = PackedLinear(weight, bias, torch.float32, gelu=True)
    assert layer.packed is None
    close(layer, weight, bias, 2e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("inputs", "outputs", "gelu"), SHAPES)
def test_a_row_has_the_same_bits_in_any_company(dtype: torch.dtype, inputs: int, outputs: int, gelu: bool) -> None:
    skip_unmeasured(dtype)
    layer = PackedLinear(*weights(inputs, outputs), dtype, gelu=gelu)
    if layer.packed is None:
        pytest.skip("this torch build has no packed linears; F.linear makes no promise")
    x = rows(300, inputs).to(dtype)
    together = layer(x)
    for count in (*range(1, 35), 47, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257, 300):
        assert torch.equal(layer(x[:count].clone()), together[:count]), count
        assert torch.equal(layer(x[-count:].clone()), together[-count:]), count


@pytest.mark.parametrize(("inputs", "outputs", "gelu"), SHAPES)
def test_the_reference_of_bytes_is_close_to_plain_and_takes_rows_alone(inputs: int, outputs: int, gelu: bool) -> None:
    """What the kernels of bytes are compared with, on processors that cannot run them too."""
    weight, bias = weights(inputs, outputs)
    layer, x = RoundedLinear(weight, bias, torch.float32, gelu=gelu), rows(9, inputs)
    want = F.linear(x, weight, bias)
    want = F.gelu(want) if gelu else want
    together = layer(x)
    assert (together - want).abs().max() < 0.03 * want.abs().max()
    assert torch.equal(layer(x[3:4]), together[3:4])
