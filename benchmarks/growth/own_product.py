"""Matrix product of our own fused layers, alone: a floor includes it where it is the fastest."""

from collections.abc import Callable

import numpy as np

from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.gemm import AS_IS, BLOCK, SUMS, PackedWeights, make_run, padded
from encoder.runtime.cpu.fused.microkernel import PER_STEP, can_multiply
from encoder.runtime.cpu.fused.workspace import NUMPY, aligned


def own_product(rows: int, hidden: int, wide: int, numbers: NumberType) -> list[Callable[[], None]]:
    """Return a function that multiplies (rows, hidden) by (hidden, wide), with scales and bias; [] if unsupported."""
    if not can_multiply(numbers):
        return []
    steps, width = -(-hidden // PER_STEP[numbers]), padded(wide)
    words = aligned((steps + 3) * width, np.int32)
    words.setflags(write=False)  # as mapped weights are, for which it is compiled
    parts = [(steps + i) * width for i in range(3)]
    products = np.array([0, *parts, steps, width // BLOCK, AS_IS], np.int64)
    packed = PackedWeights(words, words.view(np.float32), products, np.zeros(2, np.int64), 0, 0)
    a = aligned(rows * steps * PER_STEP[numbers], NUMPY[numbers])
    scale, zero = aligned(rows, np.float32), aligned(rows, np.int32)
    sums = aligned(SUMS, np.int32 if numbers == "int8" else np.float32)
    out, run = aligned(rows * width, np.float32), make_run(numbers)
    return [lambda: run(packed, a, rows, scale, zero, sums, out)]
