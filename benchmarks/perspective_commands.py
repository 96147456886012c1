"""Commands of `python -m benchmarks` about text scores as programs for Perspective use them."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.harness.progress import show_progress
from benchmarks.harness.tables import show_report
from benchmarks.options import OutOption, RepeatsOption, app, usage_errors

SCORED = "moderation"
TaggerOfScores = Annotated[str, typer.Option(help="Shipped tagger or checkpoint folder, with text scores.")]


@app.command()
def comments(
    tagger: TaggerOfScores = SCORED,
    words: Annotated[int, typer.Option(min=2, help="Words of each comment.")] = 40,
    seconds: Annotated[float, typer.Option(min=0.5, help="Duration of each part of a repeat.")] = 5.0,
    repeats: RepeatsOption = 5,
    peer: Annotated[bool, typer.Option(help="Measure a model of Detoxify-small's size in ONNX Runtime, too.")] = True,
    out: OutOption = None,
) -> None:
    """Comments a second of one core through Perspective's endpoint, and latency at half of that. Linux only."""
    from benchmarks.comments.run import comments_tables, run_comments

    with usage_errors(), show_progress("comments") as progress:
        report = run_comments(tagger, words, seconds, repeats, progress, peer)
    show_report(comments_tables(report), out, "comments", report)


@app.command()
def attributes(
    tagger: TaggerOfScores = SCORED,
    data: Annotated[Path, typer.Option(help="Folder of public sets.")] = Path("data"),
    limit: Annotated[int, typer.Option(min=10, help="Most texts of each set.")] = 1000,
    out: OutOption = None,
) -> None:
    """AUC and calibration of each attribute of Perspective on development sets, and of a comment behind another."""
    from benchmarks.attributes.quality import attributes_tables, plot_attributes, run_attributes

    with usage_errors(), show_progress("attributes") as progress:
        report = run_attributes(tagger, data, limit, progress)
    show_report(attributes_tables(report), out, "attributes", report)
    for name in report.absent:
        typer.echo(f"not measured: {data / name} is not there", err=True)
    if out is not None and report.rows:
        plot_attributes(report, out / "attributes.png")
        typer.echo(out / "attributes.png")


@app.command()
def bias(tagger: TaggerOfScores = SCORED, out: OutOption = None) -> None:
    """Scores of texts about groups of people: harmless ones flagged, hateful ones found, AUC by group."""
    from benchmarks.attributes.bias import bias_tables, run_bias

    with usage_errors():
        report = run_bias(tagger)
    show_report(bias_tables(report), out, "bias", report)
