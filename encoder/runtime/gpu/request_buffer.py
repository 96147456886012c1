"""One pinned buffer a step: requests, page tables and tokens go to the device in a single copy.

Every part begins at a multiple of 16 bytes, because Triton compiles a kernel again for pointers that do not.
"""

from typing import NamedTuple

import torch
from torch import Tensor

_ALIGNED = 4
"""int32 numbers in 16 bytes."""


class BufferViews(NamedTuple):
    """Views of one flat int32 buffer, on the host or on the device."""

    number: Tensor
    """(1,) number of requests"""
    fields: Tensor
    """(fields, S) numbers of each request, field by field"""
    prefix_table: Tensor
    """(S, pages a slot) the requests' rows of the page table"""
    tail_table: Tensor
    """(S, pages a slot)"""
    tokens: Tensor
    """(T,) appended tokens of all requests"""
    extra: Tensor
    """(E,) further arguments of the step"""


class BufferShape(NamedTuple):
    """Capacities of a buffer's parts."""

    requests: int
    fields: int
    pages: int
    """Pages a slot."""
    tokens: int
    extra: int = 0

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the parts, rounded up so that the next part is aligned."""
        tables = self.requests * self.pages
        return tuple(
            _round_up(x) for x in (1, self.fields * _round_up(self.requests), tables, tables, self.tokens, self.extra)
        )

    def parts(self, flat: Tensor) -> BufferViews:
        """Cut a flat buffer of at least `sum(lengths)` int32 into its parts."""
        number, fields, prefix, tail, tokens, extra = torch.split(flat[: sum(self.lengths)], list(self.lengths))
        table = self.requests * self.pages
        return BufferViews(
            number[:1],
            fields.view(self.fields, -1)[:, : self.requests],
            prefix[:table].view(self.requests, self.pages),
            tail[:table].view(self.requests, self.pages),
            tokens[: self.tokens],
            extra[: self.extra],
        )


def pinned(size: int, device: torch.device) -> Tensor:
    """Make (size,) int32 on the host, from which copies to the device run by themselves."""
    return torch.zeros(size, dtype=torch.int32, pin_memory=device.type == "cuda")


def _round_up(number: int) -> int:
    return -(-number // _ALIGNED) * _ALIGNED
