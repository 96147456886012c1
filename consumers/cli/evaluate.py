"""`hearken evaluate`: streaming metrics of taggers and restart policies, as tables, JSON and plots."""

import shlex
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.common.console import console, show_loading
from consumers.common.exit_codes import user_errors
from consumers.common.settings import DEFAULT_TAGGER, NumberFormatOption, setting

if TYPE_CHECKING:
    from stream.evaluation.metrics.report import EvaluationReport
    from stream.evaluation.texts.text_report import TextReport

POLICIES = ["always", "never", "last:3", "entropy:0.1"]
GRID = ["low", *(f"{x}:{y}" for x in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98) for y in (0, 0.5, 0.7, 0.8, 0.9, 0.95))]
"""Emission levels that `--stability grid` stands for."""
FACTS = ("command", "data", "sequences", "rows", "words", "spoken", "join", "updates", "chat", "sessions")
"""What each line of `--json-lines` has of its report, if the report has it."""

_data = partial(setting, panel="Data", variable=False)
_measure = partial(setting, panel="Measurement", variable=False)
_output = partial(setting, panel="Output", variable=False)


@dataclass(frozen=True, kw_only=True)
class GoldOptions:
    """How a file with gold labels is read."""

    limit: Annotated[int | None, _data("Read only the first N sequences.", min=1, show_default="all")] = None
    rename: Annotated[
        list[str] | None,
        _data("Type of the tagger for a type of the file; empty drops the type; may be repeated.", metavar="FILE=TYPE"),
    ] = None
    spoken: Annotated[bool, _data("Remove punctuation, which a recogniser's text lacks.", "--spoken")] = False
    join: Annotated[
        int | None, _data("Join neighbouring sequences of a document into segments of at most N words.", min=1)
    ] = None

    def rename_table(self) -> dict[str, str]:
        """Type of the tagger by type of the file.

        Raises:
            EvaluationError: an entry is malformed.
        """
        from stream.evaluation.replay.examples import EvaluationError

        parts = [rename.partition("=") for rename in self.rename or []]
        for old, sign, _ in parts:
            if not (old and sign):
                raise EvaluationError(f"--rename {old!r} must look like FILE_TYPE=TAGGER_TYPE")
        return {old: new for old, _, new in parts}


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How texts of a JSONL file are measured as a whole."""

    chat: Annotated[
        int | None,
        _measure("Play the texts of a JSONL file as made-up chats of N messages too, and measure by place.", min=2),
    ] = None
    sessions: Annotated[
        bool, _measure("Play the texts in their own sessions too, by session or document of a row.", "--sessions")
    ] = False
    threshold: Annotated[
        float | None,
        _measure(
            "Score from which a text is flagged, above 0 and below 1.",
            min=0,
            max=1,
            show_default="0.5; without text scores: any span",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class MeasureRedaction:
    """How redaction is measured."""

    redaction: Annotated[
        bool,
        _measure(
            "Instead: measure redaction of live text (leak, delay, plain words covered, flips) of a tagger (by default "
            "pii) with the rules. --data may be generated:K/N, made-up calls of a fold of the templates.",
            "--redaction",
        ),
    ] = False
    settled_threshold: Annotated[
        float | None,
        _measure(
            "With --redaction: stability from which words count as settled.",
            min=0,
            max=1,
            metavar="X",
            show_default="calibrated, else 0.99",
        ),
    ] = None
    presidio: Annotated[
        bool,
        _measure("With --redaction: Presidio too, run again on every hypothesis, if it is installed.", "--presidio"),
    ] = False


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand:
    """Settings of `hearken evaluate`."""

    data: Annotated[
        Path | None, _data("File with gold labels: CoNLL (token<TAB>tag), or JSONL spans or labels of texts.")
    ] = None
    stream: Annotated[
        Path | None, _data("Instead of --data: a recorded live stream or a folder of them; needs no gold labels.")
    ] = None
    gold: GoldOptions
    tagger: Annotated[
        list[str] | None,
        _measure(
            "Shipped tagger or checkpoint folder; repeat it for several seeds of one recipe.",
            metavar="NAME",
            show_default=DEFAULT_TAGGER,
        ),
    ] = None
    baseline: Annotated[
        list[str] | None,
        _measure(
            "Bidirectional checkpoint (causal_layers = 0) that is run again on every word; may be repeated.",
            metavar="FOLDER",
        ),
    ] = None
    policy: Annotated[
        list[str] | None,
        _measure(
            "Restart policy, or oracle (full restarts exactly where they remove errors); may be repeated.",
            metavar="POLICY",
            show_default=" ".join(POLICIES),
        ),
    ] = None
    stability: Annotated[
        list[str] | None,
        _measure(
            "Measure the published spans at this level: low, medium, high, SHOW:CHANGE[:WORDS], or grid for many; may "
            "be repeated.",
            metavar="LEVEL",
        ),
    ] = None
    close: Annotated[bool, _measure("Measure closing restarts too.")] = True
    texts: TextOptions
    redaction: MeasureRedaction
    number_format: NumberFormatOption = "auto"
    everything: Annotated[bool, _output("Show every metric, in a second table.", "--all")] = False
    out: Annotated[Path | None, _output("Folder for evaluation.json and its plots.")] = None
    json_lines: Annotated[Path | None, _output("File to which each result is appended as a JSON line.")] = None


def evaluate(settings: EvaluateCommand) -> None:
    """Measure taggers and restart policies on labelled sequences, fed word by word, or on recorded streams."""
    with show_loading("evaluation", log=False):
        from consumers.cli.evaluation_tables import evaluation_tables
        from consumers.cli.text_tables import text_tables
        from consumers.common.errors import OperationFailed
        from encoder.checkpoints.location import CheckpointError
        from encoder.model.config import ConfigError
        from encoder.restart.policy_text import PolicyError
        from encoder.runtime.number_format import NumberFormatError
        from stream.evaluation.replay.examples import EvaluationError
        from stream.revisions.emission import EmissionError

        if settings.out is not None:
            import_module("matplotlib")  # what is needed last is not to be missed after minutes

    with user_errors(
        "evaluate",
        CheckpointError, ConfigError, EmissionError, EvaluationError, NumberFormatError, OperationFailed, PolicyError,
    ):  # fmt: skip
        if settings.redaction.redaction:
            _evaluate_redaction(settings)
            return
        texts = _evaluate_texts(settings)
        report = _evaluate(settings) if texts is None or texts.marked else None
    if report is not None:
        console().print(*evaluation_tables(report, settings.everything))
    if texts is not None:
        console().print(*text_tables(texts, settings.everything))
    if settings.out is not None:
        _write(report, texts, settings.out)
    if settings.json_lines is not None:
        _add_lines(report, texts, settings.json_lines)


def _evaluate_texts(settings: EvaluateCommand) -> "TextReport | None":
    """Measure texts as a whole, if rows of the file have labels, or an option asks for it."""
    from stream.evaluation.replay.examples import EvaluationError
    from stream.evaluation.texts.rows import has_text_labels
    from stream.evaluation.texts.text_evaluation import TextTask, run_text_evaluation

    gold, texts, data = settings.gold, settings.texts, settings.data
    given = [f"--{name}" for name, value in vars(texts).items() if value is not None and value is not False]
    other = [
        name
        for name, value in (("--stream", settings.stream), ("--spoken", gold.spoken), ("--join", gold.join))
        if value
    ]
    if given and (other or data is None or data.suffix != ".jsonl"):
        raise EvaluationError(f"{', '.join(given)}: only with --data FILE.jsonl, whose texts are taken as they are")
    if data is None or data.suffix != ".jsonl" or settings.stream or not (given or has_text_labels(data)):
        return None
    if other:
        typer.echo(f"note: labels of whole texts are not measured with {', '.join(other)}", err=True)
        return None
    task = TextTask(
        data=data,
        limit=gold.limit,
        rename=gold.rename_table(),
        taggers=tuple(settings.tagger or [DEFAULT_TAGGER]),
        policies=tuple(policy for policy in settings.policy or ("default",) if policy != "oracle") or ("default",),
        stability=_levels(settings),
        chat=texts.chat,
        sessions=texts.sessions,
        threshold=texts.threshold,
        number_format=settings.number_format,
    )
    return run_text_evaluation(task, shlex.join(["hearken", *sys.argv[1:]]))


def _evaluate_redaction(settings: EvaluateCommand) -> None:
    """Measure redaction of live text, show it and write it."""
    from msgspec.structs import replace

    from consumers.cli.redaction_tables import redaction_tables
    from consumers.common.redaction import RedactionSettings
    from consumers.common.settings import EngineSettings
    from consumers.runtime.engine_factory import build_engine
    from encoder.files import write_json
    from encoder.progress import progress_bar
    from stream.evaluation.plots.redaction import plot_redaction
    from stream.evaluation.redaction.presidio import PeerMissing, load_presidio
    from stream.evaluation.redaction.redaction_evaluation import run_redaction
    from stream.evaluation.replay.examples import EvaluationError

    own, gold = settings.redaction, settings.gold
    wrong = [x for x, value in (("stream", settings.stream), ("spoken", gold.spoken), ("join", gold.join)) if value]
    if settings.data is None or wrong:
        raise EvaluationError(f"--redaction needs --data, and no --{wrong[0] if wrong else 'stream'}")
    peers, missing = {}, {}
    if own.presidio:
        try:
            peers["presidio"] = load_presidio()
        except PeerMissing as error:
            missing["presidio"] = str(error)
    engine = build_engine(
        EngineSettings(
            tagger=settings.tagger or ["pii"],
            number_format=settings.number_format,
            settled_threshold=own.settled_threshold,
            coalesce=False,
        ),
        RedactionSettings(redact="all"),
    )
    command = shlex.join(["hearken", *sys.argv[1:]])
    with progress_bar() as bar:
        task = bar.add_task("redaction", total=None)
        found = run_redaction(
            engine, [str(settings.data)], gold.limit, command, peers,
            lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    report = replace(found, missing=missing)
    console().print(*redaction_tables(report, settings.everything))
    if settings.out is not None:
        settings.out.mkdir(parents=True, exist_ok=True)
        write_json(settings.out / "redaction.json", report)
        plot_redaction(report, settings.out / "redaction.png")
        typer.echo(f"{settings.out / 'redaction.json'}\n{settings.out / 'redaction.png'}")


def _levels(settings: EvaluateCommand) -> tuple[str, ...]:
    given = settings.stability or ()
    return tuple(dict.fromkeys(x for level in given for x in (GRID if level == "grid" else [level])))


def _evaluate(settings: EvaluateCommand) -> "EvaluationReport":
    from consumers.recordings.datasets import read_streams
    from stream.evaluation.policy_evaluation import EvaluationTask, run_evaluation
    from stream.evaluation.replay.examples import EvaluationError

    gold, data, stream = settings.gold, settings.data, settings.stream
    source = data or stream
    if source is None or (data and stream):
        raise EvaluationError("give --data (labelled sequences) or --stream (recorded live streams), one of them")
    if stream and (wrong := [f"--{name}" for name, value in vars(gold).items() if value]):
        raise EvaluationError(f"{', '.join(wrong)}: only with --data, a stream is taken as it was recorded")
    task = EvaluationTask(
        data=source,
        messages=read_streams(stream) if stream else None,
        taggers=tuple(settings.tagger or [DEFAULT_TAGGER]),
        baselines=tuple(settings.baseline or []),
        policies=tuple(settings.policy or POLICIES),
        limit=gold.limit,
        rename=gold.rename_table(),
        closing=settings.close,
        spoken=gold.spoken,
        join=gold.join,
        stability=_levels(settings),
        number_format=settings.number_format,
    )
    return run_evaluation(task, shlex.join(["hearken", *sys.argv[1:]]))


def _write(report: "EvaluationReport | None", texts: "TextReport | None", out: Path) -> None:
    from encoder.files import write_json

    out.mkdir(parents=True, exist_ok=True)
    written = []
    if report is not None:
        write_json(out / "evaluation.json", report)
        written += [out / "evaluation.json", *_plot(report, out)]
    if texts is not None:
        write_json(out / "texts.json", texts)
        written.append(out / "texts.json")
    typer.echo("\n".join(map(str, written)))


def _plot(report: "EvaluationReport", out: Path) -> list[Path]:
    from stream.evaluation.plots.emission import plot_levels
    from stream.evaluation.plots.frontier import plot_frontier, plot_report

    plots = [out / "frontier.png"]
    plot_frontier(report, out / "frontier.png")
    if report.updates is None:  # streams have no gold labels to be right by
        plot_report(report, out / "evaluation.png")
        plots.append(out / "evaluation.png")
    if any(result.emission for result in report.results):
        plot_levels(report, out / "emission.png")
        plots.append(out / "emission.png")
    return plots


def _add_lines(report: "EvaluationReport | None", texts: "TextReport | None", path: Path) -> None:
    import msgspec

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lines:
        for x in (report, texts):
            for result in x.results if x else ():
                facts = {name: getattr(x, name) for name in FACTS if hasattr(x, name)}
                lines.write(msgspec.json.encode(facts | msgspec.to_builtins(result)) + b"\n")
