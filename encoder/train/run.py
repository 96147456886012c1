"""A whole training run: configuration in, checkpoint out, every stage resumable."""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer

from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.heads.span_model import span_weights
from encoder.model.config import ConfigError, HybridConfig
from encoder.model.dense import HybridModel, StabilityHead
from encoder.model.framed import FramedModel
from encoder.train.config import StabilityStage, TextSource, TrainConfig, read_train_config
from encoder.train.data.batches import TrainingExample, WordPieces, make_examples
from encoder.train.data.sequence import TextSequence, holdout_position
from encoder.train.data.text import LabelledCorpus, label_names, read_source, score_names
from encoder.train.stages.dev_score import score_dev
from encoder.train.stages.distill import distill_job, set_sinks
from encoder.train.stages.loop import console, run_stage
from encoder.train.stages.scaling import fit_scale
from encoder.train.stages.stability import HeldOutSource, train_stability
from encoder.train.stages.tagger import tagger_job
from encoder.train.start import MINILM, load_start, read_pretrained

LabelSets = dict[str, tuple[str, ...]]
"""Label names by tagger."""


def run_training(config: TrainConfig) -> Path:
    """Run the stages that the configuration asks for; writes `out/base`, `out/tagger`, `out/stable`; gives the last.

    A stage whose checkpoint exists is not run again; a killed stage goes on where it was saved.

    Raises:
        ConfigError: the configuration or the data it names cannot be used.
        CheckpointError: `start` names a folder that cannot be read.
    """
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    keep_to_one_thread()
    written = out
    if config.distill:
        written = out / "base"
        if not _is_written(written):
            _distill(config, out, written)
    if config.tagger:
        start = str(written) if config.distill else config.start
        written = out / "tagger"
        if not _is_written(written):
            _tag(config, start, out)
        if config.stability:
            written = out / "stable"
            if not _is_written(written):
                _train_stability_heads(config, config.stability, start, out, written)
    console.print(f"checkpoint: {written}", highlight=False)
    return written


def _is_written(folder: Path) -> bool:
    return (folder / "config.json").exists()


def keep_to_one_thread() -> None:
    """Compute on one thread unless OMP_NUM_THREADS is set: two threads collapse when another process is busy."""
    if torch.get_num_threads() > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def _shape(
    config: TrainConfig, label_sets: LabelSets, start: str, text_scores: LabelSets | None = None
) -> HybridConfig:
    """Take the shape from the checkpoint that training starts from, or from the run's configuration."""
    scores = text_scores or {}
    marks = config.segment_starts and text_scores is not None  # text without segments is distilled
    alone = [*label_sets] == [""]
    labels, taggers = (label_sets[""], {}) if alone else (("O",), label_sets)
    if read_pretrained(start) is not None:
        own = HybridConfig(
            layers=config.layers, causal_layers=config.causal_layers, window=config.window, sink=config.sink
        )
        own = msgspec.structs.replace(own, segment_starts=marks)
    else:
        own = msgspec.structs.replace(load_checkpoint(start).config, stability=0, spans=False)
        own = msgspec.structs.replace(own, segment_starts=marks or own.segment_starts)
    return msgspec.structs.replace(own, labels=labels, taggers=taggers, text_scores=scores)


def _distill(config: TrainConfig, out: Path, written: Path) -> None:
    assert config.distill
    shape = _shape(config, {"": ("O",)}, config.start)
    student, tokenizer = load_start(config.start, shape, spread=config.spread)
    student.head.requires_grad_(False)
    texts = [sequence for source in config.texts for sequence in read_source(source)]
    console.print(f"distill: {len(texts):,} sequences, C = {shape.causal_layers}", highlight=False)
    pieces = WordPieces(tokenizer, shape.labels)
    teacher = _original(config, shape)
    _set_sinks(config, config.start, student, pieces, texts)
    run_stage(distill_job(student, teacher, pieces, texts, config.distill), out, config.seed, config.save_seconds)
    save_checkpoint(written, shape, student.state_dict(), tokenizer)


def _original(config: TrainConfig, shape: HybridConfig) -> HybridModel | FramedModel:
    """Make the bidirectional model that the distillation imitates; between special tokens if there is a sink."""
    pretrained = read_pretrained(config.original or config.start) or read_pretrained(MINILM)
    assert pretrained is not None
    layers = pretrained.layers if config.spread else shape.layers
    if shape.sink:
        return pretrained.teacher(layers)
    teacher = HybridModel(msgspec.structs.replace(shape, causal_layers=0, layers=layers))
    teacher.load_state_dict(pretrained.hybrid_weights(teacher.config), strict=False)
    return teacher


