"""The choice of numbers that the linears compute in: by the processor's features alone, never by the clock.

Workers of one group, and two starts of one worker, so choose the same on processors of one class. Each class gets the
fastest format whose products are *batch invariant* there: the bits of a row do not depend on the rows beside it. The
fused layers are so in every format. oneDNN, which computes models that the fused layers cannot, is in float32
(`encoder.runtime.cpu.packed_linear`) and in bfloat16 by AVX-512, but not in bfloat16 by AMX.

    processor                    fused layers    other models
    no AVX2                      float32         float32
    AVX2, AVX-VNNI, AVX-512      int8            float32
    AVX-512 BF16                 int8            bfloat16
    AMX                          int8            float32

Sums of bytes are whole numbers, so that int8 products have the same bits on all of them; cached keys and values are
bfloat16 where the processor has it.
"""

from pathlib import Path
from typing import Literal, NamedTuple, get_args

from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.microkernel import can_multiply

NumberFormat = Literal["auto", "float32", "bfloat16", "int8"]
NUMBER_FORMATS: tuple[str, ...] = get_args(NumberFormat)


class NumberFormatError(ValueError):
    """A number format is unknown or not supported here; the message says which to use."""


class ProcessorFeatures(NamedTuple):
    """What decides about the number format."""

    fused_int8: bool
    """The fused layers multiply bytes: AVX2 at least."""
    fused_bfloat16: bool
    """The fused layers multiply bfloat16: AVX-512 BF16."""
    onednn_bfloat16: bool
    """oneDNN multiplies bfloat16 natively and batch invariant: AVX-512 BF16, and no AMX."""


def choose_number_format(wanted: str, *, fused: bool = True, features: ProcessorFeatures | None = None) -> NumberType:
    """Choose what the linears compute in.

    Args:
        wanted: one of `NUMBER_FORMATS`; what is not "auto" is taken as it is, whatever oneDNN makes of it.
        fused: whether the fused layers can compute a model of this shape.
        features: of the processor; None: of this one.

    Raises:
        NumberFormatError: `wanted` is not a number format.
    """
    if wanted not in NUMBER_FORMATS:
        raise NumberFormatError(
            f"number_format must be {', '.join(NUMBER_FORMATS[:-1])} or {NUMBER_FORMATS[-1]} (got {wanted!r})"
        )
    if wanted != "auto":
        return wanted  # type: ignore[return-value]
    features = features or read_features()
    if fused and features.fused_int8:
        return "int8"
    if features.fused_bfloat16 if fused else features.onednn_bfloat16:
        return "bfloat16"
    return "float32"


def read_features() -> ProcessorFeatures:
    """Read the features of this processor."""
    flags = _processor_flags()
    return ProcessorFeatures(
        fused_int8=can_multiply("int8"),
        fused_bfloat16=can_multiply("bfloat16"),
        onednn_bfloat16="avx512_bf16" in flags and "amx_bf16" not in flags,
    )


def page_type(number_format: NumberType, *, fused: bool = True) -> NumberType:
    """Give the type of cached keys and values for linears of this number type: float32 or bfloat16."""
    if number_format == "int8":
        return "bfloat16" if fused and can_multiply("bfloat16") else "float32"
    return number_format


def _processor_flags() -> frozenset[str]:
    """Flags as Linux names them; elsewhere none, as float32 is never wrong."""
    try:
        return frozenset(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return frozenset()
