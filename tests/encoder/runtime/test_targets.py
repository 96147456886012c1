"""Kernels for processors that this machine need not be: compiled for each class, not run."""

import os
import subprocess
import sys

import pytest

from encoder.runtime.cpu.fused.microkernel import can_multiply
from encoder.runtime.number_format import _processor_flags

COMMON = "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt"
AVX512 = f"{COMMON},+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd"
TARGETS = {
    "nehalem": ("+sse4.2,+popcnt", {"float32": "mulps"}),
    "haswell": (COMMON, {"float32": "vfmadd", "int8": "vpmaddwd"}),
    "alderlake": (f"{COMMON},+avxvnni", {"float32": "vfmadd", "int8": "vpdpbusd"}),
    "skylake-avx512": (AVX512, {"float32": "vfmadd", "int8": "vpmaddwd"}),
    "cascadelake": (f"{AVX512},+avx512vnni", {"float32": "vfmadd", "int8": "vpdpbusd"}),
    "sapphirerapids": (
        f"{AVX512},+avx512vnni,+avx512bf16,+amx-tile,+amx-int8,+amx-bf16",
        {
            "float32": "vfmadd", "bfloat16": "vdpbf16ps",
            "int8": "vpdpbusd ldtilecfg tilezero tileloadd tdpbusd tilestored tilerelease",
        },
    ),
}  # fmt: skip
"""By LLVM's name of a processor: its features, and instructions that the product of each format must have."""

COMPILE = """
import numba
import numpy as np
from encoder.runtime.cpu.fused import gemm, tile_registers
from encoder.runtime.cpu.fused.gemm import PackedWeights, make_run
from encoder.runtime.cpu.fused.microkernel import can_multiply
from encoder.runtime.cpu.fused.workspace import NUMPY
from encoder.runtime.cpu.numba_kernels.attention import make_attend

tile_registers._request_permission = lambda: True  # it is compiled, not run
gemm.tiles_agree = lambda: True

def kind(dtype, count=1):
    return numba.typeof(np.zeros((2,) * count, dtype))

words = kind(np.int32)
packed = numba.typeof(PackedWeights(*[np.zeros(2, x) for x in (np.int32, np.float32, np.int64, np.int64)], 0, 0))
for numbers in ("float32", "bfloat16", "int8"):
    if can_multiply(numbers):
        run = make_run(numbers)
        sums = kind(np.int32 if numbers == "int8" else np.float32)
        given = (packed, kind(NUMPY[numbers]), numba.int64, kind(np.float32), words, sums, kind(np.float32))
        run.compile(given)
        print(numbers, *sorted({x for code in run.inspect_asm().values() for x in code.split() if x.isalnum()}))
attend, floats = make_attend(2, 16, 16), kind(np.float32)
attend.compile((floats, floats, floats, kind(np.int32, 2), words, words, words, words, floats, floats, floats))
print("attend", *sorted({x for code in attend.inspect_asm().values() for x in code.split() if x.isalnum()}))
"""


@pytest.mark.parametrize("processor", TARGETS)
def test_products_are_compiled_for_each_class_of_processors(processor: str, tmp_path: object) -> None:
    features, products = TARGETS[processor]
    given = os.environ | {
        "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features, "HEARKEN_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", COMPILE], env=given, capture_output=True, text=True, timeout=170, check=False
    )
    assert run.returncode == 0, run.stderr
    found = {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines()}
    assert found.pop("attend"), "attention of processors without AVX-512 compiles on all"
    assert found.keys() == products.keys()
    for numbers, instructions in products.items():
        for instruction in instructions.split():
            assert any(x.startswith(instruction) for x in found[numbers]), (numbers, instruction)


GEMM, FUSED = "tests/encoder/runtime/test_gemm.py", "tests/encoder/runtime/test_fused.py"


@pytest.mark.parametrize(
    ("processor", "needs", "files", "which"),
    [
        ("haswell", "avx2", (GEMM, FUSED), "(bytes or int8 or (history and float32)) and not keeps_pages"),
        ("alderlake", "avx_vnni", (GEMM,), "bytes or int8"),
        ("skylake-avx512", "avx512bw", (GEMM,), "bytes or int8"),
    ],
)
def test_code_for_processors_with_less_is_right(
    processor: str, needs: str, files: tuple[str, ...], which: str, tmp_path: object
) -> None:
    """Products equal plain arithmetic to the bit; layers equal a dense replay, whatever is packed with a slot."""
    if needs not in _processor_flags():
        pytest.skip(f"the code is run, and this processor has no {needs}")
    features, _ = TARGETS[processor]
    given = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features, "HEARKEN_CACHE_DIR": str(tmp_path)}
    _run_tests(given, *files, "-k", which)


def test_tile_registers_are_right(tmp_path: object) -> None:
    """The code for AMX, with its instructions emulated as the manual defines them."""
    if not can_multiply("int8"):
        pytest.skip("what is not done by tiles needs vectors of bytes")
    plugin = "tests.encoder.runtime.tile_emulation"
    shown = _run_tests({"HEARKEN_CACHE_DIR": str(tmp_path)}, "-p", plugin, GEMM, FUSED, "-k", "bytes or int8")
    emulated = dict(x.split("=") for x in shown.partition("emulated: ")[2].splitlines()[0].split())
    assert all(int(count) for count in emulated.values()), emulated


def _run_tests(environment: dict[str, str], *arguments: str) -> str:
    """Run pytest in a process of its own; gives what it shows, if all passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", *arguments]
    run = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
    assert " skipped" not in run.stdout
    return run.stdout
