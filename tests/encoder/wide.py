"""A tiny checkpoint whose widths the fused layers can do, and which number formats this processor has."""

import pytest

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.microkernel import can_multiply
from tests.tiny import tiny_checkpoint

FORMATS: tuple[NumberType, ...] = ("float32", "bfloat16", "int8")


def needs(numbers: NumberType) -> None:
    """Skip a test that this processor cannot run."""
    if not can_multiply(numbers):
        pytest.skip(f"this processor, or what numba compiles for, has no products of {numbers}")


def wide_checkpoint(**changes: object) -> Checkpoint:
    """Four layers of 64 and pages of 16; windows small enough that every rule about them is met quickly."""
    shape: dict[str, object] = {
        "hidden": 64, "heads": 4, "intermediate": 112, "positions": 96, "window": 32, "page_size": 16
    }  # fmt: skip
    return tiny_checkpoint(**(shape | changes))
