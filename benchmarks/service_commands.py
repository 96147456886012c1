"""Commands of `python -m benchmarks` that measure a running service: Kafka, load, fairness, workers, overload."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.harness.progress import show_progress
from benchmarks.harness.tables import show_report
from consumers.cli.options import ApacheKafkaOption
from consumers.common.logs import configure_logging
from consumers.common.settings import (
    DEFAULT_POLICY,
    DEFAULT_TAGGER,
    OFFLINE,
    EngineSettings,
    ServiceSettings,
    SettingError,
    parse_taggers,
)
from consumers.kafka.client.security import check_broker_choice

if TYPE_CHECKING:
    from benchmarks.kafka.report import KafkaRun
from benchmarks.options import (
    GuaranteeChoice,
    OutOption,
    PolicyOption,
    QuickOption,
    RepeatsOption,
    TaggerOption,
    WordsOption,
    app,
    choose_guarantees,
    parse_numbers,
    usage_errors,
)

DISTURBED = 0.03
"""Share of the service's core that other processes used beyond which a run does not measure the service."""


@app.command()
def overload(
    tagger: TaggerOption = DEFAULT_TAGGER,
    sessions: Annotated[int, typer.Option(min=1, help="Number of live sessions.")] = 64,
    words: WordsOption = 60,
    policy: PolicyOption = DEFAULT_POLICY,
    load: Annotated[float, typer.Option(min=0.1, help="Arriving updates as a multiple of the capacity.")] = 1.5,
    seconds: Annotated[float, typer.Option(min=1.0, help="Duration of each run.")] = 10.0,
    target: Annotated[
        float, typer.Option(min=0.001, help="Waiting time in seconds beyond which restarts get shorter.")
    ] = EngineSettings.overload_seconds,
    out: OutOption = None,
) -> None:
    """Latency beyond capacity, with and without shorter restarts and coalescing."""
    from benchmarks.overload import overload_tables, run_overload

    with usage_errors(), show_progress("overload") as progress:
        report = run_overload(
            tagger, sessions, words, policy, load=load, seconds=seconds, target=target, progress=progress
        )
    show_report(overload_tables(report), out, "overload", report)


@app.command()
def fairness(
    tagger: Annotated[str, typer.Option(help="Taggers of the service, separated by commas.")] = "ner,moderation",
    sockets: Annotated[int, typer.Option(min=0, help="WebSockets beyond capacity; 0: none.")] = 200,
    load: Annotated[float, typer.Option(min=0.1, help="Their updates as a multiple of the capacity.")] = 3.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="Duration of that.")] = 60.0,
    quick: QuickOption = False,
    out: OutOption = None,
) -> None:
    """A few words behind others' long texts, and many WebSockets beyond capacity, on `hearken listen`."""
    from benchmarks.fairness.run import fairness_tables, run_fairness

    with usage_errors(), show_progress("fairness") as progress:
        report = run_fairness(tagger.split(","), sockets, load, seconds, progress, quick)
    show_report(fairness_tables(report), out, "fairness", report)


@app.command()
def workers(
    tagger: TaggerOption = DEFAULT_TAGGER,
    workers: Annotated[int | None, typer.Option(min=2, help="Processes at once [default: one for each core].")] = None,
    sessions: Annotated[int, typer.Option(min=1, help="Live sessions of each worker.")] = 64,
    words: WordsOption = 60,
    policy: PolicyOption = DEFAULT_POLICY,
    repeats: RepeatsOption = 9,
    out: OutOption = None,
) -> None:
    """Scaling and memory of several workers on one machine. Linux only."""
    if sys.platform != "linux":
        raise SettingError("workers", "workers that share weights are for Linux")
    from benchmarks.workers import run_workers, workers_tables

    count = workers or max(2, len(os.sched_getaffinity(0)))
    with usage_errors(), show_progress("workers") as progress:
        report = run_workers(tagger, count, sessions, words, policy, repeats, progress)
    show_report(workers_tables(report), out, "workers", report)


