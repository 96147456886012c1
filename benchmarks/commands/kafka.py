"""`python -m benchmarks kafka`: live speakers through Kafka, end to end, against a service that is a process of its
own.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.cli.options import ApacheKafkaOption
from consumers.common.logs import configure_logging
from consumers.common.settings import DEFAULT_POLICY, ServiceSettings, SettingError, TaggerOption, parse_taggers
from consumers.kafka.client.security import check_brokers

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.kafka.report import KafkaReport, Run
    from consumers.common.settings import Guarantee


DISTURBED = 0.03
"""Share of the service's core that others took, beyond which a run is no measure of it."""


class GuaranteeChoice(StrEnum):
    """One, or both in turn."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"
    BOTH = "both"


def bench_kafka(
    sessions: Annotated[str, typer.Option(help="Numbers of speakers, parted by commas; or none.")] = "1,64,1000",
    search: Annotated[
        bool, typer.Option(help="Find how many speakers are carried with the 99th percentile within --target-ms.")
    ] = True,
    target_ms: Annotated[
        float, typer.Option(min=1.0, help="From when a word is due to when its label is read.")
    ] = 100.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long each run is measured.")] = 15.0,
    warm_up: Annotated[float, typer.Option(min=0.5, help="Seconds of each run before that.")] = 5.0,
    most: Annotated[int, typer.Option(min=1, help="Speakers at most.")] = 16_000,
    guarantee: Annotated[
        GuaranteeChoice | None,
        typer.Option(help="What the service promises. [both; on the embedded broker, without transactions, the first]"),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Use these brokers, not our own (topics hearken-bench-* stay there)."),
    ] = None,
    apache_kafka: ApacheKafkaOption = False,
    partitions: Annotated[int, typer.Option(min=1, help="Of each topic.")] = 4,
    commit_seconds: Annotated[
        float, typer.Option(help="The service's: exactly once, how often a partition has a transaction.")
    ] = ServiceSettings.commit_seconds,
    tagger: TaggerOption = None,
    policy: Annotated[str, typer.Option(help="Restart policy.")] = DEFAULT_POLICY,
    out: Annotated[Path | None, typer.Option(help="Folder for kafka.json and kafka.md.")] = None,
) -> None:
    """Measure latency from a word to its label through Kafka, and how many live speakers one core carries."""
    from benchmarks.kafka.bench import BenchSettings, run_bench
    from consumers.common.console import console
    from consumers.kafka.brokers.embedded import OwnBroker

    configure_logging("warning")
    check_brokers(broker, own=apache_kafka)
    embedded = broker is None and not apache_kafka
    settings = BenchSettings(
        broker=broker or (OwnBroker.EMBEDDED if embedded else OwnBroker.APACHE),
        taggers=tuple(parse_taggers(tagger)),
        policy=policy,
        guarantees=_guarantees(guarantee, embedded),
        sessions=_counts(sessions),
        search=search,
        most=most,
        seconds=seconds,
        warm_up=warm_up,
        target_ms=target_ms,
        partitions=partitions,
        commit_seconds=commit_seconds,
    )
    report = run_bench(settings, tell=_tell, show=lambda run: _tell(_line(run)))
    console().print(*tables(report))
    for promise, carried in report.carried.items():
        typer.echo(f"{promise}: one core carries {carried:,} live speakers at p99 <= {target_ms:g} ms")
    if out is not None:
        write(report, out)


def _guarantees(asked: GuaranteeChoice | None, embedded: bool) -> tuple["Guarantee", ...]:
    if asked is None:
        return ("at_least_once",) if embedded else ("at_least_once", "exactly_once")
    if embedded and asked is not GuaranteeChoice.AT_LEAST_ONCE:
        raise SettingError("guarantee", "the embedded broker has no transactions: add --apache-kafka, or --broker")
    if asked is GuaranteeChoice.BOTH:
        return "at_least_once", "exactly_once"
    return ("exactly_once",) if asked is GuaranteeChoice.EXACTLY_ONCE else ("at_least_once",)


def _counts(sessions: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in sessions.split(",") if part.strip() not in ("", "none"))
    except ValueError:
        counts = (0,)
    if min(counts, default=1) < 1:
        raise SettingError("sessions", f"{sessions!r} is not a list of numbers such as 1,64,1000")
    return counts


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _line(run: "Run") -> str:
    return (
        f"  {run.words_per_second:,.0f} words/s; p50 {run.answered.p50_ms:.0f}, p99 {run.answered.p99_ms:.0f}, "
        f"max {run.answered.max_ms:.0f} ms; {run.cpu_ms_a_word:.2f} ms of processor a word"
        + (f"; others took {100 * run.others_share:.0f} % of its core!" if run.others_share > DISTURBED else "")
    )


def tables(report: "KafkaReport") -> "list[Table]":
    """Lay out a bench: latency, where a message's time goes, and what it took."""
    from rich.table import Table

    found = []
    for title, heads, rows in _sheets(report):
        table = Table(title=title)
        for number, head in enumerate(heads):
            table.add_column(head, justify="right" if number else "left", no_wrap=not number)
        for row in rows:
            table.add_row(*row)
        found.append(table)
    return found


