"""The ragged operations of the encoder, as an interface, and the types that they share.

All of them work on packed rows: the tokens of many sequences in one (T, H) matrix, without padding. They know nothing
of sessions or passes, nor of when pages are taken and given back.

Pages of one layer, in the number format of the linears:

    keys    (pages, heads, head_dim, page_size)    transposed: the scores of one page are one vector
    values  (pages, heads, page_size, head_dim)

A row of a page table lists the pages of one sequence: token i lies in page table[slot, i // page_size], at offset
i % page_size.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.runtime.packed_rows import IntArray, PackedRows


class Buffer:
    """A tensor and, if it is on the CPU, the numpy view that numba reads; made once, because a view costs 0.6 us."""

    __slots__ = ("tensor", "view")

    tensor: Tensor
    view: NDArray[np.generic]
    """float32, or uint16 for bfloat16 (which numpy lacks); empty for a CUDA tensor."""

    def __init__(self, tensor: Tensor, view: NDArray[np.generic] | None = None) -> None:
        self.tensor = tensor
        self.view = numpy_view(tensor) if view is None else view


def numpy_view(tensor: Tensor) -> NDArray[np.generic]:
    """View a CPU tensor's memory as a numpy array; bfloat16 as uint16, a tensor elsewhere as an empty array."""
    if tensor.device.type != "cpu":
        return np.empty(0, np.float32)
    view: NDArray[np.generic] = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return view


class ResidualStream(NamedTuple):
    """The residual stream of packed tokens, in float32 and as the linears take it (one buffer if that is float32)."""

    full: Buffer
    """(T, H) float32"""
    cast: Buffer
    """(T, H) in the number format of the linears"""


@dataclass(frozen=True, slots=True)
class Norm:
    """One layer norm's parameters."""

    weight: Buffer
    """(H,) float32"""
    bias: Buffer
    """(H,) float32"""
    eps: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """The embedding tables and their norm."""

    word: Buffer
    """(V, H) float32"""
    position: Buffer
    """(P, H) float32"""
    norm: Norm


@dataclass(frozen=True, slots=True)
class Pages:
    """Paged keys and values of one layer; the module's docstring gives the shapes."""

    keys: Buffer
    values: Buffer


@dataclass(frozen=True, slots=True)
class Sink:
    """Key and value of one layer's attention sink, which every row sees beside the keys in its pages."""

    parts: Buffer
    """(2, H) float32"""


class Kernels(Protocol):
    """Interface of the ragged operations; the implementation is chosen once, when the encoder is made."""

    name: str

    def embed(self, tokens: IntArray, rows: PackedRows, table: Embedding, dtype: torch.dtype) -> ResidualStream:
        """Embed (T,) token ids at the rows' positions: word + position, normed."""

    def attend(self, qkv: Tensor, pages: Pages, table: IntArray, rows: PackedRows, sink: Sink | None = None) -> Tensor:
        """Write each row's key and value into its page, then attend.

        Args:
            qkv: (T, 3 * H) queries, keys and values side by side, in the number format.
            pages: keys and values of this layer; written.
            table: (slots, pages a slot) int32; has every page that a row writes or sees.
            rows: limits of each query; keys outside a sequence's own rows must be in the pages already.
            sink: the layer's attention sink, if it has one.

        Returns:
            (T, H) in the number format.
        """

    def add_norm(self, stream: ResidualStream, delta: Tensor, norm: Norm) -> ResidualStream:
        """Add a sublayer's output (T, H) to the stream and norm it; the old stream must not be used afterwards."""

    def store(self, stream: ResidualStream, pages: Buffer, table: IntArray, rows: PackedRows) -> None:
        """Write the rows' float32 states into pages (N, page_size, H); rows without a page (-1) are skipped."""

    def gather(self, pages: Buffer, table: IntArray, rows: PackedRows, dtype: torch.dtype) -> ResidualStream:
        """Read the rows' states from pages (N, page_size, H) into a packed stream."""
