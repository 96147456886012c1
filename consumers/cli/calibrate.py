"""`hearken calibrate`: a restart price or threshold with a guarantee, stored with the checkpoint."""

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from consumers.cli.evaluate import GoldOptions
from consumers.common.console import console, make_table, percent, show_loading
from consumers.common.exit_codes import user_errors
from consumers.common.settings import setting

if TYPE_CHECKING:
    from rich.table import Table

    from stream.evaluation.calibration.calibrate import CalibrationReport

_option = partial(setting, panel="Calibration", variable=False)


@dataclass(frozen=True, kw_only=True)
class CalibrateCommand:
    """Settings of `hearken calibrate`."""

    tagger: Annotated[
        str, _option("Checkpoint folder or shipped tagger; calibration.json is written to it.", metavar="NAME")
    ]
    data: Annotated[
        Path,
        _option(
            "File with gold labels: CoNLL (token<TAB>tag) or JSONL spans; not used for training or testing.",
            metavar="FILE",
        ),
    ]
    gold: GoldOptions
    delta: Annotated[float, _option("Largest loss of streaming EM against a full restart on every word.")] = 0.01
    epsilon: Annotated[float, _option("Probability that the loss is larger.")] = 0.05
    unit: Annotated[
        Literal["sequence", "document"] | None,
        _option("Independent unit of the data.", show_default="document, if the file names documents"),
    ] = None
    tau: Annotated[
        list[float] | None,
        _option(
            "Candidate value, from cautious to cheap; may be repeated.",
            min=0,
            metavar="X",
            show_default="built-in values",
        ),
    ] = None
    policy: Annotated[
        Literal["price", "stability"], _option("Restart policy whose value is chosen: a price, or a threshold.")
    ] = "price"
    out: Annotated[Path | None, _option("Folder for calibrate.json and reliability.png.", panel="Output")] = None


def calibrate(settings: CalibrateCommand) -> None:
    """Find the cheapest restart price or threshold that keeps a guarantee, and measure the stability head."""
    with show_loading("calibration", log=False):
        from encoder.checkpoints.calibration import CalibrationError, save_calibration
        from encoder.checkpoints.checkpoint import load_checkpoint
        from encoder.checkpoints.location import CheckpointError
        from encoder.checkpoints.names import choose_taggers
        from encoder.model.config import ConfigError
        from stream.evaluation.calibration.calibrate import CalibrationTask, run_calibration
        from stream.evaluation.replay.examples import EvaluationError

        if settings.out is not None:
            import_module("matplotlib")  # what is needed last is not to be missed after minutes

    gold = settings.gold
    with user_errors("calibrate", CalibrationError, CheckpointError, ConfigError, EvaluationError):
        task = CalibrationTask(
            tagger=settings.tagger,
            data=settings.data,
            delta=settings.delta,
            epsilon=settings.epsilon,
            unit=settings.unit,
            policy=settings.policy,
            taus=tuple(settings.tau or ()),
            limit=gold.limit,
            rename=gold.rename_table(),
            spoken=gold.spoken,
            join=gold.join,
        )
        report = run_calibration(task)
        console().print(calibration_table(report))
        if settings.out is not None:
            _write(report, settings.out)
        if report.chosen is None:
            raise EvaluationError(report.refusal())
        (choice,) = choose_taggers([settings.tagger])
        checkpoint = load_checkpoint(str(choice.folder), calibrated=False)
        head = choice.heads[0] if checkpoint.config.taggers else ""
        path = save_calibration(choice.folder, checkpoint.identity(), {head: report.chosen})
    typer.echo(_guarantee(report))
    typer.echo(path)


def calibration_table(report: "CalibrationReport") -> "Table":
    """Table of the candidates, from the most cautious on."""
    heads = "price or tau", "sEM", "lost", f"at most ({percent(1 - report.epsilon)} %)", "p-value"
    table = make_table(
        right=(*heads, "FLOPs saved", "words again", ""),
        title=f"{report.tagger} on {report.data}: {report.units} {report.unit}s, {report.words} words; "
        f"restarting fully on every word: sEM {percent(report.always_em)}",
    )
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


def _guarantee(report: "CalibrationReport") -> str:
    chosen, words = report.chosen, report.reliability
    assert chosen is not None
    ece = [100 * words[name].ece for name in ("words before", "words after", "spans", "spans first", "scores")]
    how = f"price {chosen.tau:g}"
    if chosen.policy == "stability":
        how = f"tau {chosen.tau:.4g} of the stability scaled by {chosen.scale:.3f} and shifted by {chosen.shift:.3f}"
    return (
        f"{how}: with "
        f"probability {1 - report.epsilon:g} at most {report.delta:g} of streaming EM is lost\n"
        f"stability of words, expected calibration error: {ece[0]:.2f} %, scaled {ece[1]:.2f} %\n"
        f"stability of spans: {ece[2]:.2f} %, when first found {ece[3]:.2f} %; scores of final spans: {ece[4]:.2f} %"
    )


def _write(report: "CalibrationReport", out: Path) -> None:
    from encoder.files import write_json
    from stream.evaluation.plots.reliability import plot_reliability

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "calibrate.json", report)
    written = [out / "calibrate.json"]
    if report.reliability:
        plot_reliability(report, out / "reliability.png")
        written.append(out / "reliability.png")
    typer.echo("\n".join(map(str, written)))
