"""The hybrid encoder on a device: same passes and same scores as `encoder.runtime.encoder.HybridEncoder`.

The host keeps the page tables, as on the CPU (`encoder.runtime.paged_cache`). A step sends its requests with their rows
of the page tables in one copy, the device makes the packed rows, and the scores come back in one copy.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.checkpoints.checkpoint import Checkpoint, head_columns
from encoder.model.config import HybridConfig
from encoder.runtime.gpu.attention import DevicePages
from encoder.runtime.gpu.device import DeviceError, on
from encoder.runtime.gpu.launch import INTERPRETED
from encoder.runtime.gpu.layers import DeviceTrunk
from encoder.runtime.gpu.request_buffer import BufferShape, pinned
from encoder.runtime.gpu.row_layout import lay_out
from encoder.runtime.interface import Encoder
from encoder.runtime.number_format import NumberFormatError
from encoder.runtime.paged_cache import PagedCache
from encoder.runtime.passes import PassPlan

_KEEP, _END, _WINDOW, _RESTART, _FIELDS = range(5)
_SHARE = 0.6
"""Share of the device's free memory that pages may take if max_pages is not given."""


class DeviceCache(PagedCache):
    """The paged cache with its pages on a device; slots and tables stay on the host."""

    def __init__(
        self, config: HybridConfig, dtype: torch.dtype, device: torch.device, max_sessions: int, max_pages: int | None
    ) -> None:
        """See `PagedCache`; by default pages for all slots, as far as the device's memory goes."""
        self.device = device
        if max_pages is None and device.type == "cuda":
            max_pages = _affordable(config, dtype, device, max_sessions)
        super().__init__(config, "bfloat16" if dtype == torch.bfloat16 else "float32", max_sessions, max_pages)

    def _reserve_pages(self, prefix_pages: int, tail_pages: int) -> None:
        config, dtype = self.config, torch.bfloat16 if self.numbers == "bfloat16" else torch.float32
        self.prefix_pages = [self._pages(dtype, prefix_pages) for _ in range(config.causal_layers)]
        self.tail_pages = [self._pages(dtype, tail_pages) for _ in range(config.tail_layers)]
        self.boundary_pages = torch.zeros(tail_pages, config.page_size, config.hidden, device=self.device)

    def _pages(self, dtype: torch.dtype, pages: int) -> DevicePages:
        config = self.config
        shape = (pages, config.heads, config.page_size, config.head_dim)
        return DevicePages(*(torch.zeros(shape, dtype=dtype, device=self.device) for _ in range(2)))


class DeviceEncoder(Encoder):
    """The encoder on a device: weights and the cache of all slots."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        *,
        max_sessions: int = 1024,
        max_pages: int | None = None,
        number_format: str = "auto",
    ) -> None:
        """Copy the weights to the device, reserve the cache, and compile the kernels (takes seconds the first time).

        Args:
            checkpoint: configuration and weights.
            device: a CUDA device; the CPU only where Triton interprets its kernels.
            max_sessions: slots that can be open at once.
            max_pages: pages that can be in use at once; None for what all slots can fill, as far as memory goes.
            number_format: of the linears and of cached keys and values; "auto" is bfloat16 on a GPU.

        Raises:
            DeviceError: the CPU, with kernels that are compiled.
            NumberFormatError: unknown number format, or one that devices do not have here.
            ValueError: no session, or too few pages for one.
        """
        if device.type == "cpu" and not INTERPRETED:
            raise DeviceError("the kernels run on a CPU only under Triton's interpreter; set TRITON_INTERPRET=1")
        config, dtype = checkpoint.config, _choose_dtype(number_format, device)
        self.device = device
        self.cache: DeviceCache
        cache = DeviceCache(config, dtype, device, max_sessions, max_pages)
        super().__init__(checkpoint, "bfloat16" if dtype == torch.bfloat16 else "float32", cache)
        self.trunk = DeviceTrunk(checkpoint, dtype, device, head_columns(config, checkpoint.weights))
        self._host = pinned(1024, device)
        self._there = torch.empty_like(self._host, device=device)
        self._sent = torch.cuda.Event() if device.type == "cuda" else None
        self._warm_up()

    def _compute(self, plan: PassPlan, rows: int) -> NDArray[np.float32]:
        with on(self.device), torch.inference_mode():
            scores: NDArray[np.float32] = self._run(plan, rows).cpu().numpy()
        return scores

    def _run(self, plan: PassPlan, rows: int) -> Tensor:
        """Run prefix and tail; (rows, columns) scores, on the device."""
        cache = self.cache
        if len(plan.requests):
            shape = BufferShape(len(plan.requests), _FIELDS, cache.prefix_table.shape[1], len(plan.tokens))
            sent = shape.parts(self._send(plan, shape))
            keep, end, window, restart = sent.fields
        if len(plan.tokens):
            packed = lay_out(sent.number, keep, end, None, len(plan.tokens))
            table, tail = sent.prefix_table, sent.tail_table
            self.trunk.prefix(sent.tokens, packed, cache.prefix_pages, table, cache.boundary_pages, tail)
        if not rows:
            return torch.empty(0, self.config.columns)
        packed = lay_out(sent.number, restart, end, window, rows)
        return self.trunk.tail(packed, cache.tail_pages, sent.tail_table, cache.boundary_pages)

    def _send(self, plan: PassPlan, shape: BufferShape) -> Tensor:
        """Copy a step's requests to the device, after the last copy has ended (a step without scores does not wait)."""
        if self._sent is not None:
            self._sent.synchronize()
        if len(self._host) < (size := sum(shape.lengths)):
            self._host = pinned(2 * size, self.device)
            self._there = torch.empty_like(self._host, device=self.device)
        parts = shape.parts(self._host)
        slot, keep, count, window, restart = plan.requests.T
        parts.number.numpy()[0] = len(slot)
        fields = parts.fields.numpy()
        fields[_KEEP], fields[_END], fields[_WINDOW], fields[_RESTART] = keep, keep + count, window, restart
        parts.prefix_table.numpy()[:] = self.cache.prefix_table[slot]
        parts.tail_table.numpy()[:] = self.cache.tail_table[slot]
        parts.tokens.numpy()[:] = plan.tokens
        self._there[:size].copy_(self._host[:size], non_blocking=True)
        if self._sent is not None:
            self._sent.record()
        return self._there


def _affordable(config: HybridConfig, dtype: torch.dtype, device: torch.device, max_sessions: int) -> int:
    """Count the pages that all slots can fill, or that fit; both kinds are reserved for as many."""
    a_slot = config.positions // config.page_size
    fill = 2 * a_slot + 1
    cell = 2 * dtype.itemsize * config.layers + 4  # keys and values of a prefix and a tail page, and a boundary state
    free, _ = torch.cuda.mem_get_info(device)
    return max(fill, min(max_sessions * fill, int(_SHARE * free) // (config.page_size * config.hidden * cell)))


def _choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Choose the linears' number type; the interpreter cannot multiply bfloat16.

    Raises:
        NumberFormatError: devices do not support `wanted`.
    """
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if wanted == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if wanted not in formats:
        raise NumberFormatError(f"number_format must be auto, float32 or bfloat16 on a device (got {wanted!r})")
    return formats[wanted]
