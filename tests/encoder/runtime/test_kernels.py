"""Each numba kernel against the torch reference on random ragged input; a row's bits whatever is packed with it."""

import numpy as np
import pytest
import torch

from encoder.runtime.cpu.unfused_layers import choose_kernels
from encoder.runtime.kernels import Buffer, Embedding, Kernels, Norm, Pages, ResidualStream, Sink
from encoder.runtime.packed_rows import IntArray, PackedRows

FORMATS = [torch.float32, torch.bfloat16]
SHAPES = [(4, 8, 4), (3, 5, 3), (12, 32, 16)]  # heads, head_dim, page_size: small, odd, real
SLOTS, LENGTH = 6, 40
TORCH, NUMBA = choose_kernels("torch"), choose_kernels("numba")


def normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def some_rows(rng: np.random.Generator, causal: bool, slots: list[int]) -> PackedRows:
    """Lay out the last 1 to 11 tokens of each slot's LENGTH."""
    counts = rng.integers(1, 12, len(slots))
    position = np.concatenate([np.arange(LENGTH - c, LENGTH) for c in counts]).astype(np.int32)
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    window = np.repeat(rng.integers(0, LENGTH - 12, len(slots)), counts).astype(np.int32)
    first = np.zeros_like(position) if causal else window
    last = position if causal else np.full_like(position, LENGTH - 1)
    return PackedRows(np.array(slots, np.int32), starts, position, first, last)


