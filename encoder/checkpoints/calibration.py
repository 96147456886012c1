"""Calibration of a checkpoint by `hearken calibrate`: `calibration.json` beside its `config.json`.

It is not part of the checkpoint's identity, but names it: the calibration of other weights is refused.
"""

from pathlib import Path
from typing import Literal

import msgspec

from encoder.files import read_fields, write_json

FILE = "calibration.json"


class CalibrationError(ValueError):
    """A calibration cannot be used; the message says which file, and what to do."""


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The guarantee of a threshold and the data behind it (docs/calibration.md)."""

    delta: float
    """Streaming EM is below that of a full restart on every word by at most this..."""
    epsilon: float
    """...with a probability of 1 - epsilon over the calibration data."""
    risk: float
    """Streaming EM that was lost on that data."""
    bound: float
    """Upper confidence bound of the loss at 1 - epsilon, for this threshold alone."""
    p_value: float
    streaming_em: float
    flops_saved: float
    """Share of FLOPs saved against a full restart on every word, without closing restarts."""
    data: str
    """Folder and file."""
    data_digest: str
    """Digest of the file's bytes."""
    unit: str
    """"sequence" or "document": the units that are taken to be independent."""
    units: int
    sequences: int
    words: int
    options: str
    """Options with which the file was read."""
    number_format: str
    """Number type of the linears; another type rounds differently."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One tagger's threshold, and the scale and shift that make its stability a probability.

    Raises:
        CalibrationError: a number is out of range.
    """

    policy: Literal["stability", "price"] = "stability"
    tau: float
    """Number of the policy. For `stability` it is the threshold on the stability after scale and shift."""
    scale: float
    """stability = sigmoid(scale * (base + drift * log1p(unseen)) + shift); above 0, so that the order is kept."""
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
        write_json(path, stored)
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
        stored = read_fields(path, CalibrationFile)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CalibrationError(f"{error}; delete it, or run `hearken calibrate` again") from error
    if stored.checkpoint != identity.hex():
        raise CalibrationError(f"{path} is of other weights; delete it, or run `hearken calibrate` again")
    return stored.taggers
