"""`hearken calibrate`: a restart price or threshold with a guarantee, or promises of published spans, stored with the
checkpoint.
"""

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from consumers.cli.evaluate import GoldOptions
from consumers.common.console import console, make_table, percent, show_loading
from consumers.common.exit_codes import user_errors
from consumers.common.settings import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from encoder.checkpoints.calibration import Calibration, Promise, SettledThreshold, SpanConfidence
    from stream.evaluation.calibration.calibrate import CalibrationReport
    from stream.evaluation.calibration.promise import PromiseReport
    from stream.evaluation.calibration.settled import SettledReport
    from stream.messages.types import Message

_option = partial(setting, panel="Calibration", variable=False)
GENERATED = 1600
"""Calls that are made up without --limit; nearly half of them are typed, or have no personal data."""


@dataclass(frozen=True, kw_only=True)
class CalibrateCommand:
    """Settings of `hearken calibrate`."""

    tagger: Annotated[
        str, _option("Checkpoint folder or shipped tagger; calibration.json is written to it.", metavar="NAME")
    ]
    data: Annotated[
        Path | None,
        _option(
            "File with gold labels: CoNLL (token<TAB>tag) or JSONL spans; not used for training or testing.",
            metavar="FILE",
        ),
    ] = None
    promise: Annotated[
        bool,
        _option(
            "Instead: bound the share of published spans that the model takes back, by label and emission level. Needs "
            "no gold labels.",
            "--promise",
        ),
    ] = False
    stream: Annotated[
        Path | None,
        _option("Instead of --data, with --promise or --settled: a recorded live stream or a folder of them."),
    ] = None
    generated: Annotated[
        str | None,
        _option(
            "Instead of --data, with --promise or --settled: made-up calls with personal data, with a recogniser's "
            "rewrites, of the templates of fold K of N (training leaves out 0/5). Needs Faker.",
            metavar="K/N",
        ),
    ] = None
    settled: Annotated[
        bool,
        _option(
            "Instead: find how stable words must be to count as settled, at --settled-risk. Needs no gold labels.",
            "--settled",
        ),
    ] = False
    spans: Annotated[
        Path | None,
        _option(
            "Instead: fit stability and score of whole spans on the [[dev]] sets of a training configuration, and "
            "measure each set with what was fitted on the others.",
            metavar="CONFIG",
        ),
    ] = None
    settled_risk: Annotated[
        float,
        _option(
            "Share of a session's labelled characters that are settled without their label, or whose label is taken "
            "back, in expectation."
        ),
    ] = 0.01
    gold: GoldOptions
    delta: Annotated[float, _option("Largest loss of streaming EM, a share, against a full restart on every word.")] = (
        0.01
    )
    epsilon: Annotated[float, _option("Probability that the loss, or any share, is larger.")] = 0.05
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
    """Find the cheapest restart price or threshold that keeps a guarantee, and measure the stability head.

    With --promise, bound what becomes of published spans instead (docs/promise.md); with --settled, find how stable
    settled text is (docs/redaction.md); with --spans, fit stability and score of whole spans.
    """
    with show_loading("calibration", log=False):
        from consumers.common.errors import OperationFailed
        from encoder.checkpoints.calibration import CalibrationError
        from encoder.checkpoints.location import CheckpointError
        from encoder.model.config import ConfigError
        from stream.evaluation.replay.examples import EvaluationError

        if settings.out is not None:
            import_module("matplotlib")  # what is needed last is not to be missed after minutes

    with user_errors("calibrate", CalibrationError, CheckpointError, ConfigError, EvaluationError, OperationFailed):
        _check(settings)
        if settings.spans is not None:
            _calibrate_spans(settings, settings.spans)
        elif settings.settled:
            _calibrate_settled(settings)
        elif settings.promise:
            _calibrate_promise(settings)
        else:
            _calibrate_policy(settings)


