"""Kernels for processors that this machine need not be: compiled for each class, not run."""

import os
import subprocess
import sys

import pytest

from encoder.runtime.number_format import _processor_flags

COMMON = "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt"
AVX512 = f"{COMMON},+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd"
TARGETS = {
    "haswell": (COMMON, {"float32": "vfmadd"}),
    "skylake-avx512": (AVX512, {"float32": "vfmadd"}),
    "cascadelake": (f"{AVX512},+avx512vnni", {"float32": "vfmadd", "int8": "vpdpbusd"}),
    "sapphirerapids": (
        f"{AVX512},+avx512vnni,+avx512bf16,+amx-tile,+amx-int8,+amx-bf16",
        {"float32": "vfmadd", "int8": "vpdpbusd", "bfloat16": "vdpbf16ps"},
    ),
}
"""By LLVM's name of a processor: its features, and an instruction that the product of each format must have."""

COMPILE = """
import numba
import numpy as np
from encoder.runtime.cpu.fused.gemm import PackedWeights, make_run
from encoder.runtime.cpu.fused.microkernel import can_multiply
from encoder.runtime.cpu.fused.workspace import NUMPY
from encoder.runtime.cpu.numba_kernels.attention import make_attend

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
        print(numbers, *sorted({x for code in run.inspect_asm().values() for x in code.split() if x[:1] == "v"}))
attend, floats = make_attend(2, 16, 16), kind(np.float32)
attend.compile((floats, floats, floats, kind(np.int32, 2), words, words, words, words, floats, floats, floats))
print("attend", *sorted({x for code in attend.inspect_asm().values() for x in code.split() if x[:1] == "v"}))
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
    for numbers, instruction in products.items():
        assert any(x.startswith(instruction) for x in found[numbers]), numbers


@pytest.mark.skipif("avx2" not in _processor_flags(), reason="the code is run, and this processor has no AVX2")
def test_fused_layers_without_avx512_are_those_of_the_reference() -> None:
    """float32 by the narrow tiles of AVX2: equal to a dense replay, and a slot's bits whatever is packed with it."""
    features, _ = TARGETS["haswell"]
    given = os.environ | {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "tests/encoder/runtime/test_fused.py",
        "-k",
        "history and float32",
    ]
    run = subprocess.run(command, env=given, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
    assert " skipped" not in run.stdout
