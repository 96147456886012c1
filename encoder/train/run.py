"""A whole training run: configuration in, checkpoint out, every stage resumable."""

import os
from pathlib import Path

import msgspec
import torch
from tokenizers import Tokenizer

from encoder.checkpoint import load_checkpoint, quantize_rows, save_checkpoint
from encoder.config import ConfigError, HybridConfig
from encoder.model import HybridModel
from encoder.train.batches import WordPieces
from encoder.train.config import TextSource, TrainConfig
from encoder.train.distill import distill_job
from encoder.train.loop import console, train
from encoder.train.minilm import minilm_tokenizer, minilm_weights
from encoder.train.tagger import Labelled, tagger_job
from encoder.train.text import label_names, read_source


def run_training(config: TrainConfig) -> Path:
    """Run the stages that the configuration asks for and write `out/base` and `out/tagger`; returns the last one.

    A stage whose checkpoint exists is not run again; a killed stage goes on where it was saved.

    Raises:
        ConfigError: the configuration or the data it names cannot be used.
        CheckpointError: `start` names a folder that cannot be read.
    """
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    if torch.get_num_threads() > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # engine.md: two OpenMP threads collapse when anything else is busy
    written = out
    if config.distill:
        written = out / "base"
        if not (written / "config.json").exists():
            _distill(config, out, written)
    if config.tagger:
        start = str(written) if config.distill else config.start
        written = out / "tagger"
        if not (written / "config.json").exists():
            _tag(config, start, out, written)
    console.print(f"checkpoint: {written}", highlight=False)
    return written


def _start(start: str, shape: HybridConfig) -> tuple[HybridModel, Tokenizer]:
    """Make a model of this shape from MiniLM or a checkpoint; the head is new, embeddings are frozen and as shipped."""
    if start == "minilm":
        tokenizer, weights = minilm_tokenizer(), minilm_weights(shape)
    else:
        checkpoint = load_checkpoint(start)
        tokenizer, weights = checkpoint.tokenizer, checkpoint.weights
    model = HybridModel(shape)
    weights = {k: v for k, v in weights.items() if not k.startswith("head.")}
    eight_bits, scale = quantize_rows(weights["word.weight"])
    weights["word.weight"] = eight_bits.float() * scale[:, None]  # train on what will be stored
    model.load_state_dict(weights, strict=False)
    torch.nn.init.normal_(model.head.weight, std=0.02)
    torch.nn.init.zeros_(model.head.bias)
    model.word.requires_grad_(False)
    model.position.requires_grad_(False)
    return model, tokenizer


def _shape(config: TrainConfig, label_sets: dict[str, tuple[str, ...]], start: str) -> HybridConfig:
    """Take the shape from the checkpoint that training starts from, or from the run's configuration."""
    alone = [*label_sets] == [""]
    labels, taggers = (label_sets[""], {}) if alone else (("O",), label_sets)
    if start == "minilm":
        own = HybridConfig(layers=config.layers, causal_layers=config.causal_layers, window=config.window)
        return msgspec.structs.replace(own, labels=labels, taggers=taggers)
    return msgspec.structs.replace(load_checkpoint(start).config, labels=labels, taggers=taggers, stability=0)


def _distill(config: TrainConfig, out: Path, written: Path) -> None:
    assert config.distill
    shape = _shape(config, {"": ("O",)}, config.start)
    student, tokenizer = _start(config.start, shape)
    student.head.requires_grad_(False)
    teacher = HybridModel(msgspec.structs.replace(shape, causal_layers=0))
    teacher.load_state_dict({**minilm_weights(teacher.config), **student.head.state_dict(prefix="head.")})
    texts = [sequence for source in config.texts for sequence in read_source(source)]
    console.print(f"distill: {len(texts):,} sequences, C = {shape.causal_layers}", highlight=False)
    pieces = WordPieces(tokenizer, shape.labels)
    train(distill_job(student, teacher, pieces, texts, config.distill), out, config.seed, config.save_seconds)
    save_checkpoint(written, shape, student.state_dict(), tokenizer)


def _tag(config: TrainConfig, start: str, out: Path, written: Path) -> None:
    assert config.tagger
    data, dev = (read_labelled(config, sources) for sources in (config.train, config.dev))
    label_sets = {
        name: label_names(
            [s for part, n in zip(data.sequences, data.taggers, strict=True) for s in part if n == number]
        )
        for number, name in enumerate(config.taggers)
    }
    shape = _shape(config, label_sets, start)
    model, tokenizer = _start(start, shape)
    for name, labels in label_sets.items():
        console.print(f"tagger {name}: labels {', '.join(labels)}", highlight=False)
    console.print(f"tagger: {sum(map(len, data.sequences)):,} sequences", highlight=False)
    teachers = _teachers(config, label_sets)
    job = tagger_job(model, WordPieces(tokenizer, *label_sets.values()), data, dev, config.tagger, teachers)
    train(job, out, config.seed, config.save_seconds)
    save_checkpoint(written, shape, model.state_dict(), tokenizer)


def read_labelled(config: TrainConfig, sources: tuple[TextSource, ...]) -> Labelled:
    """Read labelled sources, each for its tagger.

    Raises:
        ConfigError: a source cannot be read.
    """
    numbers = {name: i for i, name in enumerate(config.taggers)}
    return Labelled(sources, [read_source(x) for x in sources], tuple(numbers[x.tagger] for x in sources))


def _teachers(config: TrainConfig, label_sets: dict[str, tuple[str, ...]]) -> dict[int, HybridModel]:
    folders = config.teacher if isinstance(config.teacher, dict) else {"": config.teacher}
    teachers = {}
    for number, (name, labels) in enumerate(label_sets.items()):
        if not folders.get(name):
            continue
        checkpoint = load_checkpoint(folders[name])
        if checkpoint.config.labels != labels:
            raise ConfigError(
                f"teacher {folders[name]} has other labels than the data: {', '.join(checkpoint.config.labels)}"
            )
        teachers[number] = checkpoint.model()
    return teachers