def _check(settings: CalibrateCommand) -> None:
    from stream.evaluation.replay.examples import EvaluationError

    if settings.spans is not None:
        gold = settings.gold
        given = (settings.data, settings.stream, settings.generated, gold.rename, gold.join, settings.tau)
        if any(x is not None for x in given) or settings.promise or settings.settled or gold.spoken:
            raise EvaluationError("--spans: only with --tagger, --limit and --out, the configuration says all else")
        return
    if sum(x is not None for x in (settings.data, settings.stream, settings.generated)) != 1:
        raise EvaluationError(
            "give --data (sequences), or with --promise or --settled --stream (recorded live streams) or --generated; "
            "or --spans (a training configuration)"
        )
    if settings.promise and settings.settled:
        raise EvaluationError("give either --promise or --settled, not both: each is a run of its own")
    without_gold = "--promise" if settings.promise else "--settled" if settings.settled else ""
    lacking = "--stream" if settings.stream else "--generated" if settings.generated is not None else ""
    if lacking and not without_gold:
        raise EvaluationError(
            f"{lacking} is for --promise and --settled: a restart policy is chosen by gold labels, which streams lack"
        )
    if settings.generated is not None and (settings.gold.spoken or settings.gold.join):
        raise EvaluationError("--spoken, --join: only with --data, calls are taken as they were heard")
    if settings.stream and (wrong := [f"--{name}" for name, value in vars(settings.gold).items() if value]):
        raise EvaluationError(f"{', '.join(wrong)}: only with --data, a stream is taken as it was recorded")
    if without_gold and settings.gold.rename:
        raise EvaluationError(f"--rename: {without_gold} looks at no types of the file, leave it out")
    if without_gold and settings.tau:
        raise EvaluationError(f"--tau: {without_gold} replays under the tagger's default policy, leave it out")


def _calibrate_policy(settings: CalibrateCommand) -> None:
    from stream.evaluation.calibration.calibrate import CalibrationTask, run_calibration
    from stream.evaluation.replay.examples import EvaluationError

    gold = settings.gold
    assert settings.data is not None
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
    path = _store(settings.tagger, calibration=report.chosen)
    typer.echo(_guarantee(report))
    typer.echo(path)


def _calibrate_promise(settings: CalibrateCommand) -> None:
    from stream.evaluation.calibration.promise import PromiseTask, run_promise
    from stream.evaluation.replay.examples import EvaluationError

    report = run_promise(PromiseTask(**_unit_fields(settings), epsilon=settings.epsilon))
    console().print(promise_table(report))
    _write_report(report, settings.out, "promise.json")
    if not any(level.labels for level in report.promise.levels.values()):
        raise EvaluationError(
            f"refused: on {report.promise.units} {report.promise.unit}s no share is known to be below one half; "
            "give more of them, or a larger --epsilon"
        )
    typer.echo(
        f"with probability {1 - settings.epsilon:g}, of each label's published spans at most these shares are taken "
        f"back on average over {report.promise.unit}s, under the policy {report.promise.policy}"
    )
    typer.echo(_store(settings.tagger, promise=report.promise))


def _calibrate_settled(settings: CalibrateCommand) -> None:
    from stream.evaluation.calibration.settled import SettledTask, run_settled
    from stream.evaluation.replay.examples import EvaluationError

    report = run_settled(SettledTask(**_unit_fields(settings), alpha=settings.settled_risk))
    console().print(settled_table(report))
    _write_report(report, settings.out, "settled.json")
    if report.chosen is None:
        raise EvaluationError(report.refusal())
    typer.echo(
        f"threshold {report.chosen.threshold:g}, of words with a label {report.chosen.labelled:g}: of the next "
        f"{report.unit}'s labelled characters, a share of at most {report.alpha:g} is settled without its label or "
        f"loses it, in expectation, under the policy {report.policy}; here it was {report.chosen.risk:.2g}, with a "
        f"delay of {report.chosen.delay:.1f} words"
    )
    typer.echo(_store(settings.tagger, settled=report.chosen))


