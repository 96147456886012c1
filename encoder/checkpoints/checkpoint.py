"""Checkpoints: a folder of `config.json`, `model.safetensors`, `tokenizer.json` and perhaps `calibration.json`.

No file of it can contain code that is run.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from encoder.checkpoints.calibration import FILE as CALIBRATION
from encoder.checkpoints.calibration import (
    Calibration,
    CalibrationError,
    Promise,
    SettledThreshold,
    SpanConfidence,
    check_spans,
    read_calibration_file,
)
from encoder.checkpoints.location import CheckpointError, find_checkpoint, read_config
from encoder.files import check_file, to_one_line, write_json
from encoder.heads.span_model import SpanModel, span_types, span_weights
from encoder.heads.stability_head import FEATURES, StabilityWeights
from encoder.model.config import HybridConfig
from encoder.tokenizer.base import TokenizerError
from encoder.tokenizer.reading import check_ids, read_tokenizer_file

if TYPE_CHECKING:
    from torch import Tensor

    from encoder.model.dense import HybridModel

FloatArray = NDArray[np.float32]

WEIGHTS_BYTES = 8 << 30
"""Limit of `model.safetensors`: four bytes for each of the most parameters that a configuration may have."""
_WORDS = "word.weight"
_START = "start"
"""Weight that the first token of a segment has more."""
_ROWS_AT_ONCE = 1024
_INT8, _SCALE = ".int8", ".scale"
_MATRICES = re.compile(r"layers\.\d+\.(qkv|out|ff_in|ff_out)\.weight")
"""Weights that may be stored in 8 bits, beside the word table."""


class StoredWeights(Mapping[str, FloatArray]):
    """Weights as a checkpoint stores them, in 8 and 16 bits; items are float32.

    A matrix in 8 bits is two arrays: `x.int8` and `x.scale`, a scale for each row, are `x.weight`.
    """

    def __init__(self, stored: Mapping[str, NDArray[Any]]) -> None:
        """Wrap stored arrays; raises KeyError if the word table is missing, or an array's scale."""
        self.arrays = stored
        """By their names in the file."""
        own = [name.removesuffix(_INT8) for name in stored if name.endswith(_INT8)]
        own = [name for name in own if name == "word" or _MATRICES.fullmatch(f"{name}.weight")]
        self._rounded = {f"{name}.weight": (stored[name + _INT8], stored[name + _SCALE]) for name in own}
        parts = {name + end for name in own for end in (_INT8, _SCALE)}
        self._plain = {name: array for name, array in stored.items() if name not in parts}
        self.words, self.scale = stored["word.int8"], stored["word.scale"]

    def __getitem__(self, name: str) -> FloatArray:
        if name in self._rounded:
            return restore_rows(*self._rounded[name])
        return self._plain[name].astype(np.float32)

    def __iter__(self) -> Iterator[str]:
        yield from (*self._plain, *self._rounded)

    def __len__(self) -> int:
        return len(self._plain) + len(self._rounded)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Give the shape of each weight, by name; that of a matrix whose scales do not fit it is no shape of any."""
        rounded = {
            name: array.shape if scale.shape == array.shape[:1] else ()
            for name, (array, scale) in self._rounded.items()
        }
        return {name: array.shape for name, array in self._plain.items()} | rounded


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint's folder: configuration, weights by name (float32), tokenizer and calibration."""

    name: str
    config: HybridConfig
    weights: Mapping[str, FloatArray]
    tokenizer: Tokenizer
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    """By the name of the label set; some or all may be missing."""
    promises: Mapping[str, Promise] = field(default_factory=dict)
    """By the same."""
    settled: Mapping[str, SettledThreshold] = field(default_factory=dict)
    """By the same."""
    spans: Mapping[str, SpanConfidence] = field(default_factory=dict)
    """By the same."""

    def identity(self) -> bytes:
        """Give the hash (8 bytes) of configuration, weights and tokenizer; the calibration is not part of it."""
        digest = blake2b(self.config.identity_bytes() + self.tokenizer.to_str().encode(), digest_size=8)
        for name in sorted(self.weights):
            digest.update(name.encode())
            for part in self._parts(name):
                digest.update(np.ascontiguousarray(part).data)
        return digest.digest()

    def _parts(self, name: str) -> Iterator[FloatArray]:
        """Give one weight in float32; a stored word table in parts, because it is large and never needed in full."""
        if name != _WORDS or not isinstance(self.weights, StoredWeights):
            yield self.weights[name]
            return
        table, scale = self.weights.words, self.weights.scale
        for i in range(0, len(table), _ROWS_AT_ONCE):
            yield restore_rows(table[i : i + _ROWS_AT_ONCE], scale[i : i + _ROWS_AT_ONCE])

    def word_table(self) -> tuple[NDArray[np.generic], FloatArray | None]:
        """Give the word table (V, width): int8 and its rows' float32 scales (V,) as stored; else float32 and None."""
        if isinstance(self.weights, StoredWeights):
            return self.weights.words, self.weights.scale
        return self.weights[_WORDS], None

    def stability_heads(self) -> list[StabilityWeights | None]:
        """Give the stability head of each label set, in their order; None if it has none."""
        if not self.config.stability:
            return [None] * len(self.config.label_sets)
        parts = "label.weight", "features.weight", "out.weight", "out.bias"
        return [
            StabilityWeights(*(np.ascontiguousarray(self.weights[f"stability.{i}.{part}"]) for part in parts))
            for i in range(len(self.config.label_sets))
        ]

    def span_models(self) -> list[SpanModel | None]:
        """Give the span model of each label set, in their order: calibrated, else as trained; None if it has none."""
        models: list[SpanModel | None] = []
        for i, (name, labels) in enumerate(self.config.label_sets.items()):
            weights: Any = None
            if name in self.spans:
                weights = self.spans[name].weights
            elif self.config.stability and self.config.spans:
                weights = self.weights[f"stability.{i}.spans"]
            types = {name: number for number, name in enumerate(span_types(labels))}
            models.append(None if weights is None else SpanModel(np.ascontiguousarray(weights, np.float32), types))
        return models

    def single_head(self, head: str) -> "Checkpoint":
        """Make a checkpoint with one of several heads: its labels, stability head, text scores and calibration."""
        names = [*self.config.taggers]
        number, labels = names.index(head), self.config.taggers[head]
        first = sum(len(self.config.taggers[name]) for name in names[:number])
        own = f"stability.{number}.", f"text_scores.{number}."
        given = self.weights.arrays if isinstance(self.weights, StoredWeights) else self.weights
        weights = {k: v for k, v in given.items() if not k.startswith(("head.", "stability.", "text_scores."))}
        for part in ("weight", "bias"):
            weights[f"head.{part}"] = given[f"head.{part}"][first : first + len(labels)]
        weights |= {k.replace(f".{number}.", ".0.", 1): v for k, v in given.items() if k.startswith(own)}
        scores = {"": self.config.text_scores[head]} if head in self.config.text_scores else {}
        config = msgspec.structs.replace(self.config, labels=labels, taggers={}, text_scores=scores)
        known = {"": self.calibration[head]} if head in self.calibration else {}
        promises = {"": self.promises[head]} if head in self.promises else {}
        settled = {"": self.settled[head]} if head in self.settled else {}
        spans = {"": self.spans[head]} if head in self.spans else {}
        kept: Mapping[str, FloatArray] = StoredWeights(weights) if isinstance(self.weights, StoredWeights) else weights
        return Checkpoint(head, config, kept, self.tokenizer, known, promises, settled, spans)

    def tensors(self) -> "dict[str, Tensor]":
        """Copy the weights to torch, float32, on the CPU."""
        import torch

        return {name: torch.from_numpy(np.array(self.weights[name], np.float32)) for name in self.weights}

    def dense_model(self) -> "HybridModel":
        """Make the dense model with these weights, in evaluation mode, float32, on the CPU; needs torch."""
        from encoder.model.dense import HybridModel

        model = HybridModel(self.config)
        model.load_state_dict({name: x for name, x in self.tensors().items() if not name.endswith(".spans")})
        return model.eval()


