"""Calibration of a checkpoint by `hearken calibrate`: `calibration.json` beside its `config.json`.

It is not part of the checkpoint's identity, but names it: the calibration of other weights is refused.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Literal

import msgspec

from encoder.files import read_fields, write_json
from encoder.heads.span_model import MORE_FEATURES, span_weights
from encoder.model.config import HybridConfig

FILE = "calibration.json"


class CalibrationError(ValueError):
    """A calibration cannot be used; the message says which file, and what to do."""


class CalibrationData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The data behind a calibration."""

    data: str
    """Folder and file."""
    data_digest: str
    """Digest of the file's bytes; empty for a folder."""
    unit: str
    """"session", "sequence" or "document": the units that are taken to be independent, or exchangeable with those of
    the service."""
    units: int
    options: str
    """Options with which the file was read."""
    number_format: str
    """Number type of the linears; another type rounds differently."""


class Certificate(CalibrationData, frozen=True, forbid_unknown_fields=True, kw_only=True):
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
    sequences: int
    words: int


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


class LabelPromise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bound of the share of a label's published spans that the model takes back (docs/promise.md).

    Raises:
        CalibrationError: alpha is not between 0 and 1.
    """

    alpha: float
    """Upper confidence bound of the mean share of a session."""
    share: float
    """The mean share, over the calibration's sessions that published spans of the label."""
    sessions: int
    """Number of those sessions."""
    spans: int
    """Published spans whose fate became known."""
    taken_back: int
    """Those of them that the model took back."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise CalibrationError(f"alpha must be between 0 and 1, not {self.alpha}")


class LevelPromise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bounds at one emission level; labels without a useful bound are missing."""

    show: float
    change: float
    """Thresholds of the level (`stream.revisions.emission.Emission`)."""
    wait: int | None = None
    """Words after which nothing is held back; None: until the close, as in files from before this field existed."""
    labels: dict[str, LabelPromise]


