"""Kernels that are checked refuse what lies outside of their memory; those that are not are not touched by that."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from encoder.kernel_checks import CHECKED
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.gemm import BLOCK, SUMS, PackedWeights, make_run
from encoder.runtime.cpu.fused.microkernel import PER_STEP
from encoder.runtime.cpu.fused.workspace import NUMPY, aligned
from encoder.runtime.cpu.numba_kernels import rows
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.paged_cache import prefix_rows, tail_rows
from encoder.runtime.passes import Pass
from tests.encoder.wide import FORMATS, needs, wide_checkpoint

checked = pytest.mark.skipif(not CHECKED, reason="kernels are not checked in this run; `make checked` runs it")
REFUSED = "a kernel reached outside of its memory|index is out of bounds"

SHORT_BY_HALF = """
import sys
from tests.encoder.runtime.test_kernel_checks import norm_with_half_of_its_weights
norm_with_half_of_its_weights()
print("done")
"""


def norm_with_half_of_its_weights() -> None:
    """A vector of 16 weights of which 8 are given; those behind are there all the same, so nothing can break."""
    weights = np.ones(16, np.float32)
    full, nil = np.zeros(16, np.float32), np.zeros(16, np.float32)
    rows.make_add_norm(16)(full, nil, weights[:8], nil, 1e-5, full)


def test_checked_and_unchecked_code_are_kept_apart(tmp_path: Path) -> None:
    """Three processes with one folder for what is compiled; only the second is checked."""
    found = []
    for wanted in ("", "1", ""):
        given = os.environ | {"HEARKEN_CACHE_DIR": str(tmp_path), "HEARKEN_CHECK_KERNELS": wanted}
        given.pop("NUMBA_BOUNDSCHECK", None)
        run = subprocess.run(
            [sys.executable, "-c", SHORT_BY_HALF], env=given, capture_output=True, text=True, timeout=180, check=False
        )
        found.append((run.returncode, run.stdout.strip(), "reached outside of its memory" in run.stderr))
    assert found == [(0, "done", False), (1, "", True), (0, "done", False)]
    assert len(list((tmp_path / "kernels").glob("*.add_norm-*"))) == 2


@checked
def test_a_vector_that_is_too_short_is_refused() -> None:
    with pytest.raises(IndexError, match=REFUSED):
        norm_with_half_of_its_weights()


class Parts:
    """Three rows of 32 numbers times 32 x 64: all that a product is given, of just the right sizes."""

    def __init__(self, numbers: NumberType) -> None:
        needs(numbers)
        self.numbers = numbers
        steps = 32 // PER_STEP[numbers]
        size = steps * BLOCK
        self.words = np.zeros(size + 3 * BLOCK, np.int32)
        self.products = np.array([0, size, size + BLOCK, size + 2 * BLOCK, steps, 1, 0])
        self.a, self.count = aligned(3 * 32, NUMPY[numbers]), 3
        self.scale, self.zero = np.ones(3, np.float32), np.zeros(3, np.int32)
        self.sums = aligned(SUMS, np.int32 if numbers == "int8" else np.float32)
        self.out = np.zeros(3 * BLOCK, np.float32)

    def run(self) -> None:
        packed = PackedWeights(self.words, self.words.view(np.float32), self.products, np.zeros(2, np.int64), 0, 0)
        make_run(self.numbers)(packed, self.a, self.count, self.scale, self.zero, self.sums, self.out)


def to_one_line(name: str) -> Callable[[Parts], None]:
    return lambda parts: setattr(parts, name, getattr(parts, name)[:-1])


def move(part: int, by: int) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.products[part] += by

    return change


def one_row_more(parts: Parts) -> None:
    parts.count += 1


WRONG = {
    "words": to_one_line("words"),
    "products": to_one_line("products"),
    "rows": to_one_line("a"),
    "sums": lambda parts: setattr(parts, "sums", parts.sums[: 3 * BLOCK - 1]),
    "out": to_one_line("out"),
    "one row more": one_row_more,
    "weights begin before the memory": move(0, -1),
    "the bias lies behind it": move(3, 1),
    "a step more": move(4, 1),
    "a block more": move(5, 1),
}


@checked
@pytest.mark.parametrize("numbers", FORMATS)
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_extent_of_a_product_is_refused(numbers: NumberType, what: str) -> None:
    Parts(numbers).run()
    parts = Parts(numbers)
    WRONG[what](parts)
    with pytest.raises(IndexError, match=REFUSED):
        parts.run()


@checked
@pytest.mark.parametrize("which", ["scale", "zero"])
def test_bytes_need_a_scale_and_a_zero_point_each(which: str) -> None:
    parts = Parts("int8")
    to_one_line(which)(parts)
    with pytest.raises(IndexError, match=REFUSED):
        parts.run()


def step_with_page(page: int, kernels: str, numbers: NumberType) -> None:
    """A second step of a text, while the first page of its slot is said to be another one, of prefix and tail."""
    encoder = HybridEncoder(wide_checkpoint(), max_sessions=2, kernels=kernels, number_format=numbers)
    slot, cache = encoder.open_slot(), encoder.cache
    encoder.step([Pass(slot, 0, np.arange(20, dtype=np.int32), 0, 0)])
    plan = cache.plan([Pass(slot, 20, np.arange(1, dtype=np.int32), 0, 0)])
    cache.apply(plan)
    for table in (cache.prefix_table, cache.tail_table):
        table[slot, 0] = page if page else table[slot, 0]
    encoder._body.step(plan.tokens, prefix_rows(plan), tail_rows(plan))


@checked
@pytest.mark.parametrize("numbers", FORMATS)
@pytest.mark.parametrize("page", [-1, 1 << 20])
def test_a_page_that_is_not_there_is_refused(numbers: NumberType, page: int) -> None:
    needs(numbers)
    step_with_page(0, "fused", numbers)
    with pytest.raises(IndexError, match=REFUSED):
        step_with_page(page, "fused", numbers)


@checked
def test_kernels_on_arrays_are_checked_too() -> None:
    """Those of processors without AVX-512: numba checks their indices, `load` and `save` their vectors."""
    step_with_page(0, "numba", "float32")
    with pytest.raises(IndexError, match=REFUSED):
        step_with_page(1 << 20, "numba", "float32")
