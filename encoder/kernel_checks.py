"""Checked kernels: each access of compiled code to memory is compared with what there is, and refused outside of it.

For tests, and where a fault is looked for: `HEARKEN_CHECK_KERNELS=1` in the environment, before this package is
imported. numba then checks the indices of arrays, and the kernels that read and write through bare pointers carry the
length beside each pointer (`encoder.runtime.cpu.numba_kernels.simd`). An access outside of it raises IndexError. A step
takes several times as long; without the variable the compiled code is what it would be if there were no checks.

Checked code is kept apart from unchecked code (`encoder.kernel_cache`).
"""

import os
from typing import Any, Final

CHECKED: Final = os.environ.get("HEARKEN_CHECK_KERNELS", "") not in ("", "0")
"""Whether kernels are checked in this process."""


def check_kernels_if_wanted() -> None:
    """Have kernels checked that are compiled from here on, if the environment asks for it."""
    if not CHECKED:
        return
    from numba import config

    kept: Any = config
    kept.BOUNDSCHECK = 1
