"""The ragged operations for the CPU: wrappers around the numba kernels of `numba_attention` and `numba_rows`."""

import numpy as np
import torch
from torch import Tensor

from encoder.runtime.cpu.numba_kernels import attention as numba_attention
from encoder.runtime.cpu.numba_kernels import rows as numba_rows
from encoder.runtime.kernels import Buffer, Embedding, Norm, Pages, ResidualStream, Sink, numpy_view
from encoder.runtime.packed_rows import IntArray, PackedRows

_NO_SINK = np.zeros(0, np.float32)


class NumbaKernels:
    """`Kernels` on numpy views of torch memory, one thread."""

    name = "numba"

    def __init__(self) -> None:
        self._scratch = np.empty(0, np.float32)

    def embed(self, tokens: IntArray, rows: PackedRows, table: Embedding, dtype: torch.dtype) -> ResidualStream:
        """See `Kernels.embed`."""
        out = _new_stream(len(rows), table.word.view.shape[1], dtype)
        np.take(table.word.view, tokens, axis=0, out=out.full.view, mode="clip")  # the only mode that does not copy
        return self.add_norm(out, torch.from_numpy(table.position.view[rows.position]), table.norm)

    def attend(self, qkv: Tensor, pages: Pages, table: IntArray, rows: PackedRows, sink: Sink | None = None) -> Tensor:
        """See `Kernels.attend`."""
        keys, values = pages.keys.view, pages.values.view
        _, heads, width, size = keys.shape
        flat = numpy_view(qkv)
        out = _new(len(rows), heads * width, qkv.dtype)
        room = numba_attention.scratch_size(heads, width, table.shape[1] * size)
        if len(self._scratch) < room:
            self._scratch = np.empty(room, np.float32)
        numba_attention.write(flat, keys, values, table, rows.slots, rows.starts, rows.position)
        numba_attention.make_attend(heads, width, size, sink is not None)(
            flat.reshape(-1), keys.reshape(-1), values.reshape(-1), table,
            rows.slots, rows.starts, rows.first, rows.last, self._scratch,
            _NO_SINK if sink is None else sink.parts.view.reshape(-1), out.view.reshape(-1),
        )  # fmt: skip
        return out.tensor

    def add_norm(self, stream: ResidualStream, delta: Tensor, norm: Norm) -> ResidualStream:
        """See `Kernels.add_norm`; works in place."""
        numba_rows.make_add_norm(stream.full.view.shape[1])(
            stream.full.view.reshape(-1), numpy_view(delta).reshape(-1),
            norm.weight.view, norm.bias.view, norm.eps, stream.cast.view.reshape(-1),
        )  # fmt: skip
        return stream

    def store(self, stream: ResidualStream, pages: Buffer, table: IntArray, rows: PackedRows) -> None:
        """See `Kernels.store`."""
        numba_rows.store(stream.full.view, pages.view, table, rows.slots, rows.starts, rows.position)

    def gather(self, pages: Buffer, table: IntArray, rows: PackedRows, dtype: torch.dtype) -> ResidualStream:
        """See `Kernels.gather`."""
        _, size, hidden = pages.view.shape
        out = _new_stream(len(rows), hidden, dtype)
        numba_rows.make_gather(hidden)(
            pages.view.reshape(-1), size, table, rows.slots, rows.starts, rows.position,
            out.full.view.reshape(-1), out.cast.view.reshape(-1),
        )  # fmt: skip
        return out


def _new(rows: int, width: int, dtype: torch.dtype) -> Buffer:
    return Buffer(torch.empty(rows, width, dtype=dtype))


def _new_stream(rows: int, width: int, dtype: torch.dtype) -> ResidualStream:
    full = _new(rows, width, torch.float32)
    return ResidualStream(full, full if dtype == torch.float32 else _new(rows, width, dtype))
