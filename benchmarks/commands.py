"""Commands of `python -m benchmarks`: options in, tables on standard output and JSON in a folder out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.harness.progress import show_progress
from benchmarks.harness.tables import print_tables, save_json, show_report
from consumers.common.settings import (
    DEFAULT_POLICY,
    DEFAULT_TAGGER,
    SettingError,
)

if TYPE_CHECKING:
    from benchmarks.peers.peer import Build


from benchmarks.options import (
    LengthsOption,
    NumberFormatOption,
    OutOption,
    PartsOption,
    PolicyOption,
    QuickOption,
    RepeatsOption,
    SessionsOption,
    StepsOption,
    TaggerOption,
    WordsOption,
    app,
    parse_numbers,
    parse_parts,
    usage_errors,
)

GROWTH_PARTS = ["length", "sessions", "rewriting", "threshold", "floors"]


@app.command()
def dense(
    tagger: TaggerOption = DEFAULT_TAGGER,
    sessions: SessionsOption = "1,8,64",
    words: LengthsOption = "60",
    policy: PolicyOption = DEFAULT_POLICY,
    number_format: NumberFormatOption = "auto",
    repeats: RepeatsOption = 3,
    steps: StepsOption = 15,
    out: OutOption = None,
) -> None:
    """Words a second against the same weights re-run by our own dense code on every word."""
    from benchmarks.peers.run import DENSE

    _compare("dense", tagger, sessions, words, policy, number_format, repeats, steps, out, DENSE)


@app.command()
def peers(
    tagger: TaggerOption = DEFAULT_TAGGER,
    sessions: SessionsOption = "1,8,64",
    words: LengthsOption = "20,60,250",
    policy: PolicyOption = DEFAULT_POLICY,
    number_format: NumberFormatOption = "auto",
    repeats: RepeatsOption = 5,
    steps: StepsOption = 6,
    out: OutOption = None,
) -> None:
    """Words a second against transformers, ONNX Runtime, OpenVINO and spaCy re-run on every word."""
    from benchmarks.peers.run import BUILDS

    _compare("peers", tagger, sessions, words, policy, number_format, repeats, steps, out, BUILDS)


def _compare(
    name: str,
    tagger: str,
    sessions: str,
    words: str,
    policy: str,
    number_format: str,
    repeats: int,
    steps: int,
    out: Path | None,
    builds: "dict[str, Build]",
) -> None:
    counts, lengths = parse_numbers("--sessions", sessions), parse_numbers("--words", words)
    from benchmarks.peers.run import run_peers
    from benchmarks.report.peer_tables import peer_tables

    with usage_errors(), show_progress(name) as progress:
        report = run_peers(
            tagger, counts, lengths, policy,
            repeats=repeats, steps=steps, progress=progress, builds=builds, number_format=number_format,
        )  # fmt: skip
    show_report(peer_tables(report), out, name, report)


@app.command()
def taggers(
    tagger: Annotated[list[str], typer.Option(help="At least two taggers; the first alone is compared with all.")],
    sessions: SessionsOption = "1,8,64",
    words: WordsOption = 60,
    policy: PolicyOption = DEFAULT_POLICY,
    repeats: RepeatsOption = 3,
    out: OutOption = None,
) -> None:
    """Cost of several taggers on one stream against the first alone."""
    counts = parse_numbers("--sessions", sessions)
    if len(tagger) < 2:
        raise typer.BadParameter("--tagger must be given at least twice")
    from benchmarks.taggers import run_taggers, taggers_tables

    with usage_errors(), show_progress("taggers") as progress:
        report = run_taggers(tagger, counts, words, policy, repeats, progress)
    show_report(taggers_tables(report), out, "taggers", report)


@app.command()
def labels(
    config: Annotated[Path, typer.Option(help="Training configuration whose [[dev]] sets are measured.")],
    tagger: TaggerOption = DEFAULT_TAGGER,
    limit: Annotated[int, typer.Option(min=1, help="Most texts of a set.")] = 2000,
    sets: Annotated[str, typer.Option(help="Only these sets, separated by commas.")] = "",
    peer: Annotated[str, typer.Option(help="A spaCy pipeline that is installed, measured beside it.")] = "",
    own_convention: Annotated[bool, typer.Option(help="Compare with the spans as each set has them.")] = False,
    out: OutOption = None,
) -> None:
    """Exact span F1 on development sets: written and spoken, each text alone and in its session; recall by type."""
    from benchmarks.labels import labels_tables, run_labels, run_peer

    with usage_errors(), show_progress("labels") as progress:
        only = [x for x in sets.split(",") if x]
        report = run_labels(tagger, config, limit, only, progress, own_convention=own_convention)
        if peer:
            report.append(run_peer(peer, config, limit, only, progress))
    show_report(labels_tables(report), out, "labels", report)


@app.command()
def calm(
    config: Annotated[Path, typer.Option(help="Training configuration whose [[dev]] sets with spans are measured.")],
    tagger: TaggerOption = DEFAULT_TAGGER,
    limit: Annotated[int, typer.Option(min=1, help="Most texts of a set.")] = 400,
    sets: Annotated[str, typer.Option(help="Only these sets, separated by commas.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="Each text is a session of its own.")] = False,
    level: Annotated[
        list[str] | None, typer.Option(help="Emission level of the curve; may be repeated. Default: built-in ones.")
    ] = None,
    out: OutOption = None,
) -> None:
    """Published spans that are withdrawn and their delay by emission level; calibration errors of spans, also of sets
    left out; with --out, both plots.
    """
    from benchmarks.calm import CURVE, calm_tables, plot_calm, run_calm

    with usage_errors(), show_progress("calm") as progress:
        only, mode = [x for x in sets.split(",") if x], "alone" if alone else "session"
        report = run_calm(tagger, config, limit, only, level or CURVE, progress, mode=mode)
    show_report(calm_tables(report), out, "calm", report)
    for path in plot_calm(report, out) if out else ():
        typer.echo(path)


@app.command()
def redaction(
    tagger: TaggerOption = "pii",
    calls: Annotated[int, typer.Option(min=10, help="Made-up dialogues to draw; the spoken ones are fed.")] = 400,
    out: OutOption = None,
) -> None:
    """Time of a word with redaction of everything against without; what leaks is measured by hearken evaluate."""
    from benchmarks.redaction_cost import cost_tables, measure_cost

    with usage_errors(), show_progress("redaction") as progress:
        found = measure_cost(tagger, calls, progress)
    show_report(cost_tables(found), out, "redaction", found)


@app.command()
def disguises(tagger: TaggerOption = "moderation", out: OutOption = None) -> None:
    """Disguised rude words that a tagger finds, of those that it finds plain, by kind of disguise."""
    from benchmarks.disguises import disguise_table, run_disguises

    with usage_errors():
        report = run_disguises(tagger)
    show_report([disguise_table(report)], out, "disguises", report)


@app.command()
def promise(
    data: Annotated[
        str, typer.Option(help="Domain that is calibrated on: NAME=FILE, FILE+spoken, FILE+join60+limit1000.")
    ],
    other: Annotated[list[str], typer.Option(help="Another domain; may be repeated.")],
    tagger: TaggerOption = DEFAULT_TAGGER,
    level: Annotated[str, typer.Option(help="Emission level: low, medium or high.")] = "medium",
    seeds: Annotated[int, typer.Option(min=1, help="Splits of the sessions, and streams of each domain.")] = 100,
    epsilon: Annotated[float, typer.Option(help="Error of the bounds of one split.")] = 0.05,
    alarm_epsilon: Annotated[float, typer.Option(help="Error of the alarm of one label.")] = 0.001,
    keep: Annotated[Path, typer.Option(help="Folder for what became of the spans.")] = Path("runs/promise"),
    plot: Annotated[Path | None, typer.Option(help="File for the plot.")] = None,
    out: OutOption = None,
) -> None:
    """Promises calibrated on one domain and watched on others: which alarms ring, and when."""
    from benchmarks.promise import DomainText, plot_promise_bench, promise_bench_table, run_promise_bench
    from stream.revisions.emission import LEVELS

    if level not in LEVELS:
        raise typer.BadParameter(f"--level {level!r} is none of {', '.join(LEVELS)}")
    with usage_errors(), show_progress("promise") as progress:
        domains = [DomainText.parse(x) for x in (data, *other)]
        bench = run_promise_bench(tagger, domains, level, seeds, epsilon, alarm_epsilon, keep, progress)
    show_report([promise_bench_table(bench)], out, "promise", bench)
    if plot is not None:
        plot_promise_bench(bench, plot)
        typer.echo(plot)


@app.command()
def moderation(
    tagger: TaggerOption = "moderation",
    data: Annotated[Path, typer.Option(help="Folder of public sets; what is missing is left out.")] = Path(
        "../shared/data"
    ),
    comments: Annotated[
        str, typer.Option(help="Sets of comments with a label, in the folder, separated by commas.")
    ] = "jigsaw_binary,wiki_toxicity,surge_toxicity",
    limit: Annotated[int, typer.Option(min=1, help="Most texts of a set.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the made-up chats.")] = 1,
    out: OutOption = None,
) -> None:
    """Harmless text flagged and hateful text found, alone and in a made-up chat; contrasts, comments, toxic spans."""
    from benchmarks.moderation.report import moderation_tables
    from benchmarks.moderation.run import run_moderation

    with usage_errors(), show_progress("moderation") as progress:
        sets = [x for x in comments.split(",") if x]
        report = run_moderation(tagger, data, sets, limit, seed, progress)
    show_report(moderation_tables(report), out, "moderation", report)
    for path in report.absent:
        typer.echo(f"not measured: {path} is missing", err=True)


@app.command()
def talk(
    tagger: Annotated[list[str], typer.Option(help="Tagger; may be repeated.")],
    data: Annotated[Path, typer.Option(help="Folder of public sets; what is missing is left out.")] = Path(
        "../shared/data"
    ),
    limit: Annotated[int, typer.Option(min=1, help="Most turns of a set.")] = 1000,
    out: OutOption = None,
) -> None:
    """Spans in ordinary talk (telephone, meetings, technical chat), in which hardly anything is to be found."""
    from benchmarks.talk import run_talk, talk_table

    with usage_errors(), show_progress("talk") as progress:
        scores = run_talk(tagger, data, limit, progress)
    show_report([talk_table(scores)], out, "talk", scores)


@app.command()
def start(tagger: TaggerOption = DEFAULT_TAGGER, repeats: RepeatsOption = 5, out: OutOption = None) -> None:
    """First and later starts of `hearken tag`: time, processor, memory, files written. Linux only."""
    if sys.platform != "linux":
        raise SettingError("tagger", "starts are measured on Linux")
    from benchmarks.start import run_start, start_tables

    with usage_errors(), show_progress("start") as progress:
        report = run_start(tagger, repeats, progress)
    show_report(start_tables(report), out, "start", report)


@app.command()
def device(
    device: Annotated[str, typer.Option(help="GPU to measure: cuda, or cuda:1 for the second one.")] = "cuda",
    tagger: TaggerOption = DEFAULT_TAGGER,
    sessions: SessionsOption = "1,10,100,1000,10000",
    words: WordsOption = 60,
    policy: PolicyOption = DEFAULT_POLICY,
    repeats: RepeatsOption = 3,
    out: OutOption = None,
) -> None:
    """Steps, the whole engine and every kernel on a GPU, against the limits of the device."""
    counts = parse_numbers("--sessions", sessions)
    from encoder.runtime.gpu.device import CPU, DeviceError, choose_device
    from encoder.tagger import load_tagger

    with usage_errors():
        if choose_device(device) == CPU:
            raise DeviceError("--device measures a GPU: use cuda; `dense` measures the CPU")
        from benchmarks.device.run import run_device_bench  # imports Triton, which only machines with a GPU have

        loaded = load_tagger(tagger, device=device, max_sessions=max(counts))
        run_device_bench(loaded, counts, words, policy, repeats, out=out)


@app.command()
def growth(
    tagger: TaggerOption = DEFAULT_TAGGER,
    policy: PolicyOption = DEFAULT_POLICY,
    parts: PartsOption = None,
    quick: QuickOption = False,
    out: OutOption = None,
) -> None:
    """Cost of a word by number and length of sessions, rewriting and restart policy, and its floor.

    Parts: length, sessions, rewriting, threshold, floors.
    """
    names = parse_parts(parts, GROWTH_PARTS)
    from benchmarks.growth.registry import FULL, QUICK, run_part
    from benchmarks.report.growth_tables import growth_tables

    for name in names:
        with usage_errors(), show_progress(name) as progress:
            found = run_part(name, tagger, policy, QUICK if quick else FULL, progress)
        show_report(growth_tables(name, found), out, name, found)


@app.command()
def step(
    tagger: TaggerOption = DEFAULT_TAGGER,
    sessions: Annotated[int, typer.Option(min=1, help="Live sessions, each saying a word a step.")] = 64,
    policy: PolicyOption = DEFAULT_POLICY,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed.")] = 120,
    out: OutOption = None,
) -> None:
    """Processor time of a word by part of a step: the layers of the encoder, and all the code around them."""
    from benchmarks.growth.step_parts import measure_parts, parts_tables
    from consumers.common.gc_tuning import tune_interpreter

    tune_interpreter()
    with usage_errors(), show_progress("step") as progress:
        rows = measure_parts(tagger, policy, sessions, steps, progress)
    show_report(parts_tables(rows), out, "step", rows)


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="Folder with performance.md, whose blocks are rewritten; also for plots.")],
    tagger: TaggerOption = DEFAULT_TAGGER,
    policy: PolicyOption = DEFAULT_POLICY,
    parts: PartsOption = None,
    keep: Annotated[Path, typer.Option(help="Folder for a JSON file a part.")] = Path("runs/bench"),
    resume: Annotated[bool, typer.Option("--resume", help="Keep results of parts that are in the folder.")] = False,
    quick: QuickOption = False,
) -> None:
    """Measure peers and growth; write the tables and plots of docs/performance.md from all results in --keep.

    Parts: length, sessions, rewriting, threshold, floors, peers.
    """
    names = parse_parts(parts, [*GROWTH_PARTS, "peers"])
    from benchmarks.report.run import measure_part, write_report

    with usage_errors():
        for name in names:
            if not (resume and (keep / f"{name}.json").exists()):
                with show_progress(name) as progress:
                    found = measure_part(name, tagger, policy, quick, progress)
                typer.echo(save_json(keep, name, found), err=True)
        for path in write_report(keep, out):
            typer.echo(path)


@app.command()
def savings(
    results: Annotated[Path, typer.Argument(help="peers.json of `peers --out FOLDER` or of `report`.")],
    core_month: Annotated[float, typer.Option(min=0.0, metavar="DOLLARS", help="Price of a core for a month.")] = 30.0,
    share: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of a core that is used at most.")] = 0.7,
    out: Annotated[Path | None, typer.Option(help="Folder with performance.md, whose block is rewritten.")] = None,
) -> None:
    """Cores and money for 100, 1,000 and 10,000 live speakers: Hearken, its peers, and the best of them debounced."""
    from benchmarks.report.run import read_peers, write_savings
    from benchmarks.report.savings import savings_table

    with usage_errors():
        report = read_peers(results)
        print_tables([savings_table(report, core_month, share)])
        if out is not None:
            typer.echo(write_savings(report, core_month, share, out))
