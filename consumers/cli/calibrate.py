"""`hearken calibrate`: a restart threshold that keeps a promise, stored with the checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from consumers.cli.evaluate import JoinOption, LimitOption, RenameOption, SpokenOption, pairs
from consumers.common.console import console, percent

if TYPE_CHECKING:
    from stream.evaluation.calibration.calibrate import CalibrationReport


def calibrate(
    tagger: Annotated[str, typer.Option(help="Checkpoint folder, or a shipped tagger's name; gets calibration.json.")],
    data: Annotated[
        Path,
        typer.Option(help="CoNLL file (token<TAB>tag) or JSONL spans with gold labels; neither trained nor tested on."),
    ],
    delta: Annotated[
        float, typer.Option(help="Streaming EM may be so much below that of restarting fully on every word.")
    ] = 0.01,
    epsilon: Annotated[float, typer.Option(help="How probable it may be that it is further below.")] = 0.05,
    unit: Annotated[
        str | None,
        typer.Option(help="What is independent: sequence or document. Default: document, where the file names any."),
    ] = None,
    tau: Annotated[
        list[float] | None,
        typer.Option(min=0, help="Numbers to test, from cautious to cheap, not those that are built in; repeated."),
    ] = None,
    policy: Annotated[
        str, typer.Option(help="Whose number is looked for: price, or stability (a threshold tau).")
    ] = "price",
    limit: LimitOption = None,
    rename: RenameOption = None,
    spoken: SpokenOption = False,
    join: JoinOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for calibrate.json and reliability.png.")] = None,
) -> None:
    """Find the cheapest price, or threshold, of restarts that keeps a promise, and how honest stability is."""
    from encoder.checkpoints.calibration import CalibrationError, save_calibration  # torch takes seconds to import
    from encoder.checkpoints.checkpoint import load_checkpoint
    from encoder.checkpoints.location import CheckpointError
    from encoder.checkpoints.names import choose_taggers
    from encoder.model.config import ConfigError
    from stream.evaluation.calibration.calibrate import CalibrationTask, check_kind, check_unit
    from stream.evaluation.calibration.calibrate import calibrate as run
    from stream.evaluation.replay.examples import EvaluationError

    try:
        task = CalibrationTask(
            tagger=tagger,
            data=data,
            delta=delta,
            epsilon=epsilon,
            unit=check_unit(unit),
            policy=check_kind(policy),
            taus=tuple(tau or ()),
            limit=limit,
            rename=pairs(rename or []),
            spoken=spoken,
            join=join,
        )
        report = run(task)
        console().print(calibration_table(report))
        if out is not None:
            _write(report, out)
        if report.chosen is None:
            raise EvaluationError(report.refusal())
        (choice,) = choose_taggers([tagger])
        checkpoint = load_checkpoint(str(choice.folder), calibrated=False)
        head = choice.heads[0] if checkpoint.config.taggers else ""
        path = save_calibration(choice.folder, checkpoint.identity(), {head: report.chosen})
    except (CalibrationError, CheckpointError, ConfigError, EvaluationError) as error:
        typer.echo(f"hearken calibrate: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(_promise(report))
    typer.echo(path)


def calibration_table(report: "CalibrationReport") -> Table:
    """Lay out what was tried, from the most cautious threshold on."""
    table = Table(
        title=f"{report.tagger} on {report.data}: {report.units} {report.unit}s, {report.words} words; "
        f"restarting fully on every word: sEM {percent(report.always_em)}"
    )
    for head in (
        "price or tau",
        "sEM",
        "lost",
        f"at most ({percent(1 - report.epsilon)} %)",
        "p-value",
        "FLOPs saved",
        "words again",
        "",
    ):
        table.add_column(head, justify="right")
    best = report.best
    for x in report.tried:
        table.add_row(
            f"{x.tau:g}",
            percent(x.streaming_em),
            f"{100 * x.risk:.2f}",
            f"{100 * x.bound:.2f}",
            f"{x.p_value:.2g}",
            percent(x.flops_saved),
            f"{x.words_recomputed:.2f}",
            "chosen" if x == best else "holds" if x.certified else "not shown",
            style="bold" if x == best else None,
        )
    return table


def _promise(report: "CalibrationReport") -> str:
    chosen, words = report.chosen, report.reliability
    assert chosen is not None
    ece = [100 * words[f"words {when}"].ece for when in ("before", "after")]
    how = f"price {chosen.tau:g}"
    if chosen.policy == "stability":
        how = f"tau {chosen.tau:.4g} of the stability scaled by {chosen.scale:.3f} and shifted by {chosen.shift:.3f}"
    return (
        f"{how}: with "
        f"probability {1 - report.epsilon:g} at most {report.delta:g} of streaming EM is lost\n"
        f"stability of words, expected calibration error: {ece[0]:.2f} %, scaled {ece[1]:.2f} %"
    )


def _write(report: "CalibrationReport", out: Path) -> None:
    import msgspec

    from stream.evaluation.plots.reliability import plot_reliability

    out.mkdir(parents=True, exist_ok=True)
    (out / "calibrate.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    written = [out / "calibrate.json"]
    if report.reliability:
        plot_reliability(report, out / "reliability.png")
        written.append(out / "reliability.png")
    typer.echo("\n".join(map(str, written)))