def _calibrate_spans(settings: CalibrateCommand, config: Path) -> None:
    from consumers.cli.evaluation_tables import spans_table
    from stream.evaluation.calibration.span_confidence import LIMIT, SpanTask, run_span_calibration

    task = SpanTask(tagger=settings.tagger, config=config, limit=settings.gold.limit or LIMIT)
    report = run_span_calibration(task)
    console().print(spans_table(report))
    _write_report(report, settings.out, "spans.json")
    typer.echo("promises and settled text that this tagger had are of its former confidence: calibrate them again")
    typer.echo(_store(settings.tagger, spans=report.confidence))


def _unit_fields(settings: CalibrateCommand) -> dict[str, Any]:
    """Return the fields of a `UnitTask`: its tagger, and the text as the flags choose it."""
    gold = settings.gold
    return {
        "tagger": settings.tagger,
        "data": settings.data or settings.stream or Path("generated", (settings.generated or "").replace("/", " of ")),
        "messages": _read_messages(settings),
        "unit": settings.unit,
        "limit": gold.limit,
        "spoken": gold.spoken,
        "join": gold.join,
    }


def _read_messages(settings: CalibrateCommand) -> "Sequence[Message] | None":
    from consumers.recordings.datasets import read_streams
    from stream.evaluation.redaction.talk import spoken_dialogues, talk_messages

    if settings.generated is not None:
        count = settings.gold.limit or GENERATED
        return [*talk_messages(spoken_dialogues(count, settings.generated))]
    return read_streams(settings.stream) if settings.stream else None


def _write_report(report: object, out: Path | None, name: str) -> None:
    from encoder.files import write_json

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / name, report)
        typer.echo(out / name)


def _store(
    tagger: str,
    calibration: "Calibration | None" = None,
    promise: "Promise | None" = None,
    settled: "SettledThreshold | None" = None,
    spans: "SpanConfidence | None" = None,
) -> Path:
    """Store what was found with the checkpoint; returns the file."""
    from encoder.checkpoints.calibration import save_calibration
    from encoder.checkpoints.checkpoint import load_checkpoint
    from encoder.checkpoints.names import choose_taggers

    (choice,) = choose_taggers([tagger])
    checkpoint = load_checkpoint(str(choice.folder), calibrated=False)
    head = choice.heads[0] if checkpoint.config.taggers else ""
    return save_calibration(
        choice.folder,
        checkpoint.identity(),
        {head: calibration} if calibration else {},
        {head: promise} if promise else {},
        {head: settled} if settled else {},
        {head: spans} if spans else {},
    )


def promise_table(report: "PromiseReport") -> "Table":
    """Table of the bounds, by label and level."""
    promise = report.promise
    heads = f"{promise.unit}s", "published", "taken back", "mean share", f"at most ({percent(1 - promise.epsilon)} %)"
    table = make_table(
        "label",
        right=heads,
        title=f"{report.tagger} on {promise.data}: {promise.units} {promise.unit}s, under {promise.policy}",
    )
    for x in report.rows:
        share = [percent(x.share), percent(x.bound)] if x.units else ["", ""]
        table.add_row(f"{x.label} at {x.level}", *(str(n) for n in (x.units, x.spans, x.taken_back)), *share)
    return table


def settled_table(report: "SettledReport") -> "Table":
    """Table of the thresholds of words without and with a label, from the lowest on."""
    one = "next one", "delay, words", ""
    heads = "threshold", "got a label", *one, "lost it", *one
    table = make_table(
        right=heads,
        title=f"{report.tagger} on {report.data}: {report.units} {report.unit}s with labels, under {report.policy}",
    )
    chosen = (report.chosen.threshold, report.chosen.labelled) if report.chosen else (None, None)
    for x in report.rows:
        cells = [
            [percent(loss.risk), percent(loss.bound), f"{loss.delay:.1f}", "chosen" if x.threshold == best else ""]
            for loss, best in zip((x.plain, x.labelled), chosen, strict=True)
        ]
        table.add_row(f"{x.threshold:g}", *cells[0], *cells[1], style="bold" if x.threshold in chosen else None)
    return table


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
