"""`python -m benchmarks`: figures as tables and JSON. What else there is to measure are commands below it."""

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from consumers.common.console import console, percent
from consumers.common.settings import DEFAULT_POLICY, DEFAULT_TAGGER, NumberFormatOption

if TYPE_CHECKING:
    from benchmarks.dense import BenchReport
    from benchmarks.overload import OverloadReport

DEFAULT_OVERLOAD_SECONDS = 0.5

app = typer.Typer(name="bench")


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    tagger: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Shipped tagger or checkpoint folder to measure [default: {DEFAULT_TAGGER}]. Repeated: measure all "
            "of them on one stream against the first alone instead; FOLDER:HEAD is one head of a folder."
        ),
    ] = None,
    sessions: Annotated[str, typer.Option(help="Numbers of live sessions, parted by commas.")] = "1,8,64",
    words: Annotated[int, typer.Option(min=2, help="Words of each session's segment.")] = 60,
    policy: Annotated[str, typer.Option(help="Restart policy.")] = DEFAULT_POLICY,
    number_format: NumberFormatOption = "auto",
    repeats: Annotated[int, typer.Option(min=1, help="Interleaved repeats of each side.")] = 3,
    overload: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Measure latency at so many times the capacity instead, for the first of --sessions."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long each run under --overload gets updates.")] = 10.0,
    target: Annotated[
        float, typer.Option(min=0.001, help="Under --overload: seconds of waiting beyond which restarts get shorter.")
    ] = DEFAULT_OVERLOAD_SECONDS,
    device: Annotated[
        str | None,
        typer.Option(help="Measure a GPU instead: cuda, or cuda:1 for the second one. For 1 to 10,000 sessions."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json, or overload.json.")] = None,
) -> None:
    """Measure words a second against the same weights re-run densely on every word, in the same run."""
    if context.invoked_subcommand is not None:
        return
    from benchmarks.dense import run_bench
    from benchmarks.overload import run_overload
    from benchmarks.taggers import run_taggers
    from encoder.checkpoints.location import CheckpointError
    from encoder.restart.policies import PolicyError
    from encoder.runtime.number_format import NumberFormatError

    try:
        counts = [int(part) for part in sessions.split(",")]
        if min(counts) < 1:
            raise ValueError
    except ValueError as error:
        typer.echo(f"python -m benchmarks: --sessions {sessions!r} is not a list of numbers such as 1,8,64", err=True)
        raise typer.Exit(2) from error
    taggers = tagger or [DEFAULT_TAGGER]
    if device is not None:
        from benchmarks.commands.device import DEVICE_SESSIONS, bench_device

        source = context.get_parameter_source("sessions")
        asked = source is not None and source.name != "DEFAULT"
        bench_device(taggers[0], device, counts if asked else DEVICE_SESSIONS, words, policy, repeats, out)
        return
    if overload is not None and len(taggers) > 1:
        typer.echo("python -m benchmarks: --overload measures one --tagger", err=True)
        raise typer.Exit(2)
    try:
        if len(taggers) > 1:
            beside = run_taggers(taggers, counts, words, policy, repeats)
            _show([bench_table(beside)], beside, out, "bench-taggers.json")
            return
        if overload is not None:
            loaded = run_overload(taggers[0], counts[0], words, policy, load=overload, seconds=seconds, target=target)
            _show(overload_tables(loaded), loaded, out, "overload.json")
            return
        report = run_bench(taggers[0], counts, words, policy, repeats, number_format)
    except (CheckpointError, NumberFormatError, PolicyError) as error:
        typer.echo(f"python -m benchmarks: {error}", err=True)
        raise typer.Exit(2) from error
    _show([bench_table(report)], report, out, "bench.json")


def _show(tables: "list[Table]", report: "BenchReport | OverloadReport", out: Path | None, name: str) -> None:
    import msgspec

    console().print(*tables)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
        typer.echo(out / name)


def bench_table(report: "BenchReport") -> Table:
    """Lay out a bench: a side a row, those of one number of sessions together."""
    table = Table(title=f"{report.tagger}, {report.policy}, {report.words} words a segment, {report.number_format}")
    for head in ("sessions", "side", "words/s", "spread", "p50 ms", "p99 ms", "ratio"):
        table.add_column(head, justify="left" if head == "side" else "right", no_wrap=head == "side")
    for row, after in zip_longest(report.rows, report.rows[1:]):
        table.add_row(
            str(row.sessions),
            row.side,
            f"{row.words_per_second:,.0f}",
            f"{row.slowest:,.0f} - {row.fastest:,.0f}",
            f"{row.p50_ms:.2f}",
            f"{row.p99_ms:.2f}",
            "" if row.ratio is None else f"{row.ratio:.2f}x" if row.ratio < 10 else f"{row.ratio:.1f}x",
            end_section=after is None or after.sessions != row.sessions,
        )
    return table


def overload_tables(report: "OverloadReport") -> list[Table]:
    """Lay out a bench of overload: the capacities, and how long updates waited in each way."""
    capacity = Table(title=f"{report.tagger}, {report.sessions} sessions, segments of {report.words} words")
    capacity.add_column("restarts")
    for head in ("updates/s", "ratio"):
        capacity.add_column(head, justify="right")
    full = report.capacities[0].updates_per_second
    for row in report.capacities:
        capacity.add_row(row.restarts, f"{row.updates_per_second:,.0f}", f"{row.updates_per_second / full:.2f}x")
    waiting = Table(title=f"{report.load:g} times the capacity of {report.policy} for {report.seconds:g} s")
    for head in ("coalesced", "restarts", "p50 ms", "p99 ms", "p99 ms, last quarter", "shortened %", "skipped %"):
        waiting.add_column(head, justify="left" if head == "restarts" else "right")
    for way in report.waiting:
        waiting.add_row(
            "yes" if way.coalesce else "no",
            f"shorter beyond {report.target:g} s" if way.governed else "as the policy says",
            *(f"{x:,.0f}" for x in (way.p50_ms, way.p99_ms, way.last_p99_ms)),
            *(percent(x) for x in (way.shortened, way.coalesced)),
            end_section=way.governed,
        )
    return [capacity, waiting]
