"""Number types that linear layers compute in."""

from typing import Final, Literal

NumberType = Literal["float32", "bfloat16", "int8"]

ITEM_BYTES: Final[dict[NumberType, int]] = {"float32": 4, "bfloat16": 2, "int8": 1}
"""Size of one number."""
