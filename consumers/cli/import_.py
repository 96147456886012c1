"""`hearken import`: a BERT-family checkpoint becomes a hybrid, and what that costs is said."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

if TYPE_CHECKING:
    from encoder.importing.fidelity import RoundingError
    from encoder.importing.run import ImportReport


class LabelPieceOption(StrEnum):
    """At which piece of a word its label is read."""

    FIRST = "first"
    LAST = "last"


def import_checkpoint(
    folder: Annotated[
        Path,
        typer.Argument(help="Checkpoint of BERT, RoBERTa, DistilBERT or ELECTRA: config.json, safetensors, tokenizer."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the hybrid; every command takes it.")],
    causal_layers: Annotated[
        int | None, typer.Option(min=0, help="Lower layers that only look left. Default: a third of all.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=2, help="Tokens that the upper layers see at most. Default: 128.")
    ] = None,
    head: Annotated[bool, typer.Option(help="Take the label head, if there is one.")] = True,
    label_piece: Annotated[
        LabelPieceOption, typer.Option(help="At which piece of a word the model was trained to read its label.")
    ] = LabelPieceOption.FIRST,
    heal: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Unlabelled text to heal and measure on: .txt (lines), .jsonl or .conll."
        ),
    ] = None,
    epochs: Annotated[float, typer.Option(min=0.0, help="Times through the text; 0: measure only.")] = 1.0,
    lr: Annotated[float, typer.Option(help="Learning rate of the healing.")] = 1e-4,
    batch_tokens: Annotated[int, typer.Option(min=16, help="Tokens of a batch.")] = 1024,
    join: Annotated[bool, typer.Option(help="Join neighbouring lines, as live segments follow one another.")] = True,
    seed: Annotated[int, typer.Option(help="Of what is held out and of the order.")] = 1,
) -> None:
    """Make a hybrid of a BERT-family checkpoint, heal it on your text, and say what it costs."""
    from consumers.common.console import console
    from encoder.checkpoints.huggingface.folder import ImportRefused
    from encoder.checkpoints.location import CheckpointError  # torch takes seconds to import: only when it is needed
    from encoder.importing.run import ImportOptions, run_import
    from encoder.model.config import ConfigError
    from encoder.tokenizer.incremental import TokenizerError

    options = ImportOptions(
        folder=str(folder),
        out=str(out),
        causal_layers=causal_layers,
        window=window,
        head=head,
        label_piece=label_piece.value,
        heal=None if heal is None else str(heal),
        epochs=epochs,
        lr=lr,
        batch_tokens=batch_tokens,
        join=join,
        seed=seed,
    )
    try:
        report = run_import(options)
    except (ImportRefused, ConfigError, CheckpointError, TokenizerError, FloatingPointError) as error:
        typer.echo(f"hearken import: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from error
    for line in describe(report):
        typer.echo(line)
    if report.steps:
        console().print(step_table(report))
    typer.echo(out)


def describe(report: "ImportReport") -> list[str]:
    """Say what was made of what, and what storing it costs."""
    config = report.config
    lines = [
        f"{report.source}: {report.kind}, {config.layers} layers of {config.hidden}, {config.causal_layers} of them "
        f"causal, window {config.window}, {config.positions} positions",
        f"labels: {', '.join(config.labels)}" if len(config.labels) > 1 else "no labels: tune it with hearken train",
        *(f"note: {note}" for note in report.notes),
        _rounding(report.rounding, report.rounded_on),
    ]
    if not report.steps:
        lines.append("what the causal layers cost was not measured: give unlabelled text with --heal")
    elif not report.healed:
        lines.append("not healed (--epochs 0)")
    return lines


def _rounding(rounding: "RoundingError", where: str) -> str:
    if rounding.labels is None:
        return f"storing it in 8 and 16 bits moves a hidden state by {rounding.largest:.2g} at most (on {where})"
    return (
        f"storing it in 8 and 16 bits moves a label's score by {rounding.largest:.2g} at most and changes "
        f"{100 * rounding.labels:.2f} % of the labels (on {where})"
    )


def step_table(report: "ImportReport") -> Table:
    """Lay out what each step of the import costs."""
    assert report.held_out is not None
    sequences, words = report.held_out
    table = Table(
        title=f"distance from the original, on {sequences:,} held-out sequences of {words:,} words, each closed"
    )
    table.add_column("after")
    for head in ("hidden states, MSE", "of their variance %", "other labels %"):
        table.add_column(head, justify="right")
    for step in report.steps:
        gap = step.gap
        labels = "-" if gap.labels is None else f"{100 * gap.labels:.2f}"
        table.add_row(step.name, f"{gap.hidden:.5f}", f"{100 * gap.share:.2f}", labels)
    return table
