"""What `hearken calibrate` found out about a checkpoint: `calibration.json` beside its `config.json`.

It is no part of the checkpoint's identity, but names it: that of other weights says nothing and is refused.
"""

from pathlib import Path
from typing import Literal

import msgspec

FILE = "calibration.json"


class CalibrationError(ValueError):
    """A calibration that cannot be used; the message says which file and what to do."""


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the threshold promises, and from what it is known (docs/calibration.md)."""

    delta: float
    """Streaming EM is at most so much below that of a full restart on every word..."""
    epsilon: float
    """...with a probability of 1 - epsilon over the data that it was calibrated on."""
    risk: float
    """Streaming EM lost on that data."""
    bound: float
    """Upper confidence bound of what is lost, at 1 - epsilon, of this threshold alone."""
    p_value: float
    streaming_em: float
    flops_saved: float
    """Against restarting fully on every word, closing restarts apart."""
    data: str
    """Folder and file."""
    data_digest: str
    """Of the file's bytes."""
    unit: str
    """"sequence" or "document": what was taken to be independent."""
    units: int
    sequences: int
    words: int
    options: str
    """How the file was read."""
    number_format: str
    """Of the linears; another one rounds otherwise."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One tagger's threshold, and the numbers that make its stability a probability.

    Raises:
        CalibrationError: a number is out of range.
    """

    policy: Literal["stability", "price"] = "stability"
    tau: float
    """Its number. For `stability` the threshold, on the stability as it is once scale and shift are applied."""
    scale: float
    """stability = sigmoid(scale * (base + drift * log1p(unseen)) + shift); above 0, so that no order changes."""
    shift: float
    certificate: Certificate

    def __post_init__(self) -> None:
        if not 0 <= self.tau <= (1 if self.policy == "stability" else float("inf")):
            raise CalibrationError(f"tau must be between 0 and 1, or a price of at least 0, not {self.tau}")
        if not 0 < self.scale < float("inf") or not abs(self.shift) < float("inf"):
            raise CalibrationError(f"scale must be above 0, and shift a number (got {self.scale}, {self.shift})")


class CalibrationFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file."""

    checkpoint: str
    """Identity of the checkpoint that this is about, in hexadecimal digits."""
    taggers: dict[str, Calibration]
    """By the name of the label set (`HybridConfig.label_sets`)."""


def save_calibration(folder: Path, identity: bytes, taggers: dict[str, Calibration]) -> Path:
    """Write calibrations into the checkpoint's folder, in place of those of the same taggers; returns the file.

    Those of its other taggers stay.

    Raises:
        CalibrationError: the file cannot be written.
    """
    path = folder / FILE
    try:
        before = load_calibration(folder, identity)
    except CalibrationError:
        before = {}  # of other weights, or damaged: it is replaced
    stored = CalibrationFile(checkpoint=identity.hex(), taggers=before | taggers)
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n")
    except OSError as error:
        raise CalibrationError(f"{path} cannot be written: {error}") from error
    return path


def load_calibration(folder: Path, identity: bytes) -> dict[str, Calibration]:
    """Read the calibrations of a checkpoint's folder, by tagger; empty if it has none.

    Raises:
        CalibrationError: the file is damaged, or is of other weights.
    """
    path = folder / FILE
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=CalibrationFile)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise CalibrationError(f"{path}: {error}; delete it, or run `hearken calibrate` again") from error
    if stored.checkpoint != identity.hex():
        raise CalibrationError(f"{path} is of other weights; delete it, or run `hearken calibrate` again")
    return stored.taggers
