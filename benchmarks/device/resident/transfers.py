"""Transfers of a step: one pinned copy to the device, on a separate stream, and one back.

There are two buffers, so that a step's requests can be laid out and sent while the step before is computed. At most one
step is sent but not launched, and one launched but not read.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.device.resident.decode_kernels import HEADER, ROW
from encoder.runtime.gpu.request_buffer import pinned

_LEAST_ROWS = 256


class SentBuffer(NamedTuple):
    """A buffer that is being copied."""

    there: Tensor
    """(size,) int32 on the device, once `arrived`"""
    arrived: torch.cuda.Event | None


class PinnedTransfers:
    """Pinned buffers, the stream of uploads, and the one event that the host waits for."""

    def __init__(self, size: int, device: torch.device) -> None:
        """Allocate buffers for steps of up to `size` int32."""
        self._cuda = device.type == "cuda"
        self._hosts = [pinned(size, device) for _ in range(2)]
        self._theres = [torch.zeros(size, dtype=torch.int32, device=device) for _ in range(2)]
        self._turn = 0
        self._upload = torch.cuda.Stream(device) if self._cuda else None
        self._done = torch.cuda.Event() if self._cuda else None
        self._back = pinned(HEADER + ROW * _LEAST_ROWS, device)
        self._fetched = 0
        self._device = device

    def host(self) -> Tensor:
        """Give the buffer for the next step."""
        return self._hosts[self._turn]

    def send(self, size: int) -> SentBuffer:
        """Start copying the first `size` numbers of `host`."""
        host, there = self._hosts[self._turn][:size], self._theres[self._turn][:size]
        self._turn = 1 - self._turn
        if self._upload is None:
            there.copy_(host)
            return SentBuffer(there, None)
        arrived = torch.cuda.Event()
        with torch.cuda.stream(self._upload):
            there.copy_(host, non_blocking=True)
            arrived.record(self._upload)
        return SentBuffer(there, arrived)

    def receive(self, sent: SentBuffer, target: Tensor) -> None:
        """Copy the sent buffer to the input of the captured graphs as soon as it has arrived."""
        if sent.arrived is not None:
            torch.cuda.current_stream(self._device).wait_event(sent.arrived)
        target[: len(sent.there)].copy_(sent.there, non_blocking=True)

    def fetch(self, flips: Tensor, requests: int) -> None:
        """Start reading back the header and the expected number of flips."""
        size = min(len(flips), HEADER + ROW * max(_LEAST_ROWS, 2 * requests))
        if len(self._back) < size:
            self._back = pinned(2 * size, self._device)
        self._back[:size].copy_(flips[:size], non_blocking=True)
        self._fetched = (size - HEADER) // ROW
        if self._done is not None:
            self._done.record(torch.cuda.current_stream(self._device))

    def wait(self) -> NDArray[np.int32]:
        """Wait for the read-back, the only wait of a step; gives the header (HEADER,)."""
        if self._done is not None:
            self._done.synchronize()
        header: NDArray[np.int32] = self._back[:HEADER].numpy()
        return header

    def rows(self, flips: Tensor, count: int) -> NDArray[np.int32]:
        """Give the (count, ROW) rows; a second copy gets those beyond the expected number."""
        source = self._back if count <= self._fetched else flips[: HEADER + ROW * count].cpu()
        rows: NDArray[np.int32] = source[HEADER : HEADER + ROW * count].view(count, ROW).numpy().copy()
        return rows
