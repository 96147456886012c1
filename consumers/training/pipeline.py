"""Training pipeline of `hearken train FOLDER`: tagger and stability head, calibration, evaluation, model card.

Each stage writes its result into the run's folder and is skipped if the result exists, so the same command resumes a
run that was killed.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from consumers.training.model_card import ModelCard
from consumers.training.text_labels import measure_text_labels
from encoder.checkpoints.calibration import save_calibration
from encoder.checkpoints.checkpoint import load_checkpoint
from encoder.checkpoints.huggingface.minilm import minilm_folder
from encoder.files import replace_file, write_json
from encoder.model.config import ConfigError
from encoder.restart.policy_text import DEFAULT_PRICE, resolve_policy
from encoder.tagger import load_tagger
from encoder.train.data.folder import TrainingFolder, count_words, read_folder
from encoder.train.recipe import TrainRecipe, write_run
from encoder.train.run import run_training
from encoder.train.stages.loop import console
from stream.evaluation.calibration.calibrate import CalibrationReport, CalibrationTask, count_unit_rows, run_calibration
from stream.evaluation.calibration.risk_control import Counts, units_needed
from stream.evaluation.metrics.report import EvaluationReport
from stream.evaluation.per_type import score_types
from stream.evaluation.plots.reliability import plot_reliability
from stream.evaluation.policy_evaluation import EvaluationTask, run_evaluation
from stream.evaluation.replay.examples import LabelledFile, LabelledText

CARD = "README.md"
CHECKPOINT = ("model.safetensors", "tokenizer.json", "config.json")
"""Copied in this order: a folder with a `config.json` counts as a checkpoint."""

DELTAS = (0.01, 0.02, 0.03, 0.05, 0.1)
MARGIN = 1.3
"""Factor on the units needed by a threshold of zero loss, because real thresholds lose something."""


@dataclass(frozen=True)
class TrainingOrder:
    """Settings of one training run."""

    folder: Path
    out: Path
    recipe: TrainRecipe
    delta: float | None
    """None: the strictest of `DELTAS` that the size of dev allows."""
    epsilon: float
    command: str
    """Command line, for the card."""


def train_folder(order: TrainingOrder) -> Path:
    """Run all stages; returns the checkpoint's folder, which is `order.out`.

    Raises:
        ConfigError: the data or a setting is invalid, or `out` holds another run.
        CheckpointError: the start checkpoint does not exist or is invalid.
    """
    _check(order)
    corpus = read_folder(order.folder, order.recipe.seed)
    config = write_run(corpus, order.recipe, order.out)
    _print_data(corpus, order.out)
    if (order.out / CARD).exists():
        if corpus.labels:
            _read_calibration(order, order.out / "calibrate.json")
        _stage("done already: all stages are complete")
        return order.out
    _stage("1 of 4: the tagger and its stability head")
    _copy_checkpoint(run_training(config), order.out)
    measured = "test" if "test" in corpus.parts else "dev"
    calibration = _calibrate(order) if corpus.labels else None
    card = ModelCard(
        name=order.out.name,
        command=order.command,
        start=order.recipe.start,
        corpus=corpus,
        calibration=calibration,
        evaluation=_evaluate(order, measured) if corpus.labels else None,
        types=score_types(load_tagger(str(order.out)), _examples(order, measured)) if corpus.labels else (),
        text_labels=measure_text_labels(
            order.out,
            order.out / "data" / f"{measured}.conll",
            corpus.text_labels,
            written=order.recipe.written,
        )
        if corpus.text_labels
        else (),
        measured=measured,
        written=order.recipe.written,
    )
    _stage(f"4 of 4: the model card, {order.out / CARD}")
    replace_file(order.out / CARD, card.text().encode())
    for left in (order.out / "work").rglob("*.state.pt"):
        left.unlink()  # states of killed stages; many times as large as the tagger
    return order.out


def _check(order: TrainingOrder) -> None:
    """Check the settings before the first hour of work."""
    for name, value in (("delta", order.delta), ("epsilon", order.epsilon)):
        if value is not None and not 0 < value < 1:
            raise ConfigError(f"--{name} must be between 0 and 1, not {value:g}")
    if order.recipe.start == "minilm":
        minilm_folder()
    else:
        load_checkpoint(order.recipe.start, calibrated=False)
    if (order.out / "config.json").exists() and not (order.out / "train.toml").exists():
        raise ConfigError(f"{order.out} is a checkpoint that no such run made: give another --out")


def _print_data(corpus: TrainingFolder, out: Path) -> None:
    for role, sequences in corpus.parts.items():
        files = ", ".join(corpus.files.get(role, ("split off",)))
        _print(f"{role}: {len(sequences):,} sequences, {count_words(sequences):,} words ({files})")
    if corpus.labels:
        _print(f"labels: {', '.join(corpus.labels)}")
    if corpus.text_labels:
        _print(f"labels of whole texts: {', '.join(corpus.text_labels)}")
    for note in corpus.notes:
        _print(f"note: {note}")
    _print(f"configuration: {out / 'train.toml'}")


def _copy_checkpoint(trained: Path, out: Path) -> None:
    """Copy the trained checkpoint into the run's folder, whose name is the tagger's name in every revision."""
    if (out / CHECKPOINT[-1]).exists():
        return
    for name in CHECKPOINT:
        replace_file(out / name, (trained / name).read_bytes())


def _calibrate(order: TrainingOrder) -> CalibrationReport:
    """Calibrate the threshold, or print why this is not possible; the tagger works without one."""
    path = order.out / "calibrate.json"
    if path.exists():
        return _read_calibration(order, path)
    _stage("2 of 4: calibration on dev")
    task = CalibrationTask(
        tagger=str(order.out),
        data=order.out / "data" / "dev.conll",
        epsilon=order.epsilon,
        spoken=not order.recipe.written,
    )
    report = run_calibration(
        msgspec.structs.replace(task, delta=order.delta or pick_delta(count_unit_rows(task), order.epsilon))
    )
    if report.chosen:
        checkpoint = load_checkpoint(str(order.out), calibrated=False)
        save_calibration(order.out, checkpoint.identity(), {"": report.chosen})
        plot_reliability(report, order.out / "reliability.png")
    else:
        _print(f"calibration {report.refusal()}")
        _print(f"the tagger works all the same, with the default policy {DEFAULT_PRICE}, without any guarantee")
    write_json(path, report)
    return report


def _read_calibration(order: TrainingOrder, path: Path) -> CalibrationReport:
    report = msgspec.json.decode(path.read_bytes(), type=CalibrationReport)
    if (report.delta, report.epsilon) != (order.delta or report.delta, order.epsilon):
        command = f"hearken calibrate --tagger {order.out} --data {order.out / 'data' / 'dev.conll'}"
        raise ConfigError(
            f"{order.out} was calibrated with --delta {report.delta:g} --epsilon {report.epsilon:g}; give "
            f"another --out, or calibrate it again: {command}"
        )
    return report


def pick_delta(rows: Counts, epsilon: float) -> float:
    """Pick the strictest delta of `DELTAS` that is attainable with `rows` rows in each unit, (units,).

    It depends on the lengths only, not on labels, so the guarantee stays valid.
    """
    nothing = np.zeros_like(rows)
    needed = ((delta, units_needed(nothing, rows, delta, epsilon)) for delta in DELTAS)
    return next((delta for delta, units in needed if units and MARGIN * units <= len(rows)), DELTAS[-1])


def _evaluate(order: TrainingOrder, measured: str) -> EvaluationReport:
    path = order.out / "evaluation.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=EvaluationReport)
    _stage(f"3 of 4: evaluation on {measured}")
    policy = resolve_policy("default", load_tagger(str(order.out)).default_policy)
    task = EvaluationTask(
        data=order.out / "data" / f"{measured}.conll",
        taggers=(str(order.out),),
        policies=("always", policy),
        spoken=not order.recipe.written,
    )
    report = run_evaluation(task, order.command)
    write_json(path, report)
    return report


def _examples(order: TrainingOrder, measured: str) -> list[LabelledText]:
    labels = load_checkpoint(str(order.out)).config.labels
    path = order.out / "data" / f"{measured}.conll"
    return LabelledFile(data=path, spoken=not order.recipe.written).read_examples(labels)


def _stage(text: str) -> None:
    _print(f"== {text}")


def _print(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
