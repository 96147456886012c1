"""Plugin for pytest: tile registers (AMX) on a processor that has none, in numpy, as Intel's manual defines them.

`pytest -p tests.encoder.runtime.tile_emulation` has the products of bytes compiled for tile registers, and their
instructions replaced by calls of `_Tiles`. What is compiled goes to a cache of its own, which the caller sets:
HEARKEN_CACHE_DIR. (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: LDTILECFG, TDPBUSD,
TILELOADD, TILESTORED.)
"""

import ctypes
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import llvmlite.binding
import numpy as np
import pytest
from numpy.typing import NDArray

from encoder.runtime.cpu.fused import gemm, tile_registers
from encoder.runtime.cpu.numba_kernels.simd import call_function

Bytes = NDArray[np.uint8]


class _Tiles:
    """The eight registers of one thread. Wherever a processor would raise an exception, a method does."""

    def __init__(self) -> None:
        self.rows, self.bytes = [0] * 8, [0] * 8
        self.held: Bytes = np.zeros((8, 16, 64), np.uint8)
        self.configured = False

    def ldtilecfg(self, pointer: int) -> None:
        read = _view(pointer, 64)
        assert (read[0], read[1]) == (1, 0), "palette 1, from the first row on"
        assert not read[2:16].any(), "reserved"
        assert not read[32:48].any(), "reserved"
        assert not read[56:].any(), "reserved"
        self.bytes, self.rows = read[16:32].view(np.uint16).tolist(), read[48:56].tolist()
        assert all(0 < x <= 64 for x in self.bytes)
        assert all(0 < x <= 16 for x in self.rows)
        self.held[:] = 0
        self.configured = True

    def tilerelease(self) -> None:
        self.configured = False

    def tilezero(self, register: int) -> None:
        assert self.configured
        self.held[register] = 0

    def tileloadd64(self, register: int, pointer: int, stride: int) -> None:
        assert self.configured
        self.held[register] = 0
        width = self.bytes[register]
        for row in range(self.rows[register]):
            self.held[register, row, :width] = _view(pointer + row * stride, width)

    def tilestored64(self, register: int, pointer: int, stride: int) -> None:
        assert self.configured
        width = self.bytes[register]
        for row in range(self.rows[register]):
            _view(pointer + row * stride, width)[:] = self.held[register, row, :width]

    def tdpbusd(self, sums: int, left: int, right: int) -> None:
        assert self.configured
        assert len({sums, left, right}) == 3
        rows, columns, depth = self.rows[left], self.bytes[right] // 4, self.rows[right]
        assert (self.rows[sums], self.bytes[sums], self.bytes[left]) == (rows, 4 * columns, 4 * depth)
        a = self.held[left, :rows, : 4 * depth].reshape(rows, depth, 4).astype(np.int64)
        b = self.held[right, :depth, : 4 * columns].view(np.int8).reshape(depth, columns, 4).astype(np.int64)
        total = self.held[sums].view(np.int32)
        total[:rows, :columns] += np.einsum("mkb,knb->mn", a, b).astype(np.int32)


def _view(pointer: int, count: int) -> Bytes:
    return np.frombuffer((ctypes.c_uint8 * count).from_address(pointer), np.uint8)


TILES = _Tiles()
CALLS: Counter[str] = Counter()
FAILED: list[BaseException] = []
_BYTE, _POINTER, _LONG = ctypes.c_uint8, ctypes.c_void_p, ctypes.c_int64
_FORMS: dict[str, tuple[Any, ...]] = {
    "ldtilecfg": (_POINTER,), "tilerelease": (), "tilezero": (_BYTE,), "tileloadd64": (_BYTE, _POINTER, _LONG),
    "tilestored64": (_BYTE, _POINTER, _LONG), "tdpbusd": (_BYTE, _BYTE, _BYTE),
}  # fmt: skip
_KEPT: list[Any] = []
"""Functions that compiled code calls."""


def _emulated(name: str) -> Callable[..., None]:
    def call(*args: int) -> None:
        CALLS[name] += 1
        try:
            getattr(TILES, name)(*args)
        except BaseException as error:  # compiled code cannot pass it on
            FAILED.append(error)

    return call


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    return call_function(builder, name.replace("llvm.x86.", "emulated_"), result, *args)


def pytest_configure() -> None:
    """Register the functions, and have products choose tiles; before anything is compiled."""
    for name, form in _FORMS.items():
        function = ctypes.CFUNCTYPE(None, *form)(_emulated(name))
        _KEPT.append(function)
        llvmlite.binding.add_symbol(f"emulated_{name}", ctypes.cast(function, ctypes.c_void_p).value)
    given: Any = tile_registers
    given.call_function = _call
    given._request_permission = lambda: True
    given._NEEDS = set()
    given.can_use_tiles.cache_clear()
    product: Any = gemm
    product.tiles_agree = lambda: True  # another process has no emulation


@pytest.fixture(autouse=True)
def _check_tiles() -> Iterator[None]:
    yield
    assert not FAILED, FAILED[0]
    assert not TILES.configured, "registers are released at the end of each product"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how often each instruction was emulated: a test of the tiles reads it."""
    terminalreporter.write_line("emulated: " + " ".join(f"{name}={CALLS[name]}" for name in sorted(_FORMS)))
