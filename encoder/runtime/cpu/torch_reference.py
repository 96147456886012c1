"""The ragged operations in plain torch: the reference that every other implementation must equal. Not fast."""

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.runtime.kernels import Buffer, Embedding, Norm, Pages, ResidualStream, Sink
from encoder.runtime.packed_rows import IntArray, PackedRows


class TorchKernels:
    """`Kernels` in torch operations; loops over sequences, never over tokens."""

    name = "torch"

    def embed(self, tokens: IntArray, rows: PackedRows, table: Embedding, dtype: torch.dtype) -> ResidualStream:
        """See `Kernels.embed`."""
        word = table.word.tensor[torch.from_numpy(tokens).long()]
        position = table.position.tensor[torch.from_numpy(rows.position).long()]
        return _stream(_norm(word + position, table.norm), dtype)

    def attend(self, qkv: Tensor, pages: Pages, table: IntArray, rows: PackedRows, sink: Sink | None = None) -> Tensor:
        """See `Kernels.attend`."""
        keys, values = pages.keys.tensor, pages.values.tensor
        heads, width = keys.shape[1], keys.shape[2]
        q, k, v = qkv.view(len(rows), 3, heads, width).unbind(1)  # (T, heads, head_dim) each
        page, offset = _place(table, rows, keys.shape[3])
        keys[page, :, :, offset] = k
        values[page, :, offset] = v
        out = torch.empty_like(q)
        for s, slot in enumerate(rows.slots):
            part = slice(int(rows.starts[s]), int(rows.starts[s + 1]))
            count = int(rows.last[part].max()) // keys.shape[3] + 1
            row = torch.from_numpy(table[slot, :count]).long().clamp(min=0)  # pages before `first` may be gone
            seen_k = keys[row].permute(1, 0, 3, 2).reshape(heads, -1, width).float()  # (heads, keys, head_dim)
            seen_v = values[row].transpose(0, 1).reshape(heads, -1, width).float()
            index = torch.arange(seen_k.shape[1])
            first, last = torch.from_numpy(rows.first[part]), torch.from_numpy(rows.last[part])
            mask = (index >= first[:, None]) & (index <= last[:, None])  # (queries, keys)
            if sink is not None:
                key, value = sink.parts.tensor.view(2, heads, 1, width)
                seen_k, seen_v = torch.cat([key, seen_k], dim=1), torch.cat([value, seen_v], dim=1)
                mask = F.pad(mask, (1, 0), value=True)
            query = q[part].transpose(0, 1).float()
            seen = F.scaled_dot_product_attention(query[None], seen_k[None], seen_v[None], attn_mask=mask)[0]
            out[part] = seen.transpose(0, 1).to(out.dtype)
        return out.reshape(len(rows), heads * width)

    def add_norm(self, stream: ResidualStream, delta: Tensor, norm: Norm) -> ResidualStream:
        """See `Kernels.add_norm`."""
        return _stream(_norm(stream.full.tensor + delta.float(), norm), delta.dtype)

    def store(self, stream: ResidualStream, pages: Buffer, table: IntArray, rows: PackedRows) -> None:
        """See `Kernels.store`."""
        page, offset = _place(table, rows, pages.tensor.shape[1])
        kept = page >= 0
        pages.tensor[page[kept], offset[kept]] = stream.full.tensor[kept]

    def gather(self, pages: Buffer, table: IntArray, rows: PackedRows, dtype: torch.dtype) -> ResidualStream:
        """See `Kernels.gather`."""
        page, offset = _place(table, rows, pages.tensor.shape[1])
        return _stream(pages.tensor[page, offset], dtype)


def _norm(x: Tensor, norm: Norm) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], norm.weight.tensor, norm.bias.tensor, norm.eps)


def _stream(full: Tensor, dtype: torch.dtype) -> ResidualStream:
    buffer = Buffer(full)
    return ResidualStream(buffer, buffer if dtype == full.dtype else Buffer(full.to(dtype)))


def _place(table: IntArray, rows: PackedRows, page_size: int) -> tuple[Tensor, Tensor]:
    """Find each row's page and its offset in it, (T,) int64 each."""
    slots = torch.from_numpy(rows.slots).long().repeat_interleave(torch.from_numpy(rows.starts).long().diff())
    position = torch.from_numpy(rows.position).long()
    return torch.from_numpy(table).long()[slots, position // page_size], position % page_size