def some_table(rng: np.random.Generator, page_size: int) -> IntArray:
    pages = -(-LENGTH // page_size)
    return rng.permutation(SLOTS * pages).astype(np.int32).reshape(SLOTS, pages)


def some_pages(rng: np.random.Generator, shape: tuple[int, int, int], dtype: torch.dtype) -> Pages:
    heads, width, size = shape
    count = SLOTS * -(-LENGTH // size)
    keys, values = normal(rng, count, heads, width, size), normal(rng, count, heads, size, width)
    return Pages(Buffer(keys.to(dtype)), Buffer(values.to(dtype)))


def copied(pages: Pages) -> Pages:
    return Pages(Buffer(pages.keys.tensor.clone()), Buffer(pages.values.tensor.clone()))


def some_stream(rng: np.random.Generator, rows: int, hidden: int, dtype: torch.dtype) -> ResidualStream:
    full = Buffer(normal(rng, rows, hidden))
    return ResidualStream(full, full if dtype == torch.float32 else Buffer(full.tensor.to(dtype)))


def some_norm(rng: np.random.Generator, hidden: int) -> Norm:
    return Norm(Buffer(normal(rng, hidden)), Buffer(normal(rng, hidden)), 1e-12)


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    """Compare in the format's own precision: bfloat16 may round the last of its 8 bits the other way."""
    step = 1e-5 if got.dtype == torch.float32 else 2**-7
    torch.testing.assert_close(got, want, atol=step, rtol=step)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("sunk", [False, True])
def test_attention_equals_the_reference(
    dtype: torch.dtype, shape: tuple[int, int, int], causal: bool, sunk: bool
) -> None:
    rng = np.random.default_rng(1)
    heads, width, size = shape
    rows, table = some_rows(rng, causal, [4, 0, 3, 5]), some_table(rng, size)
    qkv = normal(rng, len(rows), 3 * heads * width).to(dtype)
    first = some_pages(rng, shape, dtype)
    second = copied(first)
    sink = Sink(Buffer(3 * normal(rng, 2, heads * width))) if sunk else None
    close(NUMBA.attend(qkv, first, table, rows, sink), TORCH.attend(qkv, second, table, rows, sink))
    assert torch.equal(first.keys.tensor, second.keys.tensor)
    assert torch.equal(first.values.tensor, second.values.tensor)


def test_attention_to_very_unequal_scores_stays_finite() -> None:
    rng = np.random.default_rng(2)
    rows, table, pages = some_rows(rng, False, [0, 1]), some_table(rng, 4), some_pages(rng, (4, 8, 4), torch.float32)
    qkv = 100 * normal(rng, len(rows), 96)  # scores in the thousands: all weights but one vanish
    close(NUMBA.attend(qkv, copied(pages), table, rows), TORCH.attend(qkv, pages, table, rows))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("hidden", [32, 15, 384])
def test_add_norm_equals_the_reference(dtype: torch.dtype, hidden: int) -> None:
    rng = np.random.default_rng(3)
    norm, delta, stream = some_norm(rng, hidden), normal(rng, 7, hidden).to(dtype), some_stream(rng, 7, hidden, dtype)
    want = TORCH.add_norm(stream, delta, norm)
    got = NUMBA.add_norm(stream, delta, norm)
    close(got.full.tensor, want.full.tensor)
    close(got.cast.tensor, want.cast.tensor)


@pytest.mark.parametrize("dtype", FORMATS)
def test_embedding_equals_the_reference(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(4)
    rows = some_rows(rng, True, [0, 1, 2])
    embedding = Embedding(Buffer(normal(rng, 50, 32)), Buffer(normal(rng, LENGTH, 32)), some_norm(rng, 32))
    tokens = rng.integers(0, 50, len(rows)).astype(np.int32)
    want, got = (k.embed(tokens, rows, embedding, dtype) for k in (TORCH, NUMBA))
    close(got.full.tensor, want.full.tensor)
    close(got.cast.tensor, want.cast.tensor)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("kernels", [TORCH, NUMBA])
def test_boundary_states_come_back_as_they_were_stored(dtype: torch.dtype, kernels: Kernels) -> None:
    rng = np.random.default_rng(5)
    rows, table = some_rows(rng, True, [1, 2]), some_table(rng, 4)
    stream = some_stream(rng, len(rows), 32, dtype)
    pages = Buffer(torch.zeros(table.size, 4, 32))
    kernels.store(stream, pages, table, rows)
    assert int((pages.tensor != 0).any(2).sum()) == len(rows)  # nothing else is written
    back = kernels.gather(pages, table, rows, dtype)
    assert torch.equal(back.full.tensor, stream.full.tensor)
    assert torch.equal(back.cast.tensor, stream.cast.tensor)


@pytest.mark.parametrize("kernels", [TORCH, NUMBA])
def test_states_without_a_page_are_not_stored(kernels: Kernels) -> None:
    rng = np.random.default_rng(6)
    rows, table = some_rows(rng, True, [1]), np.full((SLOTS, 10), -1, np.int32)
    table[1, -1] = 2
    pages = Buffer(torch.zeros(4, 4, 32))
    kernels.store(some_stream(rng, len(rows), 32, torch.float32), pages, table, rows)
    assert (pages.tensor != 0).any(2).any(1).tolist() == [False, False, True, False]


@pytest.mark.parametrize("dtype", FORMATS)
def test_attention_of_a_slot_has_the_same_bits_alone_and_packed(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(7)
    shape = (12, 32, 16)
    table, pages, rows = some_table(rng, 16), some_pages(rng, shape, dtype), some_rows(rng, False, [2, 4, 1, 0])
    qkv = normal(rng, len(rows), 3 * 384).to(dtype)
    together = NUMBA.attend(qkv, pages, table, rows)
    for s, slot in enumerate(rows.slots):
        part = slice(int(rows.starts[s]), int(rows.starts[s + 1]))
        for one in (part, slice(part.stop - 1, part.stop)):  # all of the slot's rows, and its last row by itself
            starts = np.array([0, one.stop - one.start], np.int32)
            alone = PackedRows(np.array([slot], np.int32), starts, rows.position[one], rows.first[one], rows.last[one])
            assert torch.equal(NUMBA.attend(qkv[one].clone(), pages, table, alone), together[one])


@pytest.mark.parametrize("dtype", FORMATS)
def test_norm_of_a_row_has_the_same_bits_alone_and_packed(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(8)
    norm, delta, stream = some_norm(rng, 384), normal(rng, 9, 384).to(dtype), some_stream(rng, 9, 384, dtype)
    full = Buffer(stream.full.tensor[5:6].clone())
    one = ResidualStream(full, full if dtype == torch.float32 else Buffer(full.tensor.to(dtype)))
    together = NUMBA.add_norm(stream, delta, norm)
    alone = NUMBA.add_norm(one, delta[5:6].clone(), norm)
    assert torch.equal(alone.full.tensor, together.full.tensor[5:6])


def test_unknown_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="auto, torch or numba"):
        choose_kernels("fortran")