class Promise(CalibrationData, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bounds of one tagger, and the data behind them."""

    epsilon: float
    """All bounds hold at once with a probability of 1 - epsilon over the calibration data."""
    policy: str
    """Restart policy under which they were measured."""
    levels: dict[str, LevelPromise]


class LabelRisk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Risk of one label's settled text.

    Raises:
        CalibrationError: a number is not a probability.
    """

    threshold: float
    """The lowest one of words without a label that controls the risk of this label alone."""
    risk: float
    """Mean loss of the label at the tagger's thresholds."""
    sessions: int
    """Units that had the label."""

    def __post_init__(self) -> None:
        _check_probabilities(threshold=self.threshold, risk=self.risk)


class SettledThreshold(CalibrationData, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Threshold of the settled text of one tagger, and the data behind it (docs/redaction.md).

    Raises:
        CalibrationError: a number is not a probability.
    """

    threshold: float
    """Least stability of a settled word without a label; 1: none is settled before its segment closes."""
    labelled: float | None = None
    """Least stability of a settled word with a label; None: the same, as in files from before this field existed."""
    alpha: float
    """Expected loss of a session, at most."""
    risk: float
    """Mean loss on the data."""
    delay: float
    """Mean number of words behind the newest one at which a word was settled."""
    delay_p95: float
    labels: dict[str, LabelRisk]
    """Of labels that have enough sessions for a threshold of their own."""
    policy: str
    """Restart policy under which it was measured."""
    show: float
    change: float
    """Thresholds of the emission level (`stream.revisions.emission.Emission`)."""
    wait: int | None = None
    """As in `LevelPromise`."""

    def __post_init__(self) -> None:
        _check_probabilities(threshold=self.threshold, labelled=self.labelled or 0.0, risk=self.risk)
        if not 0 < self.alpha < 1:
            raise CalibrationError(f"alpha must be between 0 and 1, not {self.alpha}")


def _check_probabilities(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 <= value <= 1:
            raise CalibrationError(f"{name} must be between 0 and 1, not {value}")


class SpanConfidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Confidence in whole spans of one tagger, fitted on several sets (docs/calibration.md).

    Raises:
        CalibrationError: the weights are not finite, or not two rows of one length.
    """

    weights: list[list[float]]
    """(2, span_weights + MORE_FEATURES), see `encoder.heads.span_model.SpanModel`."""
    sets: list[str]
    """Names of the sets."""
    texts: int
    spans: int
    """Spans that were found in them, once for each time that a span was first found."""
    policy: str
    """Restart policy under which they were measured."""
    number_format: str

    def __post_init__(self) -> None:
        flat = [x for row in self.weights for x in row]
        if len(self.weights) != 2 or 2 * len(self.weights[0]) != len(flat) or not all(map(isfinite, flat)):
            raise CalibrationError("the weights of the confidence in spans must be two rows of finite numbers")


class CalibrationFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file."""

    checkpoint: str
    """Identity of the checkpoint that this is about, in hexadecimal digits."""
    taggers: dict[str, Calibration]
    """By the name of the label set (`HybridConfig.label_sets`)."""
    promises: dict[str, Promise] = {}
    """By the same; files from before this field existed have none."""
    settled: dict[str, SettledThreshold] = {}
    """By the same, likewise."""
    spans: dict[str, SpanConfidence] = {}
    """By the same, likewise."""


def save_calibration(
    folder: Path,
    identity: bytes,
    taggers: Mapping[str, Calibration] | None = None,
    promises: Mapping[str, Promise] | None = None,
    settled: Mapping[str, SettledThreshold] | None = None,
    spans: Mapping[str, SpanConfidence] | None = None,
) -> Path:
    """Write calibrations, promises, thresholds of settled text and confidence in spans into the checkpoint's folder.

    They take the place of those of the same taggers. All others stay; but a new confidence in spans changes what
    readers are shown, so promises and thresholds that were measured before it are removed.

    Returns:
        The file.

    Raises:
        CalibrationError: the file cannot be written.
    """
    path = folder / FILE
    try:
        before = read_calibration_file(folder, identity)
    except CalibrationError:
        before = CalibrationFile(checkpoint=identity.hex(), taggers={})  # of other weights, or damaged: it is replaced
    again = {} if spans is None else spans
    stored = CalibrationFile(
        checkpoint=identity.hex(),
        taggers=before.taggers | dict(taggers or {}),
        promises={k: v for k, v in before.promises.items() if k not in again} | dict(promises or {}),
        settled={k: v for k, v in before.settled.items() if k not in again} | dict(settled or {}),
        spans=before.spans | dict(again),
    )
    try:
        write_json(path, stored)
    except OSError as error:
        raise CalibrationError(f"{path} cannot be written: {error}") from error
    return path


def read_calibration_file(folder: Path, identity: bytes) -> CalibrationFile:
    """Read what was calibrated of a checkpoint; it is empty if its folder has no such file.

    Raises:
        CalibrationError: the file is damaged, or is of other weights.
    """
    path = folder / FILE
    try:
        stored = read_fields(path, CalibrationFile)
    except FileNotFoundError:
        return CalibrationFile(checkpoint=identity.hex(), taggers={})
    except OSError as error:
        raise CalibrationError(f"{error}; delete it, or run `hearken calibrate` again") from error
    if stored.checkpoint != identity.hex():
        raise CalibrationError(f"{path} is of other weights; delete it, or run `hearken calibrate` again")
    return stored


def check_spans(config: HybridConfig, spans: Mapping[str, SpanConfidence]) -> None:
    """Refuse weights that do not fit their tagger's types.

    Raises:
        CalibrationError: some do not.
    """
    for name, known in spans.items():
        if name in config.label_sets:
            wanted, found = span_weights(config.label_sets[name]) + MORE_FEATURES, len(known.weights[0])
            if found != wanted:
                raise CalibrationError(
                    f"{FILE}: the confidence in spans of {name or 'the tagger'} has {found} weights, not {wanted}; "
                    "calibrate it again with `hearken calibrate --spans`"
                )
