"""Every kernel, as production launches it, compiles to machine code of an H100: the interpreter cannot tell that."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.encoder.gpu.where import INTERPRETED
from tests.waiting import run

ROOT = Path(__file__).parents[3]
KERNELS = """add_norm_rows attend_pages embed_rows fill_rows gather_rows gelu_rows scan_rows
    stability_kernel store_rows viterbi_kernel write_pages"""


def test_kernels_compile_for_sm_90(tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    variables |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = run(
        [sys.executable, "-m", "tests.encoder.gpu.compiled"], cwd=ROOT, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    made = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["kernel"] for one in made} == set(KERNELS.split())
    assert all(one["cubin"] and one["target"].startswith(".target sm_90") for one in made)
    assert not any(one["spills"] for one in made)
    halves = [one for one in made if "*bf16" in one["dtypes"]]
    assert {one["kernel"] for one in halves} >= {"attend_pages", "write_pages", "add_norm_rows", "gelu_rows"}
    assert all(one["tensor_cores"] for one in halves if one["kernel"] == "attend_pages")


@pytest.mark.skipif(not INTERPRETED, reason="compiled kernels were asked for")
def test_these_tests_are_interpreted() -> None:
    from encoder.runtime.gpu import launch

    assert launch.INTERPRETED