def write(report: "KafkaReport", out: Path) -> None:
    """Write the figures as JSON, and the tables for a document."""
    import msgspec

    out.mkdir(parents=True, exist_ok=True)
    (out / "kafka.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    text = []
    for title, heads, rows in _sheets(report):
        lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
        text += [f"*{title}*", "", *("| " + " | ".join(line) + " |" for line in lines), ""]
    text += [
        f"{promise}: one core carries **{carried:,}** live speakers at p99 <= {report.target_ms:g} ms."
        for promise, carried in report.carried.items()
    ]
    (out / "kafka.md").write_text("\n".join(text) + "\n")
    typer.echo(out / "kafka.md")


def _sheets(report: "KafkaReport") -> "list[tuple[str, list[str], list[list[str]]]]":
    """Tables: title, heads, rows."""
    setting = f"{', '.join(report.taggers)}, {report.policy}; {report.broker}; {report.cores}"
    found = []
    for title, heads, row in (
        (f"milliseconds from when a message was due to when its revision was read ({setting})", _LATENCY, _latency),
        ("mean milliseconds of a message in each phase", _PHASES, _phases),
        ("what it took", _COST, _cost),
    ):
        rows = [[run.guarantee.replace("_", " "), f"{run.sessions:,}", *row(run)] for run in report.runs]
        found.append((title, ["guarantee", "speakers", *heads], rows))
    return found


_LATENCY = ("words/s", "answered", "p50", "p99", "max", "words p99", "closings p99", "all, in the service: p99")


def _latency(run: "Run") -> list[str]:
    served = f"<= {run.served_p99_ms:,.0f}" if run.served_p99_ms else "-"
    spreads = run.answered.p50_ms, run.answered.p99_ms, run.answered.max_ms, run.words.p99_ms, run.closings.p99_ms
    return [f"{run.words_per_second:,.0f}", f"{run.answered.count:,}", *(f"{x:,.0f}" for x in spreads), served]


_PHASES = ("sender", "broker in", "queue", "step", "handover", "state", "publish", "broker out", "all")


def _phases(run: "Run") -> list[str]:
    named = ("sender", "broker", "queue", "step", "handover", "state", "publish", "out")
    return [*(f"{run.phases[x]:.1f}" if x in run.phases else "-" for x in named), f"{run.answered.mean_ms:.1f}"]


_COST = (
    "cpu ms a word",
    "event loop's",
    "of its core",
    "others there",
    "left out",
    "shortened",
    "MiB",
    "sender late p99",
)


def _cost(run: "Run") -> list[str]:
    before, after = run.resident_mib
    return [
        f"{run.cpu_ms_a_word:.3f}",
        f"{run.cpu_loop_ms_a_word:.3f}",
        *(f"{100 * x:.0f} %" for x in (run.core_share, run.others_share)),
        *(f"{x:,}" for x in (run.coalesced, run.shortened)),
        f"{before:,.0f} to {after:,.0f}",
        f"{run.slip.p99_ms:.1f}",
    ]
