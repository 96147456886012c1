"""Number types that linear layers compute in."""

from typing import Literal

NumberType = Literal["float32", "bfloat16", "int8"]
