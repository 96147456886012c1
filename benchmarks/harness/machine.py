"""Description of the machine and of the measured tagger; memory of this process."""

import os
import platform
from pathlib import Path

import msgspec
import torch

from encoder.tagger import Tagger

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine; unknown values are "" or 0."""

    processor: str
    cores: int
    extensions: list[str]
    """Instruction sets that the kernels use."""
    memory_gib: float
    python: str
    torch: str


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and on which machine."""

    machine: Machine
    tagger: str
    policy: str
    number_format: str
    """Of the linears."""


def setting_of(tagger: Tagger, policy: str) -> Setting:
    """Describe a tagger and its restart policy on this machine."""
    return Setting(
        machine=this_machine(), tagger=tagger.name, policy=policy, number_format=tagger.encoder.number_format
    )


def this_machine() -> Machine:
    """Describe this machine."""
    said = _fields("/proc/cpuinfo")
    return Machine(
        processor=said.get("model name", platform.processor()),
        cores=os.cpu_count() or 0,
        extensions=[x for x in _FLAGS if x in said.get("flags", "").split()],
        memory_gib=round(_kilobytes(_fields("/proc/meminfo"), "MemTotal") / 2**20, 1),
        python=platform.python_version(),
        torch=str(torch.__version__),
    )


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where that cannot be read."""
    return 1024 * _kilobytes(_fields("/proc/self/status"), "VmRSS")


def available_bytes() -> int:
    """Return the memory that is available without swapping; 0 where that cannot be read."""
    return 1024 * _kilobytes(_fields("/proc/meminfo"), "MemAvailable")


def _fields(path: str) -> dict[str, str]:
    """Read "name: value" lines; the first of each name."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return {}
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def _kilobytes(fields: dict[str, str], name: str) -> int:
    return int((fields.get(name) or "0").split()[0])
