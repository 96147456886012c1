"""The trial of tile registers, a program: ends with 0 if their sums are those of vectors on this machine.

`encoder.runtime.cpu.fused.tile_registers` runs it in a process of its own.
"""

import sys

import numpy as np

from encoder.runtime.cpu.fused.gemm import AS_IS, BLOCK, SUMS, PackedWeights, make_run
from encoder.runtime.cpu.fused.tile_registers import GROUP, can_use_tiles
from encoder.runtime.cpu.fused.workspace import aligned


def compare_products() -> bool:
    """Multiply random bytes with both microkernels, with few and many rows, and with steps that fill no register."""
    blocks, noise = 2, np.random.default_rng(0)
    width = blocks * BLOCK
    for steps in (5, 16, 37):
        size = steps * width
        words = noise.integers(-(2**31), 2**31, size + 3 * width).astype(np.int32)
        reals = words.view(np.float32)
        reals[size : size + width] = noise.uniform(0.5, 1.5, width)
        words[size + width : size + 2 * width] = noise.integers(-1000, 1000, width)
        reals[size + 2 * width :] = noise.uniform(-1.0, 1.0, width)
        places = np.array([0, size, size + width, size + 2 * width, steps, blocks, AS_IS])
        packed = PackedWeights(words, reals, places, np.zeros(2, np.int64), 0, 0)
        for rows in (1, 3, 4, 5, 15, 16, 17, 18, 31, GROUP, GROUP + 1, 2 * GROUP + 7):
            a = noise.integers(0, 256, rows * steps * 4).astype(np.uint8)
            scale, zero = np.ones(rows, np.float32), noise.integers(0, 256, rows).astype(np.int32)
            out = np.full((2, rows * width), np.nan, np.float32)
            for tiles in (False, True):
                sums = aligned(SUMS, np.int32)
                make_run("int8", tiles=tiles)(packed, a, rows, scale, zero, sums, out[int(tiles)])
            if not np.array_equal(out[0], out[1]):
                return False
    return True


def try_tiles() -> bool:
    """Ask the system for the registers, which it grants to each program anew, and compare; False if it refuses."""
    return can_use_tiles() and compare_products()


if __name__ == "__main__":
    sys.exit(not try_tiles())
