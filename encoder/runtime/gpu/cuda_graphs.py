"""CUDA graphs: a chain of launches captured once for each size, and replayed as one launch afterwards."""

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from encoder.runtime.gpu.launch import INTERPRETED

LEAST, MOST = 4 if INTERPRETED else 16, 8192
"""Largest size with a graph; above it launches are a small part of a step."""
_CLOSE = 1024


def bucket(size: int) -> int:
    """Round up to one of a few sizes, so that graphs are shared; 0 stays 0, and sizes without a graph stay close."""
    if size > MOST:
        return -(-size // _CLOSE) * _CLOSE
    return max(LEAST, 1 << (size - 1).bit_length()) if size else 0


class CudaGraphs:
    """All CUDA graphs of one device. Their results are in tensors that outlive them; scratch memory is shared."""

    def __init__(self, device: torch.device) -> None:
        self._on = device.type == "cuda"
        self._device = device
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle() if self._on else None
        self._aside = torch.cuda.Stream(device) if self._on else None

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, key: Hashable, work: Callable[[], None], count: Tensor, requests: int) -> None:
        """Run `work` by replaying its graph, which is captured first if there is none; without CUDA, run it directly.

        Args:
            key: names the work and all sizes in it.
            work: launches only: it may not read from the device, nor depend on anything but the tensors it captures.
            count: (1,) int32 on the device, how many requests there are; with 0 the work does nothing, and so it is
                for the runs that a capture needs.
            requests: what it is, and is again.
        """
        if not self._on:
            work()
            return
        if key not in self._graphs:
            count.zero_()
            self._graphs[key] = self._capture(work)
            count.fill_(requests)
        self._graphs[key].replay()

    def _capture(self, work: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """Capture a graph, after two runs in which libraries and Triton load what they cannot load while capturing."""
        assert self._aside is not None
        here = torch.cuda.current_stream(self._device)
        self._aside.wait_stream(here)
        with torch.cuda.stream(self._aside):
            work()
            work()
        here.wait_stream(self._aside)
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._aside, capture_error_mode="thread_local"):
            work()
        return graph