@app.command()
def scale(
    tagger: Annotated[list[str] | None, typer.Option(help="Taggers of the workers.")] = None,
    policy: PolicyOption = DEFAULT_POLICY,
    sessions: Annotated[str, typer.Option(help="Numbers of sessions to restore, separated by commas.")] = "1000,10000",
    minutes: Annotated[float, typer.Option(min=0.2, help="That each session has spoken.")] = 2.0,
    workers: Annotated[str, typer.Option(help="Sizes of groups of which one worker leaves.")] = "2,4,8",
    worker_speakers: Annotated[
        int, typer.Option(min=0, help="Live speakers of a worker, for the model. [half of what the engine carries]")
    ] = 0,
    load: Annotated[float, typer.Option(min=0.05, max=1.0, help="Of each worker before that.")] = 0.5,
    seconds: Annotated[float, typer.Option(min=2.0, help="Of speech after a takeover.")] = 20.0,
    rolling: Annotated[
        int, typer.Option(min=0, help="Speakers of two rolling restarts of two worker processes; 0: none.")
    ] = 0,
    warm_up: Annotated[float, typer.Option(min=2.0, help="Seconds of speech before a rolling restart.")] = 60.0,
    broker: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Brokers to use, not our own.")] = None,
    partitions: Annotated[int, typer.Option(min=1, help="Of the topics of a restore.")] = 4,
    quick: QuickOption = False,
    out: OutOption = None,
) -> None:
    """Restores, takeovers and rolling restarts of a group, and a model of 2 to 8 workers from them."""
    from benchmarks.scale.run import ScaleSettings, parse_sizes, run_scale, scale_tables

    configure_logging("error")
    restores = (200, 1000) if quick else parse_sizes(parse_numbers("--sessions", sessions), 1)
    settings = ScaleSettings(
        broker=broker,
        taggers=tuple(parse_taggers(tagger)),
        policy=policy,
        minutes=0.5 if quick else minutes,
        restores=restores,
        workers=(2,) if quick else parse_sizes(parse_numbers("--workers", workers), 2),
        worker_speakers=worker_speakers,
        load=load,
        seconds=4.0 if quick else seconds,
        partitions=partitions,
        rolling=rolling,
        warm_up=warm_up,
    )
    with usage_errors(), show_progress("scale") as progress:
        report = run_scale(settings, progress, lambda line: typer.echo(line, err=True))
    show_report(scale_tables(report), out, "scale", report)


