"""`hearken evaluate`: what a tagger's labels are worth while text arrives, as tables, JSON and plots."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.cli.evaluation_tables import evaluation_tables
from consumers.cli.options import NumberFormatOption
from consumers.common.console import console
from consumers.common.settings import DEFAULT_TAGGER

if TYPE_CHECKING:
    from stream.evaluation.metrics.report import EvaluationReport

POLICIES = ["always", "never", "last:3", "entropy:0.1"]
GRID = ["low", *(f"{x}:{y}" for x in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98) for y in (0, 0.5, 0.7, 0.8, 0.9, 0.95))]
"""Thresholds among which levels are chosen."""


LimitOption = Annotated[int | None, typer.Option(min=1, help="Only the first N sequences.")]
RenameOption = Annotated[
    list[str] | None, typer.Option(help="FILE_TYPE=TAGGER_TYPE; an empty TAGGER_TYPE drops the type.")
]
SpokenOption = Annotated[bool, typer.Option("--spoken", help="Drop punctuation, as a recogniser's text has none.")]
JoinOption = Annotated[
    int | None,
    typer.Option(min=1, help="Join neighbouring sequences of a document into segments of at most N words."),
]


def evaluate(
    data: Annotated[
        Path | None, typer.Option(help="CoNLL file (token<TAB>tag), or JSONL spans, with gold labels.")
    ] = None,
    stream: Annotated[
        Path | None,
        typer.Option(help="Instead of --data: a recorded live stream, or a folder of them; needs no gold labels."),
    ] = None,
    tagger: Annotated[
        list[str] | None,
        typer.Option(
            help="Shipped tagger or checkpoint folder to measure; repeated: seeds of one recipe, also taken together. "
            f"Default: {DEFAULT_TAGGER}."
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="Bidirectional checkpoint (causal_layers = 0), re-run on every word; may be repeated."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="Restart policy, or `oracle` (full restarts exactly where they remove errors); may be repeated. "
            f"Default: {' '.join(POLICIES)}."
        ),
    ] = None,
    stability: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure what readers are shown at a level (low, medium, high or SHOW:CHANGE; grid: many of them) in "
            "place of what is found; may be repeated."
        ),
    ] = None,
    limit: LimitOption = None,
    rename: RenameOption = None,
    spoken: SpokenOption = False,
    join: JoinOption = None,
    close: Annotated[bool, typer.Option(help="Measure with closing restarts too.")] = True,
    number_format: NumberFormatOption = "auto",
    everything: Annotated[bool, typer.Option("--all", help="Show every metric, in a second table.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json and its plots.")] = None,
    json_lines: Annotated[
        Path | None, typer.Option(help="File to which each result is added as a line of JSON, with the command.")
    ] = None,
) -> None:
    """Feed labelled sequences word by word, or recorded streams, and give every streaming metric for each policy."""
    from stream.evaluation.labelled import (  # torch takes seconds to import: only when it is needed
        EvaluationTask,
        evaluate_all,
    )

    command = shlex.join(["hearken", *sys.argv[1:]])
    levels = tuple(dict.fromkeys(x for level in stability or () for x in (GRID if level == "grid" else [level])))
    taggers, baselines, policies = tuple(tagger or [DEFAULT_TAGGER]), tuple(baseline or []), tuple(policy or POLICIES)
    try:
        _check_source(data, stream, {"--limit": limit, "--rename": rename, "--spoken": spoken, "--join": join})
        if stream is not None:
            report = _evaluate_streams(stream, taggers, baselines, policies, close, levels, command)
        elif data is not None:
            task = EvaluationTask(
                data=data,
                taggers=taggers,
                baselines=baselines,
                policies=policies,
                limit=limit,
                rename=pairs(rename or []),
                closing=close,
                spoken=spoken,
                join=join,
                stability=levels,
                number_format=number_format,
            )
            report = evaluate_all(task, command)
    except _mistakes() as error:
        typer.echo(f"hearken evaluate: {error}", err=True)
        raise typer.Exit(2) from error
    console().print(*evaluation_tables(report, everything))
    if out is not None:
        _write(report, out)
    if json_lines is not None:
        _add_lines(report, json_lines)


def _mistakes() -> tuple[type[Exception], ...]:
    """What the caller can do something about."""
    from consumers.common.errors import OperationFailed
    from encoder.checkpoints.location import CheckpointError
    from encoder.model.config import ConfigError
    from encoder.restart.policies import PolicyError
    from encoder.runtime.number_format import NumberFormatError
    from stream.evaluation.replay.examples import EvaluationError
    from stream.revisions.emission import EmissionError

    return (
        CheckpointError, ConfigError, EmissionError, EvaluationError, NumberFormatError, OperationFailed, PolicyError
    )  # fmt: skip


def _check_source(data: Path | None, stream: Path | None, of_data: dict[str, object]) -> None:
    from stream.evaluation.replay.examples import EvaluationError

    if (data is None) == (stream is None):
        raise EvaluationError("give --data (labelled sequences) or --stream (recorded live streams), one of them")
    wrong = [name for name, value in of_data.items() if value]
    if stream is not None and wrong:
        raise EvaluationError(f"{', '.join(wrong)}: only with --data, a stream is taken as it was recorded")


def _evaluate_streams(
    path: Path,
    taggers: Sequence[str],
    baselines: Sequence[str],
    policies: Sequence[str],
    closing: bool,
    stability: Sequence[str],
    command: str,
) -> "EvaluationReport":
    from consumers.recordings.datasets import read_streams
    from stream.evaluation.recorded import evaluate_streams

    return evaluate_streams(
        read_streams(path),
        source=str(path),
        taggers=taggers,
        baselines=baselines,
        policies=policies,
        closing=closing,
        stability=stability,
        command=command,
    )


def pairs(renames: list[str]) -> dict[str, str]:
    """Read what `--rename` was given.

    Raises:
        EvaluationError: it is malformed.
    """
    from stream.evaluation.replay.examples import EvaluationError

    parts = [rename.partition("=") for rename in renames]
    for old, sign, _ in parts:
        if not (old and sign):
            raise EvaluationError(f"--rename {old!r} must look like FILE_TYPE=TAGGER_TYPE")
    return {old: new for old, _, new in parts}


def _write(report: "EvaluationReport", out: Path) -> None:
    import msgspec

    from stream.evaluation.plots.emission import plot_levels
    from stream.evaluation.plots.frontier import plot_frontier, plot_report

    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    written = [out / "evaluation.json", out / "frontier.png"]
    plot_frontier(report, out / "frontier.png")
    if report.updates is None:  # streams have no gold labels to be right by
        plot_report(report, out / "evaluation.png")
        written.append(out / "evaluation.png")
    if any(result.emission for result in report.results):
        plot_levels(report, out / "emission.png")
        written.append(out / "emission.png")
    typer.echo("\n".join(map(str, written)))


def _add_lines(report: "EvaluationReport", path: Path) -> None:
    import msgspec

    facts = {
        name: getattr(report, name) for name in ("command", "data", "sequences", "words", "spoken", "join", "updates")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lines:
        for result in report.results:
            lines.write(msgspec.json.encode(facts | msgspec.to_builtins(result)) + b"\n")