def head_columns(config: HybridConfig, weights: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Give weight (columns, H) and bias (columns,) as `HybridConfig.columns` has them."""
    counts = [len(labels) for labels in config.label_sets.values()]
    found: list[FloatArray] = []
    for name in ("weight", "bias"):
        parts: list[FloatArray] = []
        labels = np.split(weights[f"head.{name}"], np.cumsum(counts)[:-1])
        for i, (tagger, own) in enumerate(zip(config.label_sets, labels, strict=True)):
            parts.append(own)
            if config.stability:
                parts.append(weights[f"stability.{i}.hidden.{name}"])
            if tagger in config.text_scores:
                parts.append(weights[f"text_scores.{i}.{name}"])
        found.append(np.concatenate(parts))
    return found[0], found[1]


def weight_shapes(config: HybridConfig) -> dict[str, tuple[int, ...]]:
    """Give the shape of each weight of a checkpoint with this configuration, by name."""
    hidden, wide, table = config.hidden, config.intermediate, config.table_width
    shapes: dict[str, tuple[int, ...]] = {
        _WORDS: (config.word_rows, table), "position.weight": (config.positions, table)
    }  # fmt: skip

    def linear(name: str, outputs: int, inputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.weight": (width,), f"{name}.bias": (width,)})

    norm("norm", table)
    if config.segment_starts:
        shapes[_START] = (table,)
    if config.embedding is not None:
        linear("project", hidden, config.embedding)
    for i in range(config.layers):
        layer = f"layers.{i}."
        linear(layer + "qkv", 3 * hidden, hidden)
        linear(layer + "out", hidden, hidden)
        linear(layer + "ff_in", wide, hidden)
        linear(layer + "ff_out", hidden, wide)
        norm(layer + "norm1", hidden)
        norm(layer + "norm2", hidden)
        if config.sink:
            shapes[layer + "sink"] = (2, hidden)
    linear("head", config.scores, hidden)
    for i, name in enumerate(config.label_sets):
        if name in config.text_scores:
            linear(f"text_scores.{i}", 2 * len(config.text_scores[name]), hidden)
    for i, labels in enumerate(config.label_sets.values() if config.stability else ()):
        head = f"stability.{i}."
        linear(head + "hidden", config.stability, hidden)
        linear(head + "out", 2, config.stability)
        shapes[head + "label.weight"] = (len(labels), config.stability)
        shapes[head + "features.weight"] = (config.stability, FEATURES)
        if config.spans:
            shapes[head + "spans"] = (2, span_weights(labels))
    return shapes


def quantize_rows(table: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Quantise each row of a (V, H) table to int8 with its own scale; gives (V, H) int8 and (V,) float32."""
    scale = np.maximum(np.abs(table).max(axis=1), np.float32(1e-8)) / np.float32(127.0)
    return np.rint(table / scale[:, None]).astype(np.int8), scale


def restore_rows(numbers: NDArray[np.int8], scale: FloatArray) -> FloatArray:
    """Give the (V, H) float32 table that quantised rows stand for."""
    table: FloatArray = numbers.astype(np.float32) * scale[:, None]
    return table


def add_start_rows(
    table: NDArray[np.int8], scale: FloatArray, start: NDArray[Any]
) -> tuple[NDArray[np.int8], FloatArray]:
    """Append the rows of first tokens of segments to a word table of 8 bits.

    Args:
        table: (V, width) int8.
        scale: (V,) float32 of its rows.
        start: (width,) added to each row.

    Returns:
        (2 V, width) int8 and (2 V,) float32.
    """
    parts = [(table, scale)]
    for i in range(0, len(table), _ROWS_AT_ONCE):
        rows = restore_rows(table[i : i + _ROWS_AT_ONCE], scale[i : i + _ROWS_AT_ONCE])
        parts.append(quantize_rows(rows + start.astype(np.float32)))
    tables, scales = zip(*parts, strict=True)
    return np.concatenate(tables), np.concatenate(scales)


def _fits_start(stored: Mapping[str, NDArray[Any]], config: HybridConfig) -> bool:
    """Tell whether the rows of first tokens can be made; what does not fit is named by the checks of all weights."""
    width, start = config.table_width, stored[_START]
    fits = stored["word.int8"].shape == (config.vocab_size, width) and stored["word.scale"].shape == (
        config.vocab_size,
    )
    return fits and start.shape == (width,) and bool(np.isfinite(start).all())


def save_checkpoint(
    folder: Path, config: HybridConfig, weights: Mapping[str, Any], tokenizer: Tokenizer, *, eight_bits: bool = False
) -> None:
    """Write a checkpoint: word embeddings in 8 bits with one scale a row, everything else in half precision.

    `eight_bits`: the matrices of the layers are in 8 bits too. Linears of int8 round them in the same way, so there
    nothing is lost; the file has half the size.

    A calibration in the folder is deleted, because it is of other weights. `weights` are float32 arrays, or tensors of
    torch on any device.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CALIBRATION).unlink(missing_ok=True)
    stored: dict[str, NDArray[Any]] = {}
    for name in weights:
        weight = _to_array(weights[name])
        if name == _WORDS:
            weight = weight[: config.vocab_size]  # the rows of first tokens are made of them
        if name == _WORDS or (eight_bits and _MATRICES.fullmatch(name)):
            own = name.removesuffix(".weight")
            stored[own + _INT8], stored[own + _SCALE] = quantize_rows(weight)
        else:
            with np.errstate(over="ignore"):  # what is beyond half precision becomes infinite; callers check
                stored[name] = np.ascontiguousarray(weight.astype(np.float16))
    save_file(stored, folder / "model.safetensors")
    write_json(folder / "config.json", config)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def _to_array(weight: Any) -> FloatArray:
    """Give a tensor's or an array's numbers as float32."""
    given = weight.detach().float().cpu().numpy() if hasattr(weight, "detach") else weight
    array: FloatArray = np.asarray(given, np.float32)
    return array


def load_checkpoint(name: str, *, calibrated: bool = True) -> Checkpoint:
    """Load a shipped tagger by name, or a checkpoint folder by path, with its calibration.

    Raises:
        CheckpointError: a file is missing, damaged or does not fit the configuration, or the calibration is of other
            weights.
    """
    folder = find_checkpoint(name)
    config = read_config(folder)
    try:
        check_file(folder / "model.safetensors", WEIGHTS_BYTES)
        stored = load_file(folder / "model.safetensors")
        tokenizer = read_tokenizer_file(folder / "tokenizer.json")
        check_ids(tokenizer, config.vocab_size)
    except (OSError, SafetensorError, TokenizerError) as error:
        raise CheckpointError(f"checkpoint {folder}: {to_one_line(str(error))}") from error
    except (AttributeError, KeyError, TypeError) as error:  # what safetensors makes of types that numpy lacks
        raise CheckpointError(
            f"checkpoint {folder}: model.safetensors has numbers other than float16, float32 and int8"
        ) from error
    try:
        if config.segment_starts and _fits_start(stored, config):
            words = add_start_rows(stored["word.int8"], stored["word.scale"], stored[_START])
            stored["word.int8"], stored["word.scale"] = words
        weights = StoredWeights(stored)
    except KeyError as error:
        raise CheckpointError(f"checkpoint {folder}: model.safetensors lacks {error}") from error
    if weights.shapes() != weight_shapes(config):
        raise CheckpointError(f"checkpoint {folder}: the weights do not fit config.json; train or export it again")
    _check_numbers(folder, stored)
    checkpoint = Checkpoint(folder.name, config, weights, tokenizer)
    if not calibrated or not (folder / CALIBRATION).exists():
        return checkpoint
    try:
        found = read_calibration_file(folder, checkpoint.identity())
        check_spans(config, found.spans)
        return replace(
            checkpoint, calibration=found.taggers, promises=found.promises, settled=found.settled, spans=found.spans
        )
    except CalibrationError as error:
        raise CheckpointError(str(error)) from error


def _check_numbers(folder: Path, stored: Mapping[str, NDArray[Any]]) -> None:
    """Refuse weights of another type than is written, and numbers that would make every score NaN.

    Raises:
        CheckpointError: the message names the weight.
    """
    for name, weight in stored.items():
        if name.endswith(_INT8):
            good = weight.dtype == np.int8
        elif weight.dtype == np.float16:
            exponents = np.ascontiguousarray(weight).view(np.uint16) & 0x7C00  # ten times as fast as isfinite
            good = not (exponents == 0x7C00).any()
        else:
            good = weight.dtype == np.float32 and bool(np.isfinite(weight).all())
        if not good:
            raise CheckpointError(
                f"checkpoint {folder}: weight {name!r} ({weight.dtype}) is not finite, or not of the type that is "
                "written; train or export it again"
            )
