"""Checkpoints: a folder of `config.json`, `model.safetensors`, `tokenizer.json` and perhaps `calibration.json`.

No file of it can contain code that is run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from encoder.checkpoints.calibration import FILE as CALIBRATION
from encoder.checkpoints.calibration import Calibration, CalibrationError, load_calibration
from encoder.checkpoints.location import CheckpointError, find_checkpoint, read_config
from encoder.files import check_file, to_one_line, write_json
from encoder.heads.stability_head import StabilityHead
from encoder.model.config import HybridConfig
from encoder.model.dense import HybridModel
from encoder.tokenizer.base import TokenizerError
from encoder.tokenizer.reading import check_ids, read_tokenizer_file

WEIGHTS_BYTES = 8 << 30
"""Limit of `model.safetensors`: four bytes for each of the most parameters that a configuration may have."""
_WORDS = "word.weight"


class StoredWeights(Mapping[str, Tensor]):
    """Weights as a checkpoint stores them, in 8 and 16 bits and mapped from its file; items are float32."""

    def __init__(self, stored: Mapping[str, Tensor]) -> None:
        """Wrap stored tensors; raises KeyError if the word table is missing."""
        self._stored = {name: tensor for name, tensor in stored.items() if not name.startswith("word.")}
        self.words, self.scale = stored["word.int8"], stored["word.scale"]

    def __getitem__(self, name: str) -> Tensor:
        return self.words.float() * self.scale[:, None] if name == _WORDS else self._stored[name].float()

    def __iter__(self) -> Iterator[str]:
        yield from (*self._stored, _WORDS)

    def __len__(self) -> int:
        return len(self._stored) + 1

    def shapes(self) -> dict[str, torch.Size]:
        """Give the shape of each weight, by name."""
        return {name: tensor.shape for name, tensor in self._stored.items()} | {_WORDS: self.words.shape}


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint's folder: configuration, weights by name (float32), tokenizer and calibration."""

    name: str
    config: HybridConfig
    weights: Mapping[str, Tensor]
    tokenizer: Tokenizer
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    """By the name of the label set; some or all may be missing."""

    def identity(self) -> bytes:
        """Give the hash (8 bytes) of configuration, weights and tokenizer; the calibration is not part of it."""
        digest = blake2b(self.config.identity_bytes() + self.tokenizer.to_str().encode(), digest_size=8)
        for name in sorted(self.weights):
            digest.update(name.encode())
            for part in self._parts(name):
                digest.update(part.contiguous().numpy().data)
        return digest.digest()

    def _parts(self, name: str) -> Iterator[Tensor]:
        """Give one weight in float32; a stored word table in parts, because it is large and never needed in full."""
        if name != _WORDS or not isinstance(self.weights, StoredWeights):
            yield self.weights[name]
            return
        table, scale = self.weights.words, self.weights.scale
        for i in range(0, len(table), 1024):
            yield table[i : i + 1024].float() * scale[i : i + 1024, None]

    def word_table(self) -> tuple[Tensor, Tensor | None]:
        """Give the word table (V, width): int8 and its rows' float32 scales (V,) as stored; else float32 and None."""
        if isinstance(self.weights, StoredWeights):
            return self.weights.words, self.weights.scale
        return self.weights[_WORDS], None

    def stability_heads(self) -> list[StabilityHead | None]:
        """Make the stability head of each label set, in their order; None if it has none."""
        heads: list[StabilityHead | None] = []
        for i, labels in enumerate(self.config.label_sets.values()):
            if not self.config.stability:
                heads.append(None)
                continue
            head, own = StabilityHead(self.config.hidden, len(labels), self.config.stability), f"stability.{i}."
            head.load_state_dict({k.removeprefix(own): self.weights[k] for k in self.weights if k.startswith(own)})
            heads.append(head.eval())
        return heads

    def single_head(self, head: str) -> "Checkpoint":
        """Make a checkpoint with one of several heads: its labels, its stability head, its calibration."""
        names = [*self.config.taggers]
        number, labels = names.index(head), self.config.taggers[head]
        first = sum(len(self.config.taggers[name]) for name in names[:number])
        own = f"stability.{number}."
        given = self.weights._stored if isinstance(self.weights, StoredWeights) else self.weights
        weights = {k: v for k, v in given.items() if not k.startswith(("head.", "stability."))}
        for part in ("weight", "bias"):
            weights[f"head.{part}"] = given[f"head.{part}"][first : first + len(labels)]
        weights |= {"stability.0." + k.removeprefix(own): v for k, v in given.items() if k.startswith(own)}
        config = msgspec.structs.replace(self.config, labels=labels, taggers={})
        known = {"": self.calibration[head]} if head in self.calibration else {}
        kept: Mapping[str, Tensor] = weights
        if isinstance(self.weights, StoredWeights):
            kept = StoredWeights(weights | {"word.int8": self.weights.words, "word.scale": self.weights.scale})
        return Checkpoint(head, config, kept, self.tokenizer, known)

    def dense_model(self) -> HybridModel:
        """Make the dense model with these weights, in evaluation mode, float32, on the CPU."""
        model = HybridModel(self.config)
        model.load_state_dict(dict(self.weights))
        return model.eval()


def head_columns(config: HybridConfig, weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Give weight (columns, H) and bias (columns,): of each tagger its labels, then its stability head's units."""
    counts = [len(labels) for labels in config.label_sets.values()]
    found: list[list[Tensor]] = []
    for name in ("weight", "bias"):
        parts = list(torch.split(weights[f"head.{name}"], counts))
        if config.stability:
            parts = [x for i, part in enumerate(parts) for x in (part, weights[f"stability.{i}.hidden.{name}"])]
        found.append(parts)
    return torch.cat(found[0]), torch.cat(found[1])


def quantize_rows(table: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise each row of a (V, H) table to int8 with its own scale; gives (V, H) int8 and (V,) float32."""
    scale = table.abs().amax(dim=1).clamp(min=1e-8) / 127.0
    return (table / scale[:, None]).round().to(torch.int8), scale


def save_checkpoint(folder: Path, config: HybridConfig, weights: dict[str, Tensor], tokenizer: Tokenizer) -> None:
    """Write a checkpoint: word embeddings in 8 bits with one scale a row, everything else in half precision.

    A calibration in the folder is deleted, because it is of other weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CALIBRATION).unlink(missing_ok=True)
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name == "word.weight":
            stored["word.int8"], stored["word.scale"] = quantize_rows(tensor.detach().float().cpu())
        else:
            stored[name] = tensor.detach().to("cpu", torch.float16).contiguous()
    save_file(stored, folder / "model.safetensors")
    write_json(folder / "config.json", config)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def load_checkpoint(name: str, *, calibrated: bool = True) -> Checkpoint:
    """Load a shipped tagger by name, or a checkpoint folder by path, to float32 on the CPU; with its calibration.

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
    try:
        weights = StoredWeights(stored)
    except KeyError as error:
        raise CheckpointError(f"checkpoint {folder}: model.safetensors lacks {error}") from error
    with torch.device("meta"):  # only the shapes are needed
        expected = {key: value.shape for key, value in HybridModel(config).state_dict().items()}
    if weights.shapes() != expected:
        raise CheckpointError(f"checkpoint {folder}: the weights do not fit config.json; train or export it again")
    checkpoint = Checkpoint(folder.name, config, weights, tokenizer)
    if not calibrated or not (folder / CALIBRATION).exists():
        return checkpoint
    try:
        return replace(checkpoint, calibration=load_calibration(folder, checkpoint.identity()))
    except CalibrationError as error:
        raise CheckpointError(str(error)) from error