def _set_sinks(
    config: TrainConfig, start: str, model: HybridModel, pieces: WordPieces, texts: list[TextSequence]
) -> None:
    """Start the sinks of a model that was made of a pretrained encoder; those of a checkpoint are learned already."""
    if model.config.sink and (pretrained := read_pretrained(start)) is not None:
        layers = pretrained.layers if config.spread else model.config.layers
        set_sinks(model, pretrained.teacher(layers), pieces, texts)


def _tag(config: TrainConfig, start: str, out: Path) -> None:
    data, dev = (read_labelled(config, sources) for sources in (config.trained, config.dev))
    label_sets, text_scores = _label_sets(config, data), _text_scores(config, data)  # of all data, held back or not
    if config.stability and not config.stability.folds:
        held = config.stability.held
        data = _select(data, lambda s: holdout_position(s, config.seed) >= held)
    if not any(data.sequences):
        raise ConfigError("training configuration: no text is left to train on; give more, or hold less back")
    _tune(config, label_sets, text_scores, data, dev, start, out)


def _tune(
    config: TrainConfig,
    label_sets: LabelSets,
    text_scores: LabelSets,
    data: LabelledCorpus,
    dev: LabelledCorpus,
    start: str,
    out: Path,
) -> None:
    """Train the taggers of the run on some of its data; writes `out/tagger`."""
    assert config.tagger
    shape = _shape(config, label_sets, start, text_scores)
    model, tokenizer = load_start(start, shape, spread=config.spread, blend=config.blend, share=config.blend_share)
    for name, labels in label_sets.items():
        console.print(f"tagger {name}: labels {', '.join(labels)}", highlight=False)
        if name in text_scores:
            console.print(f"tagger {name}: text scores {', '.join(text_scores[name])}", highlight=False)
    console.print(f"tagger: {sum(map(len, data.sequences)):,} sequences", highlight=False)
    pieces = make_pieces(tokenizer, shape)
    _set_sinks(config, start, model, pieces, [x for part in data.sequences for x in part])
    job = tagger_job(model, pieces, data, dev, config.tagger, _teachers(config, label_sets))
    run_stage(job, out, config.seed, config.save_seconds)
    first = 0
    for name, labels in label_sets.items():
        with torch.no_grad():
            model.head.bias[first] -= config.against_o.get(name, 0.0)
        first += len(labels)
    save_checkpoint(out / "tagger", shape, model.state_dict(), tokenizer, eight_bits=config.eight_bits)


def _train_stability_heads(config: TrainConfig, options: StabilityStage, start: str, out: Path, written: Path) -> None:
    """Train the stability heads, and write the taggers with them."""
    texts_of = read_train_config(Path(options.data)) if options.data else config
    if texts_of.taggers != config.taggers or texts_of.seed != config.seed:
        raise ConfigError(f"[stability]: data = {options.data!r} has other taggers or another seed than the run")
    data = read_labelled(texts_of, texts_of.trained)
    final = load_checkpoint(str(out / "tagger"))
    label_sets = final.config.label_sets
    if options.folds:
        held = [_fold(config, label_sets, data, start, out, k) for k in range(options.folds)]
    else:
        held = [(out / "tagger", _select(data, lambda s: holdout_position(s, config.seed) < options.held))]
    pieces = make_pieces(final.tokenizer, final.config)
    weights = final.tensors()
    if final.config.text_scores:
        scored = [*held]
        if options.scores_on_dev:
            scored.append((out / "tagger", read_labelled(config, config.dev)))
        weights |= calibrate_text_scores(config, scored, pieces)
    for number, (name, labels) in enumerate(label_sets.items()):
        if len(labels) == 1:  # text scores only
            head = StabilityHead(final.config.hidden, 1, options.units).state_dict()
            weights |= {f"stability.{number}.{key}": value for key, value in head.items()}
            weights[f"stability.{number}.spans"] = torch.zeros(2, span_weights(labels))
            continue
        limit = final.config.positions
        texts = [(folder, _texts(config, pieces, part, number, limit)) for folder, part in held]
        known = [
            None if source.known is None else frozenset(source.known)
            for source, of in zip(data.sources, data.taggers, strict=True)
            if of == number
        ]
        sources = [HeldOutSource(load_checkpoint(str(folder)), examples, known) for folder, examples in texts]
        if not all(source.examples for source in sources):
            raise ConfigError(f"[stability]: no text is held back for tagger {name!r}: raise `held`, or use `folds`")
        trained = train_stability(sources, number, len(labels), options, config.seed)
        weights |= {f"stability.{number}.{key}": value for key, value in trained.head.state_dict().items()}
        weights[f"stability.{number}.spans"] = torch.from_numpy(trained.spans)
    shape = msgspec.structs.replace(final.config, stability=options.units, spans=True)
    save_checkpoint(written, shape, weights, final.tokenizer, eight_bits=config.eight_bits)


