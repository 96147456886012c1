"""Each kernel against the torch reference on random ragged input."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.encoder.gpu.where import DEVICE, FORMATS, close, some  # first: it skips where Triton is missing

# isort: split
from encoder.runtime.cpu.torch_reference import TorchKernels
from encoder.runtime.gpu import attention
from encoder.runtime.gpu import row_kernels as rows
from encoder.runtime.gpu.attention import DevicePages
from encoder.runtime.gpu.row_kernels import DeviceNorm, DeviceStream
from encoder.runtime.gpu.row_layout import DeviceRows, lay_out
from encoder.runtime.kernels import Buffer, Embedding, Norm, Pages, ResidualStream, Sink
from encoder.runtime.packed_rows import IntArray, PackedRows

SHAPES = [(2, 8, 4), (3, 5, 3), (2, 32, 16)]  # heads, head_dim, page_size: small, odd, the shipped head
SLOTS, LENGTH = 5, 70
REFERENCE = TorchKernels()


class Ragged:
    """Tokens begin .. end-1 of some slots, for the reference and for the device."""

    def __init__(self, rng: np.random.Generator, size: int, causal: bool, spare: int = 0) -> None:
        requests = int(rng.integers(1, SLOTS + 1))
        slots = rng.permutation(SLOTS)[:requests].astype(np.int32)
        end = rng.integers(1, LENGTH + 1, requests)
        count = np.minimum(end, rng.choice([0, 1, 1, 2, 5, 20, 40], requests))
        if not count.sum():
            count[0] = 1
        begin = end - count
        window = rng.integers(0, begin + 1)
        pages = -(-LENGTH // size)
        self.table: IntArray = rng.permutation(SLOTS * pages).astype(np.int32).reshape(SLOTS, pages)
        if not causal:  # pages before the window may be gone
            for slot, first in zip(slots, window, strict=True):
                self.table[slot, : first // size] = -1
        position = np.concatenate([np.arange(a, b) for a, b in zip(begin, end, strict=True)]).astype(np.int32)
        first, last = (np.repeat(x, count).astype(np.int32) for x in (window, end - 1))
        some = count > 0
        self.rows = PackedRows(
            slots[some],
            np.concatenate(([0], np.cumsum(count[some]))).astype(np.int32),
            position,
            np.zeros_like(position) if causal else first,
            position if causal else last,
        )
        self.total = len(position)
        self.capacity = self.total + spare
        number, *bounds = (device(x) for x in ([requests], begin, end, window))
        self.packed: DeviceRows = lay_out(number, *bounds[:2], None if causal else bounds[2], self.capacity)
        self.request_table = device(self.table[slots])

    def wide(self, x: torch.Tensor) -> torch.Tensor:
        """Rows as the device has them: padded up to the capacity."""
        padding = torch.full((self.capacity - len(x), *x.shape[1:]), torch.nan, dtype=x.dtype)
        return torch.cat((x, padding)).to(DEVICE)


def device(numbers: object) -> torch.Tensor:
    return torch.from_numpy(np.array(numbers, np.int32)).to(DEVICE)


def normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def some_norm(rng: np.random.Generator, width: int) -> tuple[Norm, DeviceNorm]:
    weight, bias = normal(rng, width), normal(rng, width)
    return Norm(Buffer(weight), Buffer(bias), 1e-12), DeviceNorm(weight.to(DEVICE), bias.to(DEVICE), 1e-12)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
@some(3)
@given(seed=st.integers(0, 1 << 30), causal=st.booleans(), spare=st.sampled_from([0, 17]), sunk=st.booleans())
def test_write_and_attend(
    shape: tuple[int, int, int], dtype: torch.dtype, seed: int, causal: bool, spare: int, sunk: bool
) -> None:
    rng = np.random.default_rng(seed)
    heads, width, size = shape
    ragged = Ragged(rng, size, causal, spare)
    count = SLOTS * -(-LENGTH // size)
    keys, values = normal(rng, count, heads, size, width).to(dtype), normal(rng, count, heads, size, width).to(dtype)
    qkv = normal(rng, ragged.total, 3 * heads * width).to(dtype)
    theirs = Pages(Buffer(keys.transpose(2, 3).contiguous()), Buffer(values.clone()))
    parts = 3 * normal(rng, 2, heads * width)
    want = REFERENCE.attend(qkv, theirs, ragged.table, ragged.rows, Sink(Buffer(parts)) if sunk else None)
    ours = DevicePages(keys.to(DEVICE), values.to(DEVICE))
    attention.write(ragged.wide(qkv), ours, ragged.request_table, ragged.packed)
    assert torch.equal(ours.keys.cpu(), theirs.keys.tensor.transpose(2, 3))
    assert torch.equal(ours.values.cpu(), theirs.values.tensor)
    own = parts.to(DEVICE) if sunk else None
    got = attention.attend(ragged.wide(qkv), ours, ragged.request_table, ragged.packed, own)
    close(got[: ragged.total], want)


def test_attention_to_very_unequal_scores_stays_finite() -> None:
    rng = np.random.default_rng(2)
    ragged = Ragged(rng, 4, False)
    pages = SLOTS * -(-LENGTH // 4)
    keys, values = normal(rng, pages, 2, 4, 8), normal(rng, pages, 2, 4, 8)
    qkv = 100 * normal(rng, ragged.total, 48)  # scores in the thousands: all weights but one vanish
    want = REFERENCE.attend(
        qkv, Pages(Buffer(keys.transpose(2, 3).contiguous()), Buffer(values.clone())), ragged.table, ragged.rows
    )
    ours = DevicePages(keys.to(DEVICE), values.to(DEVICE))
    attention.write(ragged.wide(qkv), ours, ragged.request_table, ragged.packed)
    got = attention.attend(ragged.wide(qkv), ours, ragged.request_table, ragged.packed)
    torch.testing.assert_close(got.cpu(), want, atol=1e-2, rtol=1e-2)  # the scores' own rounding, as weights show it


@pytest.mark.parametrize("dtype", FORMATS[1:])  # the interpreter's float32 products are those of some BLAS
def test_a_row_has_the_same_bits_whatever_is_packed_with_it(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(3)
    size, end = 4, [70, 66, 69]
    table = torch.from_numpy(rng.permutation(54).astype(np.int32).reshape(3, 18)).to(DEVICE)
    pages = DevicePages(*(normal(rng, 54, 2, size, 8).to(dtype).to(DEVICE) for _ in range(2)))
    qkv = normal(rng, 20, 48).to(dtype).to(DEVICE)
    begin = [68, 50, 67]
    together = lay_out(device([3]), device(begin), device(end), None, 20)
    attention.write(qkv, pages, table, together)
    packed = attention.attend(qkv, pages, table, together)
    alone = lay_out(device([1]), device([65]), device([66]), None, 1)
    assert torch.equal(attention.attend(qkv[17:18], pages, table[1:2], alone), packed[17:18])


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("width", [32, 15])
def test_row_kernels(dtype: torch.dtype, width: int) -> None:
    rng = np.random.default_rng(5)
    ragged = Ragged(rng, 4, True, spare=5)
    total = ragged.total
    norm, ours = some_norm(rng, width)
    words, places = normal(rng, 50, width), normal(rng, LENGTH, width)
    tokens = rng.integers(0, 50, total).astype(np.int32)
    want = REFERENCE.embed(tokens, ragged.rows, Embedding(Buffer(words), Buffer(places), norm), dtype)
    padded = device(np.concatenate((tokens, np.full(5, 1 << 20))))
    got = rows.embed(padded, ragged.packed, words.to(DEVICE), places.to(DEVICE), ours, dtype)
    close(got.full[:total], want.full.tensor)
    close(got.cast[:total], want.cast.tensor)

    delta, bias = normal(rng, total, width).to(dtype), normal(rng, width)
    stream = ResidualStream(Buffer(want.full.tensor + bias), want.cast)
    after = REFERENCE.add_norm(stream, delta, norm)
    got = rows.add_norm(got, ragged.wide(delta), bias.to(DEVICE), ours, ragged.packed)
    close(got.full[:total], after.full.tensor)
    close(got.cast[:total], after.cast.tensor)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("form", ["none", "tanh"])
def test_gelu(dtype: torch.dtype, form: str) -> None:
    rng = np.random.default_rng(6)
    ragged = Ragged(rng, 4, True, spare=3)
    x, bias = (3 * normal(rng, ragged.total, 1100)).to(dtype), normal(rng, 1100)
    want = torch.nn.functional.gelu(x.float() + bias, approximate=form).to(dtype)
    got = rows.gelu(ragged.wide(x), bias.to(DEVICE), ragged.packed, tanh=form == "tanh")
    close(got[: ragged.total], want)
    assert got[ragged.total :].isnan().all()


@pytest.mark.parametrize("dtype", FORMATS)
def test_boundary_states_come_back_as_they_were_stored(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(7)
    ragged = Ragged(rng, 4, False, spare=2)
    states = normal(rng, ragged.total, 32)
    pages = torch.zeros(SLOTS * -(-LENGTH // 4), 4, 32, device=DEVICE)
    rows.store(ragged.wide(states), pages, ragged.request_table, ragged.packed)
    assert int((pages != 0).any(2).sum()) == ragged.total  # nothing else is written
    back: DeviceStream = rows.gather(pages, ragged.request_table, ragged.packed, dtype)
    assert torch.equal(back.full[: ragged.total].cpu(), states)
    assert torch.equal(back.cast[: ragged.total].cpu(), states.to(dtype))


def test_states_without_a_page_are_not_stored() -> None:
    table = torch.full((1, 5), -1, dtype=torch.int32, device=DEVICE)
    table[0, 4] = 2
    packed = lay_out(device([1]), device([12]), device([20]), None, 8)
    pages = torch.zeros(4, 4, 8, device=DEVICE)
    rows.store(torch.ones(8, 8, device=DEVICE), pages, table, packed)
    assert (pages != 0).any(2).any(1).tolist() == [False, False, True, False]
