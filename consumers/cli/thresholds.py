"""`hearken thresholds`: our threshold in place of Perspective's, from a log of its scores."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.cli.flags import Select
from consumers.common.console import console, make_table, percent, show_loading
from consumers.common.exit_codes import user_errors
from consumers.common.logs import configure_logging
from consumers.common.settings import OFFLINE, EngineSettings, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from consumers.recordings.score_log import ScoreRow
    from stream.evaluation.thresholds.transfer import TransferReport

_option = partial(setting, panel="Thresholds", variable=False)


@dataclass(frozen=True, kw_only=True)
class ThresholdsCommand:
    """Settings of `hearken thresholds`."""

    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            exists=True,
            dir_okay=False,
            help="Columns: text or score (ours), perspective; if there are any threshold, label (1: to be flagged).",
        ),
    ]
    threshold: Annotated[
        float | None, _option("Perspective's threshold, if the file has no such column.", min=0.0, max=1.0)
    ] = None
    attribute: Annotated[str, _option("Attribute of the texts, as Perspective names it.", metavar="NAME")] = "TOXICITY"
    agreement: Annotated[
        float, _option("Without decisions in the file: the precision and recall against Perspective that are aimed at.")
    ] = 0.9
    engine: Annotated[EngineSettings, Select("tagger number_format", tagger=["moderation"], **OFFLINE)]
    out: Annotated[Path | None, _option("Folder for thresholds.json.", panel="Output")] = None


def thresholds(settings: ThresholdsCommand) -> None:
    """Find our threshold in place of Perspective's: at equal precision or recall if people decided, else by agreement.

    Intervals hold 95 % (bootstrap over the rows).
    """
    configure_logging("error")
    with show_loading("scores", log=False):
        from consumers.common.errors import OperationFailed
        from consumers.recordings.score_log import ScoreLogError, read_score_log
        from encoder.files import write_json
        from stream.evaluation.thresholds.transfer import TransferError, find_thresholds

    with user_errors("thresholds", ScoreLogError, TransferError, OperationFailed):
        if not 0 < settings.agreement < 1:
            raise TransferError(f"--agreement {settings.agreement:g} is none between 0 and 1, such as 0.9")
        rows = read_score_log(settings.file, settings.threshold)
        scores = _our_scores(settings, rows)
        decisions = [x.decision for x in rows if x.decision is not None] or None
        report = find_thresholds(scores, [x.flagged for x in rows], decisions, settings.agreement)
        console().print(thresholds_table(report, settings.attribute))
        if settings.out is not None:
            settings.out.mkdir(parents=True, exist_ok=True)
            write_json(settings.out / "thresholds.json", report)
            typer.echo(settings.out / "thresholds.json")


def thresholds_table(report: "TransferReport", attribute: str) -> "Table":
    """Table of the thresholds, a row for each aim."""
    what = "found right by people" if report.decided else "right, because Perspective flagged them"
    title = f"{attribute}: {report.rows:,} texts, {report.flagged:,} flagged by Perspective, {report.right:,} {what}"
    table = make_table("aim", right=("our threshold", "95 % interval", "flagged", "precision", "recall"), title=title)
    if report.decided:
        table.add_row("Perspective", "", "", f"{report.flagged:,}", percent(report.precision), percent(report.recall))
    for x in report.found:
        if x.threshold is None or x.low is None or x.high is None:
            table.add_row(x.aim, "out of reach", "", "", "", "")
            continue
        interval = f"{_round_down(x.low):.4f} to {_round_down(x.high):.4f}"
        rates = f"{x.flagged:,}", percent(x.precision), percent(x.recall)
        table.add_row(x.aim, f"{_round_down(x.threshold):.4f}", interval, *rates)
    return table


def _round_down(threshold: float) -> float:
    """Cut to four digits, so that what reached the threshold still does."""
    return int(threshold * 10_000 + 1e-9) / 10_000


def _our_scores(settings: ThresholdsCommand, rows: "Sequence[ScoreRow]") -> "list[float]":
    """Return our scores: those of the log, else those of its texts as `comments:analyze` would give them."""
    given = [x.score for x in rows if x.score is not None]
    if given:
        return given
    from consumers.http.api.perspective import base_name, offered_attributes
    from consumers.recordings.score_log import ScoreLogError
    from consumers.recordings.score_texts import label_alone
    from consumers.runtime.engine_factory import build_engine, check_engine
    from stream.messages.errors import InputError
    from stream.messages.validation import check_text

    for row in rows:
        try:
            check_text(row.text)
        except InputError as error:
            raise ScoreLogError(f"{settings.file}: line {row.line}: {error.detail}") from None
    check_engine(settings.engine)
    engine = build_engine(settings.engine)
    offered = offered_attributes(engine.tagger_names, engine.labeller.text_scores)
    source = offered.get(base_name(settings.attribute))
    if source is None:
        raise ScoreLogError(
            f"--attribute {settings.attribute} is not offered; there are {', '.join(offered) or 'none'}: see --tagger"
        )
    return [source.score(found) for found in label_alone(engine, [x.text for x in rows])]