def _fold(
    config: TrainConfig, label_sets: LabelSets, data: LabelledCorpus, start: str, out: Path, k: int
) -> tuple[Path, LabelledCorpus]:
    """Train a tagger without fold `k`; returns its folder and the fold."""
    assert config.tagger
    assert config.stability
    folds, epochs = config.stability.folds, config.stability.fold_epochs or config.tagger.epochs

    def inside(sequence: TextSequence) -> bool:
        return int(holdout_position(sequence, config.seed) * folds) == k

    folder = out / f"fold{k + 1}"
    if not _is_written(folder / "tagger"):
        folder.mkdir(exist_ok=True)
        rest = _select(data, lambda s: not inside(s))
        own = msgspec.structs.replace(config, tagger=msgspec.structs.replace(config.tagger, epochs=epochs))
        _tune(own, label_sets, _text_scores(config, data), rest, LabelledCorpus((), [], ()), start, folder)
    return folder / "tagger", _select(data, inside)


def _texts(
    config: TrainConfig, pieces: WordPieces, part: LabelledCorpus, tagger: int, limit: int
) -> list[TrainingExample]:
    """Texts of one tagger as they are met live, of at most `limit` tokens: spoken and joined as in training."""
    assert config.tagger
    sequences = [x for x, number in zip(part.sequences, part.taggers, strict=True) if number == tagger]
    rng = random.Random(f"{config.seed}-texts-{tagger}")
    augment = config.tagger.augment
    examples = make_examples(pieces, sequences, augment, limit, rng, [tagger] * len(sequences))
    if augment.sessions:
        return examples
    return [replace(x, sentence=np.zeros_like(x.sentence)) for x in examples]  # joined as running speech: one segment


def _select(data: LabelledCorpus, wanted: Callable[[TextSequence], bool]) -> LabelledCorpus:
    return LabelledCorpus(data.sources, [[s for s in part if wanted(s)] for part in data.sequences], data.taggers)


def _label_sets(config: TrainConfig, data: LabelledCorpus) -> LabelSets:
    parts = [*zip(data.sequences, data.taggers, strict=True)]
    return {
        name: label_names([s for part, n in parts if n == number for s in part])
        for number, name in enumerate(config.taggers)
    }


def _text_scores(config: TrainConfig, data: LabelledCorpus) -> LabelSets:
    """Collect the text scores of the taggers that have any."""
    parts = [*zip(data.sequences, data.taggers, strict=True)]
    found = {
        name: score_names([s for part, n in parts if n == number for s in part])
        for number, name in enumerate(config.taggers)
    }
    return {name: scores for name, scores in found.items() if scores}


def make_pieces(tokenizer: Tokenizer, shape: HybridConfig) -> WordPieces:
    """Make word pieces that number labels and text scores as a model of this shape does."""
    scores = [shape.text_scores.get(name, ()) for name in shape.label_sets]
    return WordPieces(tokenizer, *shape.label_sets.values(), text_scores=scores)


def calibrate_text_scores(
    config: TrainConfig, held: Sequence[tuple[Path, LabelledCorpus]], pieces: WordPieces
) -> dict[str, torch.Tensor]:
    """Fit scale and shift of each text score on texts that were held back, and give the weights that include them.

    The texts are read alone and in sessions, written and spoken.
    """
    texts: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for folder, part in held:
        scored = [[x for x in sequences if x.scores] for sequences in part.sequences]
        for row in score_dev(load_checkpoint(str(folder)).dense_model(), pieces, replace(part, sequences=scored)):
            for name, pairs in row.texts.items():
                texts.setdefault((row.tagger, name), []).extend(pairs)
    final = load_checkpoint(str(Path(config.out) / "tagger"))
    weights = {name: x for name, x in final.tensors().items() if name.startswith("text_scores.")}
    for number, tagger in enumerate(final.config.label_sets):
        for i, name in enumerate(final.config.text_scores.get(tagger, ())):
            read = np.array(texts.get((number, name), []), np.float64).reshape(-1, 2)
            scale, shift = fit_scale(read[:, 0], read[:, 1])
            console.print(f"text score {name}: {len(read):,} texts, scale {scale:.2f}, shift {shift:+.2f}")
            weights[f"text_scores.{number}.weight"][i] *= scale
            weights[f"text_scores.{number}.bias"][i] = weights[f"text_scores.{number}.bias"][i] * scale + shift
    return weights


def read_labelled(config: TrainConfig, sources: tuple[TextSource, ...]) -> LabelledCorpus:
    """Read labelled sources, each for its tagger.

    Raises:
        ConfigError: a source cannot be read.
    """
    numbers = {name: i for i, name in enumerate(config.taggers)}
    return LabelledCorpus(sources, [read_source(x) for x in sources], tuple(numbers[x.tagger] for x in sources))


def _teachers(config: TrainConfig, label_sets: LabelSets) -> dict[int, HybridModel]:
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
        teachers[number] = checkpoint.dense_model()
    return teachers
