"""Import of a transformers folder: gives a hybrid checkpoint and the measured loss of accuracy."""

import math
import shutil
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec
import torch
from tokenizers import Tokenizer
from torch import Tensor

from encoder.checkpoints.checkpoint import Checkpoint, load_checkpoint, quantize_rows, restore_rows, save_checkpoint
from encoder.checkpoints.huggingface.folder import ImportRefused
from encoder.files import write_json
from encoder.importing.distillation import heal_job, hold_out, read_unlabelled
from encoder.importing.fidelity import (
    FidelityGap,
    LabelPiece,
    ReferenceOutputs,
    RoundingError,
    measure_rounding,
    random_batches,
    text_batches,
)
from encoder.importing.source_model import SourceModel, default_causal_layers, make_hybrid, read_original
from encoder.model.config import ConfigError, HybridConfig
from encoder.model.dense import HybridModel
from encoder.train.config import AugmentConfig, StageConfig
from encoder.train.data.batches import TrainingBatch, WordPieces
from encoder.train.data.sequence import TextSequence
from encoder.train.run import keep_to_one_thread
from encoder.train.stages.loop import console, run_stage

REPORT = "import.json"
_UNDER_WAY = "healing"


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of an import."""

    folder: str
    out: str
    causal_layers: int | None = None
    """None: a third of the layers."""
    window: int | None = None
    """None: 128, or as much as the positions allow."""
    head: bool = True
    """Take a token-classification head."""
    label_piece: LabelPiece = "first"
    """Where the original's head was trained to read a word's label."""
    heal: str | None = None
    """File of unlabelled text."""
    epochs: float = 1.0
    """0 measures on the text but does not heal."""
    lr: float = 1e-4
    batch_tokens: int = 1024
    join: bool = True
    """Heal on neighbouring lines joined to random lengths, as a live session has segments before the present one."""
    seed: int = 1
    save_seconds: float = 60.0


class ImportStep(msgspec.Struct, frozen=True, kw_only=True):
    """How far from the original the model is after one step of the import, those before included."""

    name: str
    gap: FidelityGap


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of an import and its loss of accuracy."""

    source: str
    kind: str
    config: HybridConfig
    notes: tuple[str, ...]
    rounding: RoundingError
    rounded_on: Literal["held-out text", "random pieces"]
    held_out: tuple[int, int] | None
    """Sequences and words that the steps were measured on; None without text."""
    steps: tuple[ImportStep, ...]
    healed: bool


def run_import(options: ImportOptions) -> ImportReport:
    """Import a checkpoint and write `out`; a healing that was killed goes on where it was saved.

    Raises:
        ImportRefused: the folder cannot be imported, or `out` is taken.
        ConfigError: the options or the text cannot be used.
        TokenizerError: the tokenizer cannot follow live text.
        FloatingPointError: the healing's learning rate is too high.
    """
    out = Path(options.out)
    if not 0 < options.lr < 1:
        raise ConfigError(f"the learning rate must be between 0 and 1 (got {options.lr})")
    keep_to_one_thread()
    _check_out(out, _claim(options))
    original = read_original(Path(options.folder), with_head=options.head)
    layers = original.model.config.layers
    causal_layers = default_causal_layers(layers) if options.causal_layers is None else options.causal_layers
    config, weights = make_hybrid(original, causal_layers, options.window)
    report = _convert(options, original, config, weights)
    write_json(out / REPORT, report)
    shutil.rmtree(out / _UNDER_WAY, ignore_errors=True)
    return report


def _claim(options: ImportOptions) -> bytes:
    """Fingerprint of options and text, which a resumed distillation must share with the one that was killed."""
    text = Path(options.heal).read_bytes() if options.heal and Path(options.heal).is_file() else b""
    return msgspec.json.encode(options) + blake2b(text, digest_size=8).hexdigest().encode()


def _check_out(out: Path, claim: bytes) -> None:
    if out.exists() and not out.is_dir():
        raise ImportRefused(f"{out} is a file; name a folder")
    held = out / _UNDER_WAY / "claim"
    if held.exists():
        if held.read_bytes() != claim:
            raise ImportRefused(f"{out} was begun with other options or another text; delete it to start again")
    elif (out / "config.json").exists():
        raise ImportRefused(f"{out} holds a checkpoint already; name another folder, or delete it")


