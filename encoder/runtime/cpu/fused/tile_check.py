"""Whether tile registers give the sums of vectors on this machine, tried once in a process of its own.

The microkernel is proven on an emulation of the instructions. A processor or a virtual machine that does otherwise, or
ends the process, must cost speed and nothing else: then products use vectors. The answer is kept in the cache folder,
for these sources and this processor.
"""

import subprocess
import sys
from functools import cache
from hashlib import blake2b

import llvmlite.binding

from encoder.cache_folder import cache_folder, write_cached
from encoder.kernel_cache import digest_sources
from encoder.runtime.cpu.fused.microkernel import compiled_features

_SECONDS = 300.0
"""Most that the trial may take; compiling takes some seconds."""
_AGREES, _DIFFERS = b"1", b"0"
_TILES = "encoder.runtime.cpu.fused.tile_registers"


@cache
def tiles_agree() -> bool:
    """Tell whether products by tile registers were equal to those by vectors, to the bit."""
    machine = " ".join((llvmlite.binding.get_host_cpu_name(), *sorted(compiled_features())))
    digest = blake2b(f"{digest_sources(_TILES)} {machine}".encode(), digest_size=8).hexdigest()
    path = cache_folder() / f"tiles-{digest}"
    try:
        kept = path.read_bytes()
    except OSError:
        kept = b""
    if kept not in (_AGREES, _DIFFERS):
        kept = _AGREES if _try_apart() else _DIFFERS
        write_cached(path, kept)
    return kept == _AGREES


def _try_apart() -> bool:
    command = [sys.executable, "-m", __name__]
    try:
        return subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def compare_products() -> bool:
    """Multiply random bytes with both microkernels, with few and many rows, and with steps that fill no register."""
    import numpy as np

    from encoder.runtime.cpu.fused.gemm import AS_IS, BLOCK, GROUP, SUMS, PackedWeights, make_run
    from encoder.runtime.cpu.fused.workspace import aligned

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


if __name__ == "__main__":
    sys.exit(not compare_products())
