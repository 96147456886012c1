"""What this machine can do on one thread: how fast it multiplies and how fast it reads. Floors are made of these."""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.linear import PackedLinear

ROWS = (64, 256, 1024)
"""Tokens in one product; the best of them counts."""
SECONDS = 0.05
"""For how long each is tried."""


def product_rate(hidden: int, wide: int, dtype: torch.dtype) -> float:
    """Give FLOPs a second of the best product of (M, hidden) by (hidden, wide): torch's own, or packed."""
    weight, bias = torch.randn(wide, hidden) / hidden**0.5, torch.randn(wide)
    packed = PackedLinear(weight, bias, dtype)
    plain, offset = weight.to(dtype), bias.to(dtype)
    found = []
    for rows in ROWS:
        x = torch.randn(rows, hidden).to(dtype)
        work = 2 * rows * hidden * wide
        with torch.inference_mode():
            found.append(work / _best(lambda: packed(x)))  # noqa: B023
            found.append(work / _best(lambda: F.linear(x, plain, offset)))  # noqa: B023
    return max(found)


def read_rate(size: int) -> float:
    """Give bytes a second of reading so many bytes again and again: from the caches as far as they hold them."""
    x = torch.ones(max(size // 4, 1024))
    ways: tuple[Callable[[], Tensor], ...] = (lambda: torch.dot(x, x), x.sum, x.amax)
    return 4 * len(x) / min(_best(way) for way in ways)


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of many."""
    work()
    best, until = float("inf"), time.perf_counter() + SECONDS
    while True:
        began = time.perf_counter()
        work()
        ended = time.perf_counter()
        best = min(best, ended - began)
        if ended > until:
            return best
