"""Tile registers of x86 (AMX): the microkernel of bytes where processor and system have them.

Eight registers of up to 16 rows of 64 bytes; one instruction multiplies 16 rows of 64 bytes by 64 x 16 signed bytes.
Packed weights lie as they do for other processors: 16 steps of one vector of columns are one register, the columns of a
block from row to row. A register has as many rows as there are, so few rows need no padding. Sums are whole numbers:
whichever microkernel computed a row, its bits are the same.

Registers are allocated by hand, and others on the thread (oneDNN) may configure them too. So `configure` comes before
the first product, and `release` after the last, which also spares the system from saving them.

    rows      sums     rows    columns
    1 to 16   0 1 2 3  4       5 6 7 in turn      64 columns at once
    17 to 32  0 1      4       6 7                32 columns at once
              2 3      5
"""

import ctypes
import subprocess
import sys
from functools import cache
from hashlib import blake2b
from typing import Any, Final

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils

from encoder.cache_folder import cache_folder, write_cached
from encoder.kernel_cache import digest_sources
from encoder.runtime.cpu.fused.microkernel import LANES, compiled_features
from encoder.runtime.cpu.numba_kernels.simd import (
    INT,
    Context,
    call_function,
    data_pointer,
    guard,
    operation,
)

TILE_ROWS: Final = 16
GROUP: Final = 2 * TILE_ROWS
"""Most rows of a call."""
TILE_STEPS: Final = 16
"""Double words of a row in one register."""

TRIAL: Final = "encoder.runtime.cpu.tile_trial"
_TRIAL_SECONDS: Final = 300.0
"""Most that the trial may take; compiling takes some seconds."""
_AGREES, _DIFFERS = b"1", b"0"
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18
_NEEDS: Final = {"+amx-tile", "+amx-int8", "+avx512vnni", "+avx512f"}
_BYTE, _LONG = ir.IntType(8), ir.IntType(64)
_ROW_BYTES: Final = 64
_for_range: Any = cgutils.for_range
_reserve: Any = cgutils.alloca_once


@cache
def can_use_tiles() -> bool:
    """Tell whether numba compiles for a processor with tiles of bytes, and the system lets this process use them."""
    return compiled_features() >= _NEEDS and _request_permission()


