"""Packed weights in a file that every process maps: they are packed once on a machine, and in its memory once.

The file lies in `encoder.cache_folder`, named by what it was made from: the identity of the checkpoint, the kind of
numbers and the layout. Where nothing can be written, the weights are packed into this process's own memory.
"""

import mmap
import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoder.cache_folder import cache_folder, delete_abandoned, keep_newest, write_cached
from encoder.checkpoints.checkpoint import Checkpoint
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.gemm import BLOCK, PackedWeights
from encoder.runtime.cpu.fused.weight_packing import LAYOUT, WeightLayout
from encoder.runtime.cpu.fused.workspace import aligned

KEPT: Final = 12
"""Files that are kept, those that were written last."""

_HEAD: Final = 64
"""Bytes before the weights, a cache line."""


def packed_weights(
    checkpoint: Checkpoint, identity: bytes, numbers: NumberType, head: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> PackedWeights:
    """Map a checkpoint's packed weights, after packing them if no process has.

    `head` is the weight (columns, H) and bias (columns,) of its head. The memory is read-only: all processes share it.
    """
    layout = WeightLayout(checkpoint.config, numbers)
    name = f"{identity.hex()}-{numbers}-{LAYOUT}x{BLOCK}"
    path, mark = cache_folder() / f"{name}.packed", f"hearken {name} {layout.size}".encode().ljust(_HEAD)
    words = _map(path, mark, layout.size)
    if words is None:
        words = aligned(layout.size, np.int32)
        layout.fill(words, checkpoint.weights, head)
        if _write(path, mark, words) and (mapped := _map(path, mark, layout.size)) is not None:
            words = mapped
    words.setflags(write=False)
    return layout.packed(words)


def _map(path: Path, mark: bytes, size: int) -> NDArray[np.int32] | None:
    """Map a file's weights, (size,); None if it is missing or invalid."""
    try:
        with path.open("rb") as file:
            if file.read(_HEAD) != mark or os.fstat(file.fileno()).st_size != _HEAD + 4 * size:
                return None
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        return None
    return np.frombuffer(mapped, np.int32, size, _HEAD)


def _write(path: Path, mark: bytes, words: NDArray[np.int32]) -> bool:
    """Write a file, and delete the oldest; gives whether it was written."""
    if not write_cached(path, mark, words.data):
        return False
    keep_newest(path.parent.glob("*.packed"), KEPT)
    delete_abandoned(path.parent)
    return True
