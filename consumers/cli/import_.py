"""`hearken import`: from a checkpoint of the BERT family to a hybrid, with a measurement of the loss."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from consumers.common.console import console, make_table, show_loading
from consumers.common.exit_codes import user_errors
from consumers.common.settings import setting
from encoder.torch_extra import require_torch

if TYPE_CHECKING:
    from rich.table import Table

    from encoder.importing.fidelity import RoundingError
    from encoder.importing.run import ImportReport

_model = partial(setting, panel="Model", variable=False)
_heal = partial(setting, panel="Healing", variable=False)


@dataclass(frozen=True, kw_only=True)
class ImportCommand:
    """Settings of `hearken import`."""

    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Checkpoint of BERT, RoBERTa, DistilBERT or ELECTRA: config.json, safetensors, tokenizer.",
        ),
    ]
    out: Annotated[Path, _model("Folder of the hybrid; every command accepts it as a tagger.")]
    causal_layers: Annotated[
        int | None, _model("Number of lower layers that are causal.", min=0, show_default="a third of all")
    ] = None
    window: Annotated[
        int | None, _model("Largest number of tokens that the upper layers attend to.", min=2, show_default="128")
    ] = None
    head: Annotated[bool, _model("Import the label head, if there is one.")] = True
    label_piece: Annotated[
        Literal["first", "last"], _model("Subword of a word at which the model was trained to predict its label.")
    ] = "first"
    heal: Annotated[
        Path | None,
        _heal(
            "Unlabelled text to heal and measure on: .txt (lines), .jsonl or .conll.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ] = None
    epochs: Annotated[float, _heal("Passes over the text; 0: measure only.", min=0.0)] = 1.0
    lr: Annotated[float, _heal("Learning rate.")] = 1e-4
    batch_tokens: Annotated[int, _heal("Tokens per batch.", min=16)] = 1024
    join: Annotated[bool, _heal("Join neighbouring lines, as live segments follow one another.")] = True
    seed: Annotated[int, _heal("Seed of the held-out text and of the order.")] = 1


def import_checkpoint(settings: ImportCommand) -> None:
    """Make a hybrid of a BERT-family checkpoint, heal it on your text, and measure what is lost."""
    require_torch("hearken import")
    with show_loading("torch", log=False):
        from encoder.checkpoints.huggingface.folder import ImportRefused
        from encoder.checkpoints.location import CheckpointError
        from encoder.importing.run import ImportOptions, run_import
        from encoder.model.config import ConfigError
        from encoder.tokenizer.incremental import TokenizerError

    options: dict[str, Any] = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(settings).items()}
    with user_errors("import", ImportRefused, ConfigError, CheckpointError, TokenizerError, FloatingPointError):
        report = run_import(ImportOptions(**options))
    for line in report_lines(report):
        typer.echo(line)
    if report.steps:
        console().print(step_table(report))
    typer.echo(settings.out)


def report_lines(report: "ImportReport") -> list[str]:
    """Describe the source, the hybrid and the rounding error of its storage."""
    config = report.config
    lines = [
        f"{report.source}: {report.kind}, {config.layers} layers of {config.hidden}, {config.causal_layers} of them "
        f"causal, window {config.window}, {config.positions} positions",
        f"labels: {', '.join(config.labels)}" if len(config.labels) > 1 else "no labels: tune it with hearken train",
        *(f"note: {note}" for note in report.notes),
        _describe_rounding(report.rounding, report.rounded_on),
    ]
    if not report.steps:
        lines.append("the cost of the causal layers was not measured: give unlabelled text with --heal")
    elif not report.healed:
        lines.append("not healed (--epochs 0)")
    return lines


def _describe_rounding(rounding: "RoundingError", text: str) -> str:
    if rounding.labels is None:
        return f"storing it in 8 and 16 bits moves a hidden state by {rounding.largest:.2g} at most (on {text})"
    return (
        f"storing it in 8 and 16 bits moves a label's score by {rounding.largest:.2g} at most and changes "
        f"{100 * rounding.labels:.2f} % of the labels (on {text})"
    )


def step_table(report: "ImportReport") -> "Table":
    """Table of the distance from the original after each step of the import."""
    assert report.held_out is not None
    sequences, words = report.held_out
    title = f"distance from the original, on {sequences:,} held-out sequences of {words:,} words, each closed"
    table = make_table("after", right=("hidden states, MSE", "of their variance %", "other labels %"), title=title)
    for step in report.steps:
        gap = step.gap
        labels = "-" if gap.labels is None else f"{100 * gap.labels:.2f}"
        table.add_row(step.name, f"{gap.hidden:.5f}", f"{100 * gap.share:.2f}", labels)
    return table
