"""A head: one label set over the shared encoder, with what reads its columns."""

from dataclasses import dataclass

from encoder.heads.reader import HeadReader
from encoder.heads.stability import HeadStability
from encoder.heads.viterbi import Decoder


@dataclass(frozen=True, slots=True)
class Head:
    """One label set over the trunk: where its columns lie, and how they are read."""

    name: str
    labels: tuple[str, ...]
    decoder: Decoder
    stability: HeadStability
    first: int
    """Its first column of what the encoder gives (`HybridConfig.columns`): label scores from here on."""
    end: int
    """Behind its last column."""
    reader: HeadReader
    """`decoder` and `stability` in one."""
    own: str | None = None
    """Its own restart policy: what it was calibrated to, else the default of stability heads; None without a head."""
