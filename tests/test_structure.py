"""The rules of docs/architecture.md for the tree: import order, unique class names, sizes of folders and files."""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
ROOMS = ("consumers", "stream", "encoder")
BESIDE = ("hearken", "benchmarks", "tests", "configs", "docker", "docs", "examples")
"""Other folders with Python."""
LISTS = {"consumers/cli", "consumers/formats/speech", "consumers/formats/chat"}
"""Folders of like things: a command or a vendor a file."""
MOST_MODULES = 12
MOST_LINES = 400
MOST_LINES_OF_THE_ROOMS = 65_500
"""33,700 when the layout was made; the doors, the start without torch, disguises and generated data added the rest, and
600 that were outside of the rooms: the GPU's step, which was in the benchmarks."""


def modules(folders: Sequence[str] = ROOMS) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_imports_keep_the_order_of_rooms_and_folders_and_have_no_cycle():
    """The contracts are in pyproject.toml; the report names the imports that break one."""
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


def test_no_class_name_is_defined_twice():
    places: dict[str, list[str]] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_public_function_name_recurs_only_among_implementations_of_one_interface():
    """The kernels of the runtimes (numba, AVX-512, Triton) implement the same operations under the same names."""
    places: dict[str, set[Path]] = {}
    for path in modules():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                places.setdefault(node.name, set()).add(path.relative_to(ROOT))
    runtime = Path("encoder/runtime")
    assert [
        x for x, found in places.items() if len(set(found)) > 1 and not all(y.is_relative_to(runtime) for y in found)
    ] == []


def test_no_folder_holds_more_modules_than_a_reader_can_survey():
    sizes = Counter(str(path.parent.relative_to(ROOT)) for path in modules() if path.name != "__init__.py")
    assert {folder: n for folder, n in sizes.items() if n > MOST_MODULES and folder not in LISTS} == {}


def test_no_file_is_longer_than_a_reader_can_survey():
    lengths = {path.relative_to(ROOT): len(path.read_text("utf-8").splitlines()) for path in modules((*ROOMS, *BESIDE))}
    assert {str(path): n for path, n in lengths.items() if n > MOST_LINES} == {}
    assert sum(n for path, n in lengths.items() if path.parts[0] in ROOMS) <= MOST_LINES_OF_THE_ROOMS