@app.command()
def kafka(
    sessions: Annotated[str, typer.Option(help="Numbers of speakers, separated by commas; or none.")] = "1,64,1000",
    search: Annotated[bool, typer.Option(help="Search for the most speakers within --target-ms at p99.")] = True,
    target_ms: Annotated[float, typer.Option(min=1.0, help="From due time of a word to reading its label.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="Duration of each run's measurement.")] = 15.0,
    warm_up: Annotated[float, typer.Option(min=0.5, help="Seconds of each run before that.")] = 5.0,
    most: Annotated[int, typer.Option(min=1, help="Largest number of speakers.")] = 16_000,
    guarantee: Annotated[
        GuaranteeChoice | None,
        typer.Option(help="Of the service. [both; on the embedded broker, without transactions, the first]"),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Brokers to use, not our own (topics hearken-bench-* stay there)."),
    ] = None,
    apache_kafka: ApacheKafkaOption = False,
    partitions: Annotated[int, typer.Option(min=1, help="Of each topic.")] = 4,
    commit_seconds: Annotated[
        float, typer.Option(help="Of the service: interval of commits, and of transactions with exactly once.")
    ] = ServiceSettings.commit_seconds,
    tagger: Annotated[list[str] | None, typer.Option(help="Taggers of the service.")] = None,
    policy: PolicyOption = DEFAULT_POLICY,
    out: Annotated[Path | None, typer.Option(help="Folder for kafka.json and kafka.md.")] = None,
) -> None:
    """Latency from a word to its label through Kafka, and the live speakers that one core carries."""
    from benchmarks.kafka.bench import KafkaBenchSettings, run_kafka
    from benchmarks.kafka.report import kafka_tables, write_kafka_page
    from consumers.kafka.brokers.embedded import OwnBroker

    configure_logging("warning")
    check_broker_choice(broker, own=apache_kafka)
    embedded = broker is None and not apache_kafka
    settings = KafkaBenchSettings(
        broker=broker or (OwnBroker.EMBEDDED if embedded else OwnBroker.APACHE),
        taggers=tuple(parse_taggers(tagger)),
        policy=policy,
        guarantees=choose_guarantees(guarantee, embedded),
        sessions=() if sessions == "none" else tuple(parse_numbers("--sessions", sessions)),
        search=search,
        most=most,
        seconds=seconds,
        warm_up=warm_up,
        target_ms=target_ms,
        partitions=partitions,
        commit_seconds=commit_seconds,
    )
    found = run_kafka(settings, lambda line: typer.echo(line, err=True), _print_run)
    show_report(kafka_tables(found), out, "kafka", found)
    for promise, carried in found.carried.items():
        typer.echo(f"{promise}: one core carries {carried:,} live speakers at p99 <= {target_ms:g} ms")
    if out is not None:
        typer.echo(write_kafka_page(found, out))


@app.command()
def soak(
    seconds: Annotated[float, typer.Option(min=5.0, help="Duration of the load.")] = 3600.0,
    speakers: Annotated[int, typer.Option(min=0, help="Live speakers; 0: --share of the measured capacity.")] = 0,
    share: Annotated[float, typer.Option(min=0.01, max=2.0, help="Share of the capacity of one core.")] = 0.7,
    hostile: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of records that are hostile.")] = 0.05,
    broker: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Brokers to use, not our own.")] = None,
    apache_kafka: ApacheKafkaOption = False,
    tagger: Annotated[list[str] | None, typer.Option(help="Taggers of the service.")] = None,
    policy: PolicyOption = DEFAULT_POLICY,
    out: Annotated[Path | None, typer.Option(help="Folder for soak.json and soak.png.")] = Path("runs/soak"),
) -> None:
    """Memory, latency and labels in an hour of load with hostile records; exit code 1 if they do not hold."""
    from benchmarks.soak.report import plot_soak, soak_tables
    from benchmarks.soak.run import SoakSettings, run_soak
    from consumers.kafka.brokers.embedded import OwnBroker
    from consumers.runtime.engine_factory import build_engine

    configure_logging("warning")
    check_broker_choice(broker, own=apache_kafka)
    taggers = tuple(parse_taggers(tagger))
    settings = SoakSettings(
        broker=broker or (OwnBroker.APACHE if apache_kafka else OwnBroker.EMBEDDED),
        taggers=taggers,
        policy=policy,
        seconds=seconds,
        speakers=speakers,
        share=share,
        hostile_share=hostile,
    )
    offline = EngineSettings(tagger=list(taggers), policy=policy, **OFFLINE)
    with usage_errors():
        found = run_soak(settings, lambda: build_engine(offline), lambda line: typer.echo(line, err=True))
    show_report(soak_tables(found), out, "soak", found)
    for line in found.wrong:
        typer.echo(line, err=True)
    if out is not None:
        typer.echo(plot_soak(found, out / "soak.png"))
    raise typer.Exit(0 if found.passed else 1)


def _print_run(run: "KafkaRun") -> None:
    disturbed = f"; others took {100 * run.others_share:.0f} % of its core!" if run.others_share > DISTURBED else ""
    answered = run.answered
    typer.echo(
        f"  {run.words_per_second:,.0f} words/s; p50 {answered.p50_ms:.0f}, p99 {answered.p99_ms:.0f}, "
        f"max {answered.max_ms:.0f} ms; {run.cpu_ms_a_word:.2f} ms of processor a word{disturbed}",
        err=True,
    )
