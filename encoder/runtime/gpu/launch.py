"""Helpers of all kernel wrappers: tile sizes, and whether kernels are compiled or interpreted."""

import triton
from torch import Tensor

INTERPRETED = bool(triton.knobs.runtime.interpret)
"""Whether kernels are interpreted. A program is then an iteration of Python, so fewer and larger ones are faster."""

QUERIES = 16
"""Rows of one sequence that one attention program takes: the least that a tensor core multiplies."""
KEYS = 64
"""Keys that it takes at a time. A row's sums do not depend on what else is in its block: tiles begin at multiples."""


def power(number: int) -> int:
    """Round up to a power of two, which lengths in kernels must be."""
    return 1 << max(0, number - 1).bit_length()


def cdiv(number: int, by: int) -> int:
    """Divide, rounding up."""
    return -(-number // by)


def rows_a_program(width: int) -> int:
    """Choose how many rows of a width a row kernel takes at once: about 2,048 elements for four warps."""
    return 64 if INTERPRETED else max(1, 2048 // power(width))


def row_grid(rows: Tensor, width: int) -> tuple[int]:
    """Lay a row kernel's programs over the rows (T, ...)."""
    return (cdiv(rows.shape[0], rows_a_program(width)),)