def _convert(
    options: ImportOptions, original: SourceModel, config: HybridConfig, weights: dict[str, Tensor]
) -> ImportReport:
    """Round, measure, heal, save."""
    out, tokenizer = Path(options.out), original.tokenizer
    pieces = WordPieces(tokenizer, config.labels)
    learned, held = hold_out(read_unlabelled(Path(options.heal)), options.seed) if options.heal else ([], [])
    batches = text_batches(held, pieces, config) if held else random_batches(config)
    exact = _model(config, weights)
    rounding = _measure_rounding(exact, tokenizer, batches, original.tagger)
    if held:
        console.print(f"measuring on {len(held):,} held-out sequences", highlight=False)
    yardstick = ReferenceOutputs(original, batches, options.label_piece) if held else None
    steps = _measure_steps(yardstick, original, exact, options.label_piece) if yardstick else []
    student = exact.cpu()
    healed = bool(learned) and options.epochs > 0
    if healed:
        _heal(options, original, student, pieces, learned)
    save_checkpoint(out, config, student.state_dict(), tokenizer)
    if yardstick:
        name = "healed and rounded" if healed else "rounded for storage"
        steps.append(ImportStep(name=name, gap=yardstick.gap(load_checkpoint(str(out.resolve())).dense_model())))
    return ImportReport(
        source=str(options.folder),
        kind=original.kind,
        config=config,
        notes=original.notes + (yardstick.notes if yardstick else ()),
        rounding=rounding,
        rounded_on="held-out text" if held else "random pieces",
        held_out=(len(held), yardstick.words) if yardstick else None,
        steps=tuple(steps),
        healed=healed,
    )


def _model(config: HybridConfig, weights: dict[str, Tensor]) -> HybridModel:
    model = HybridModel(config)
    model.load_state_dict(weights)
    return model.eval()


def _measure_rounding(
    exact: HybridModel, tokenizer: Tokenizer, batches: list[TrainingBatch], tagger: bool
) -> RoundingError:
    """Store the model, read it back, and compare."""
    with TemporaryDirectory() as folder:
        save_checkpoint(Path(folder), exact.config, exact.state_dict(), tokenizer)
        stored: Checkpoint = load_checkpoint(folder)
    rounding = measure_rounding(exact, stored.dense_model(), batches, tagger)
    if not math.isfinite(rounding.largest):
        raise ImportRefused("a weight is beyond half precision, in which checkpoints are stored")
    return rounding


def _measure_steps(
    yardstick: ReferenceOutputs, original: SourceModel, hybrid: HybridModel, label_piece: LabelPiece
) -> list[ImportStep]:
    """Measure the loss of each change from the source model, cumulatively, before distillation."""
    bare = _model(msgspec.structs.replace(hybrid.config, causal_layers=0), hybrid.state_dict())
    steps = [ImportStep(name="without special tokens", gap=yardstick.gap(bare, label_piece))]
    if original.tagger and label_piece != "last":
        steps.append(ImportStep(name="labels read at last pieces", gap=yardstick.gap(bare)))
    return [*steps, ImportStep(name=f"{hybrid.config.causal_layers} causal layers", gap=yardstick.gap(hybrid))]


def _heal(
    options: ImportOptions, original: SourceModel, student: HybridModel, pieces: WordPieces, learned: list[TextSequence]
) -> None:
    stored = restore_rows(*quantize_rows(student.word.weight.detach().numpy()))
    student.word.weight.data = torch.from_numpy(stored)  # heal what will be stored
    stage = StageConfig(
        epochs=options.epochs,
        lr=options.lr,
        batch_tokens=options.batch_tokens,
        dropout=0.0,
        augment=AugmentConfig(join=options.join),
    )
    console.print(f"heal: {len(learned):,} sequences, C = {student.config.causal_layers}", highlight=False)
    under_way = Path(options.out) / _UNDER_WAY
    under_way.mkdir(parents=True, exist_ok=True)
    (under_way / "claim").write_bytes(_claim(options))
    job = heal_job(student, original, pieces, learned, stage, options.label_piece)
    run_stage(job, under_way, options.seed, options.save_seconds)
