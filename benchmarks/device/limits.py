"""Limits of a device, by a large matrix product and a large copy; timing of work on it."""

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.device.report import Limits

_SIDE, _BYTES = 8192, 1 << 30
_TINY_SIDE, _TINY_BYTES = 32, 1 << 10
_REPEATS = 20


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = _REPEATS) -> float:
    """Return the median seconds of some work on the device, after runs that compile it."""
    for _ in range(3 if device.type == "cuda" else 1):
        work()
    return float(np.median([_once(work, device) for _ in range(repeats if device.type == "cuda" else 1)]))


def _once(work: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    began_at, ended_at = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began_at.record()
    work()
    ended_at.record()
    ended_at.synchronize()
    return float(began_at.elapsed_time(ended_at)) / 1000


def measure_limits(device: torch.device, tiny: bool) -> Limits:
    """Measure both limits; nothing else may run on the device."""
    side, size = (_TINY_SIDE, _TINY_BYTES) if tiny else (_SIDE, _BYTES)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    x = torch.zeros(size // 4, device=device)
    y = torch.empty_like(x)
    return Limits(
        teraflops=2 * side**3 / seconds_of(lambda: a @ b, device) / 1e12,
        gigabytes=2 * size / seconds_of(lambda: y.copy_(x), device) / 1e9,
    )