def _request_permission() -> bool:
    """Ask Linux for the tile registers, for all threads and forks of this process; False if it refuses (5.16)."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0)


@cache
def tiles_agree() -> bool:
    """Tell whether products by tile registers equal those by vectors, to the bit, on this machine.

    The microkernel is proven on an emulation of the instructions. A processor or a virtual machine that does otherwise,
    or ends the process, must cost speed and nothing else; so `TRIAL` runs once in a process of its own. Its answer is
    kept in the cache folder, for these sources and this processor. A trial that could not run or did not end gives no
    answer: vectors are used, and the next start tries again.
    """
    machine = " ".join((llvmlite.binding.get_host_cpu_name(), *sorted(compiled_features())))
    digest = blake2b(f"{digest_sources(TRIAL)} {machine}".encode(), digest_size=8).hexdigest()
    path = cache_folder() / f"tiles-{digest}"
    try:
        kept = path.read_bytes()
    except OSError:
        kept = b""
    if kept in (_AGREES, _DIFFERS):
        return kept == _AGREES
    agree = _try_apart()
    if agree is not None:
        write_cached(path, _AGREES if agree else _DIFFERS)
    return bool(agree)


def _try_apart() -> bool | None:
    """Run the trial; None if it could not run, or did not end."""
    command = [sys.executable, "-m", TRIAL]
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "check": False}
    try:
        return subprocess.run(command, timeout=_TRIAL_SECONDS, **options).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return None


@operation
def configure(typing: Context, rows: Context) -> Any:
    """Configure the registers for `rows` rows, from 1 to `GROUP`; their contents are lost."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        kind = ir.ArrayType(_BYTE, 64)
        place = _reserve(builder, kind)
        builder.store(ir.Constant(kind, None), place)

        def put(offset: int, value: Any) -> None:
            pointer = builder.gep(place, [INT(0), INT(offset)])
            builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=1)

        full, count = _BYTE(TILE_ROWS), builder.trunc(args[0], _BYTE)
        many = builder.icmp_signed(">", args[0], _LONG(TILE_ROWS))
        first = builder.select(many, full, count)
        second = builder.select(many, builder.sub(count, full), count)
        third = builder.select(many, second, full)
        put(0, _BYTE(1))  # the palette
        for register, height in enumerate((first, first, second, second, first, third, full, full)):
            put(16 + 2 * register, ir.IntType(16)(_ROW_BYTES))
            put(48 + register, height)
        _call(builder, "llvm.x86.ldtilecfg", builder.bitcast(place, _BYTE.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64), generate


@operation
def release(typing: Context) -> Any:
    """Give the registers back."""

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        _call(builder, "llvm.x86.tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


@cache
def make_tile_block(down: int, across: int, vectors: int) -> Any:
    """Make `block(a, first, stride, w, place, steps, out, start, width, rows)`: sums of whole registers, as int32.

    As `encoder.runtime.cpu.fused.microkernel.make_tile`; `rows` are those that the registers are configured for. Steps
    that do not fill a register are left out: `steps` % `TILE_STEPS`.

    Args:
        down: registers of rows, 1 or 2.
        across: registers of columns, 4 or 2, which begin at `place` and at `start`.
        vectors: of columns in a block of packed weights.
    """

    def generate(context: Context, builder: Context, signature: Context, args: Context) -> Any:
        turns = builder.sdiv(args[5], _LONG(TILE_STEPS))
        below = builder.sub(args[9], _LONG(1))

        def extent(number: int, count: Any) -> None:
            guard(context, builder, signature.args[number], args[number], args[number + 1], count, 4)

        def pointer(number: int) -> Any:
            data = data_pointer(context, builder, signature.args[number], args[number])
            return builder.bitcast(builder.gep(data, [args[number + 1]]), _BYTE.as_pointer())

        def words(*counts: Any) -> Any:
            """Bytes of the sum of some numbers of double words."""
            total = counts[0]
            for count in counts[1:]:
                total = builder.add(total, count)
            return builder.mul(total, _LONG(4))

        reach = builder.mul(turns, _LONG(TILE_STEPS))
        extent(0, builder.add(builder.mul(args[2], below), reach))
        extent(3, builder.mul(reach, _LONG(vectors * LANES)))
        extent(6, builder.add(builder.mul(args[8], below), _LONG(across * LANES)))
        data, weights, sums = pointer(0), pointer(3), pointer(6)
        row_stride, sum_stride, step_bytes = words(args[2]), words(args[8]), _LONG(4 * vectors * LANES)

        def lower(stride: Any, i: int) -> Any:
            return builder.mul(stride, _LONG(i * TILE_ROWS))

        for register in range(4):
            _call(builder, "llvm.x86.tilezero", _BYTE(register))
        with _for_range(builder, turns, intp=_LONG) as loop:
            along = builder.mul(loop.index, _LONG(4 * TILE_STEPS))
            deep = builder.mul(loop.index, builder.mul(step_bytes, _LONG(TILE_STEPS)))
            for i in range(down):
                at = builder.gep(data, [builder.add(along, lower(row_stride, i))])
                _call(builder, "llvm.x86.tileloadd64", _BYTE(4 + i), at, row_stride)
            for j in range(across):
                column = _BYTE(4 + down + j % (4 - down))
                at = builder.gep(weights, [builder.add(deep, _LONG(4 * LANES * j))])
                _call(builder, "llvm.x86.tileloadd64", column, at, step_bytes)
                for i in range(down):
                    _call(builder, "llvm.x86.tdpbusd", _BYTE(i * across + j), _BYTE(4 + i), column)
        for i in range(down):
            for j in range(across):
                at = builder.gep(sums, [builder.add(lower(sum_stride, i), _LONG(4 * LANES * j))])
                _call(builder, "llvm.x86.tilestored64", _BYTE(i * across + j), at, sum_stride)
        return context.get_dummy_value()

    @operation
    def block(
        typing: Context,
        a: Context,
        first: Context,
        stride: Context,
        w: Context,
        place: Context,
        steps: Context,
        out: Context,
        start: Context,
        width: Context,
        rows: Context,
    ) -> Any:
        count = types.int64
        return types.void(a, count, count, w, count, count, out, count, count, count), generate

    return block


def _call(builder: Context, name: str, *args: Any) -> None:
    call_function(builder, name, ir.VoidType(), *args)
