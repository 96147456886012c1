"""Commands of `python -m benchmarks` about text scores as programs for Perspective use them."""

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
