"""Compiled kernels in files: found again by another process, made again when anything changes that they follow from."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.registry import cpu_target

from encoder import cache_folder, kernel_cache
from encoder.kernel_cache import KernelCache, find_sources, kernel
from encoder.runtime.cpu.numba_kernels.simd import fill, save

RUN = """
import sys
import numpy as np
from encoder.kernel_cache import count_compiled
from encoder.runtime.cpu.numba_kernels.rows import make_add_norm
from tests.encoder.test_kernel_cache import outer

with count_compiled() as compiled:
    for width in map(int, sys.argv[1:]):
        x, delta = np.arange(width, dtype=np.float32), np.ones(width, np.float32)
        make_add_norm(width)(x, delta, delta, delta, 1e-5, x)
        print(width, x.tobytes().hex(), outer(width)(np.zeros(16, np.float32)))
print(len(compiled), file=sys.stderr)
"""


def outer(number: int) -> Any:
    """A kernel over another one, which has its number in its closure, over an operation."""
    lanes = fill

    @kernel
    def inner(out: Any) -> float:
        save(out, 0, lanes(np.float32(number), 16))
        return out[3]

    @kernel
    def both(out: Any) -> float:
        return inner(out) + 1.0

    return both


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"HEARKEN_CACHE_DIR": str(folder), "PYTHONHASHSEED": "random"}


def start(folder: Path, *widths: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RUN, *map(str, widths)]
    return subprocess.Popen(command, env=environment(folder), text=True, stdout=-1, stderr=-1)


def finish(process: "subprocess.Popen[str]") -> tuple[list[str], int]:
    """What it printed, and the number of functions that it compiled."""
    out, err = process.communicate(timeout=170)
    assert process.returncode == 0, err
    return out.splitlines(), int(err.split()[-1])


def content(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*") if path.is_file()}


def test_another_process_compiles_and_writes_nothing(tmp_path: Path) -> None:
    first, compiled = finish(start(tmp_path, 32))
    assert compiled > 0
    files = content(tmp_path)
    assert files
    assert finish(start(tmp_path, 32)) == (first, 0)
    assert content(tmp_path) == files


def test_shapes_that_several_processes_compiled_are_not_mixed_up(tmp_path: Path) -> None:
    """numba numbers the functions of a process: the same number in two of them must not be the same symbol."""
    lines = [line for width in (16, 48) for line in finish(start(tmp_path, width))[0]]
    assert len(set(lines)) == 2
    assert finish(start(tmp_path, 16, 48)) == (lines, 0)


def test_processes_that_start_together_do_not_disturb_each_other(tmp_path: Path) -> None:
    found = {tuple(finish(process)[0]) for process in [start(tmp_path, 64) for _ in range(3)]}
    assert len(found) == 1
    assert list(tmp_path.rglob("*.part")) == []
    assert finish(start(tmp_path, 64)) == (list(*found), 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEARKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache_folder, "_failures", [])
    return tmp_path / "kernels"


def double() -> Any:
    @kernel
    def twice(x: Any) -> Any:
        return x * 2

    return twice


def was_compiled(x: float = 1.5) -> bool:
    """Make the same kernel again and call it."""
    made = double()
    assert made(x) == 2 * x
    return bool(made.stats.cache_misses)


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda code: code[:-1], lambda code: code + b"1", lambda _: b"x" * 99]
)
def test_a_damaged_file_is_made_again(folder: Path, damage: Any) -> None:
    assert was_compiled()
    assert not was_compiled()
    (path,) = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert was_compiled()
    assert not was_compiled()


def test_a_changed_source_another_processor_and_another_version_are_compiled_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_compiled()
    codegen = cpu_target.target_context.codegen()
    changes: list[tuple[Any, str, Any]] = [
        (kernel_cache, "digest_sources", lambda module: "changed"),
        (codegen, "magic_tuple", lambda: ("x86_64", "znver9", "+avx1024")),
        (kernel_cache.numba, "__version__", "99.0"),
        (kernel_cache.llvmlite, "__version__", "99.0"),
        (kernel_cache, "CHECKED", not kernel_cache.CHECKED),
    ]
    for owner, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            assert was_compiled(), name
            assert not was_compiled(), name
    assert len(list(folder.iterdir())) == kernel_cache.VERSIONS


def test_the_folder_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cache, "FILES", 3)
    for width in (1, 2, 3, 4, 5):
        was_compiled(np.float32(1.5) if width % 2 else 1.5)
        double()(np.zeros((1,) * width))
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("what", ["a file", "read-only", "full"])
def test_where_nothing_can_be_written_kernels_work_without(
    what: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if what == "a file":
        folder.write_text("not a folder")
    else:
        monkeypatch.setattr(os if what == "full" else Path, "replace" if what == "full" else "mkdir", refuse)
    assert was_compiled()
    assert was_compiled()
    assert cache_folder.write_failure()
    assert not list(folder.rglob("*"))


def test_sources_that_are_gone_mean_no_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cache, "digest_sources", lambda module: None)
    assert was_compiled()
    assert was_compiled()
    assert not folder.exists()


def test_a_closure_is_described_by_what_code_makes_of_it() -> None:
    """Two kernels differ if anything that they are made of does, however deep; two of the same do not."""

    def described(number: int) -> str:
        return KernelCache(outer(number).py_func).identity

    assert described(1) == described(1) != described(2)
    unknown = object()

    def over_an_object() -> object:
        return unknown

    with pytest.raises(TypeError, match="may not hold object"):
        kernel(over_an_object)


def imported(path: Path, known: set[str]) -> set[str]:
    """Modules of the packages that a file imports, as Python's own parser finds them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if re.match(r"(encoder|stream)(\.|$)", name)} & known


def test_the_sources_of_a_kernel_are_all_that_it_imports() -> None:
    root = Path(kernel_cache.__file__).parent.parent
    paths = [path for room in ("encoder", "stream") for path in (root / room).rglob("*.py")]
    names = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    kernels = [name for name, path in names.items() if "@kernel" in path.read_text("utf-8")]
    assert len(kernels) > 10
    for name in kernels:
        sources = find_sources(name)
        assert sources.items() <= names.items()
        missing = {other for path in sources.values() for other in imported(path, set(names))} - sources.keys()
        assert not missing, name
    assert "encoder.runtime.cpu.numba_kernels.simd" in find_sources("encoder.runtime.cpu.fused.step")
