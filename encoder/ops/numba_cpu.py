"""The ragged operations for the CPU: wrappers around the numba kernels of `numba_attention` and `numba_rows`."""

import numpy as np
import torch
from torch import Tensor

from encoder.ops import Buffer, Embedding, IntArray, Norm, Pages, Rows, Stream, numba_attention, numba_rows, numpy_view


class NumbaKernels:
    """`Kernels` on numpy views of torch memory, one thread."""

    name = "numba"

    def embed(self, tokens: IntArray, rows: Rows, table: Embedding, dtype: torch.dtype) -> Stream:
        """See `Kernels.embed`."""
        out = _new_stream(len(rows), table.word.view.shape[1], dtype)
        norm = table.norm
        numba_rows.embed(
            tokens, rows.position, table.word.view, table.position.view,
            norm.weight.view, norm.bias.view, norm.eps, out.full.view, out.cast.view,
        )  # fmt: skip
        return out

    def attend(self, qkv: Tensor, pages: Pages, table: IntArray, rows: Rows) -> Tensor:
        """See `Kernels.attend`."""
        keys, values = pages.keys.view, pages.values.view
        out = _new(len(rows), keys.shape[1] * keys.shape[2], qkv.dtype)
        scores = np.empty(table.shape[1] * keys.shape[3], np.float32)
        flat = numpy_view(qkv)
        numba_attention.write(flat, keys, values, table, rows.slots, rows.starts, rows.position)
        numba_attention.attend(
            flat, keys, values, table, rows.slots, rows.starts, rows.first, rows.last, scores, out.view
        )
        return out.tensor

    def add_norm(self, stream: Stream, delta: Tensor, norm: Norm) -> Stream:
        """See `Kernels.add_norm`; works in place."""
        numba_rows.add_norm(
            stream.full.view, numpy_view(delta), norm.weight.view, norm.bias.view, norm.eps, stream.cast.view
        )
        return stream

    def store(self, stream: Stream, pages: Buffer, table: IntArray, rows: Rows) -> None:
        """See `Kernels.store`."""
        numba_rows.store(stream.full.view, pages.view, table, rows.slots, rows.starts, rows.position)

    def gather(self, pages: Buffer, table: IntArray, rows: Rows, dtype: torch.dtype) -> Stream:
        """See `Kernels.gather`."""
        out = _new_stream(len(rows), pages.view.shape[2], dtype)
        numba_rows.gather(
            pages.view, table, rows.slots, rows.starts, rows.position, out.full.view, out.cast.view
        )
        return out


def _new(rows: int, width: int, dtype: torch.dtype) -> Buffer:
    return Buffer(torch.empty(rows, width, dtype=dtype))


def _new_stream(rows: int, width: int, dtype: torch.dtype) -> Stream:
    full = _new(rows, width, torch.float32)
    return Stream(full, full if dtype == torch.float32 else _new(rows, width, dtype))
