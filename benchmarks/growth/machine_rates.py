"""Limits of this machine on one thread, from which floors follow: rates of matrix products and of reading memory."""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.growth.own_product import own_product
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.packed_linear import PackedLinear

ROWS = (64, 256, 1024)
"""Rows of the tried products; the best counts."""
SECONDS = 0.05
"""Duration of each try."""


def product_rate(hidden: int, wide: int, number_format: NumberType) -> float:
    """Return the operations a second of the best product of (M, hidden) by (hidden, wide) in a number format."""
    found = []
    for rows in ROWS:
        ways: list[Callable[[], object]] = [*own_product(rows, hidden, wide, number_format)]
        ways += (_int8_products if number_format == "int8" else _float_products)(rows, hidden, wide, number_format)
        found += [2 * rows * hidden * wide / _best(way) for way in ways]
    return max(found)


def _float_products(rows: int, hidden: int, wide: int, number_format: NumberType) -> list[Callable[[], Tensor]]:
    """Return torch's own product, and oneDNN's with packed weights."""
    dtype: torch.dtype = getattr(torch, number_format)
    weight, bias = torch.randn(wide, hidden) / hidden**0.5, torch.randn(wide)
    packed = PackedLinear(weight, bias, dtype)
    x, plain, offset = torch.randn(rows, hidden).to(dtype), weight.to(dtype), bias.to(dtype)
    return [lambda: packed(x), lambda: F.linear(x, plain, offset)]


def _int8_products(rows: int, hidden: int, wide: int, number_format: NumberType) -> list[Callable[[], Tensor]]:
    """Return torch's int8 product, without scaling."""
    x = torch.randint(-127, 127, (rows, hidden), dtype=torch.int8)
    weight = torch.randint(-127, 127, (wide, hidden), dtype=torch.int8)
    return [lambda: torch._int_mm(x, weight.t())]


def read_rate(size: int) -> float:
    """Return the bytes a second of reading `size` bytes repeatedly: from the caches as far as they hold them."""
    x = torch.ones(max(size // 4, 1024))
    ways: tuple[Callable[[], Tensor], ...] = (lambda: torch.dot(x, x), x.sum, x.amax)
    return 4 * len(x) / min(_best(way) for way in ways)


def _best(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of many calls."""
    work()
    best, until = float("inf"), time.perf_counter() + SECONDS
    while True:
        began = time.perf_counter()
        work()
        ended = time.perf_counter()
        best = min(best, ended - began)
        if ended > until:
            return best
