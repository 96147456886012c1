"""`python -m benchmarks workers`: several processes that share weights, against one."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from consumers.common.settings import DEFAULT_POLICY, DEFAULT_TAGGER, SettingError

if TYPE_CHECKING:
    from benchmarks.workers import WorkersReport


def bench_workers(
    tagger: Annotated[str, typer.Option(help="Shipped tagger or checkpoint folder to measure.")] = DEFAULT_TAGGER,
    workers: Annotated[
        int | None, typer.Option(min=2, help="Processes at once, against one; as many as cores if not given.")
    ] = None,
    sessions: Annotated[int, typer.Option(min=1, help="Live sessions of each worker.")] = 64,
    words: Annotated[int, typer.Option(min=2, help="Words of each session's segment.")] = 60,
    policy: Annotated[str, typer.Option(help="Restart policy.")] = DEFAULT_POLICY,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats of each side, in turns.")] = 9,
    out: Annotated[Path | None, typer.Option(help="Folder for bench-workers.json.")] = None,
) -> None:
    """Measure how several workers on one machine scale, and what memory each takes. Linux only."""
    if sys.platform != "linux":
        raise SettingError("workers", "workers that share weights are for Linux")
    from benchmarks.workers import run_workers
    from consumers.common.console import console
    from encoder.checkpoints.location import CheckpointError
    from encoder.restart.policies import PolicyError

    count = workers or max(2, len(os.sched_getaffinity(0)))
    try:
        report = run_workers(tagger, count, sessions, words, policy, repeats)
    except CheckpointError as error:
        raise SettingError("tagger", str(error)) from error
    except PolicyError as error:
        raise SettingError("policy", str(error)) from error
    console().print(*workers_tables(report))
    if out is not None:
        write_report(report, out)


def write_report(report: "WorkersReport", out: Path) -> None:
    """Write it as JSON into a folder, which is made if it is not there."""
    import msgspec

    out.mkdir(parents=True, exist_ok=True)
    path = out / "bench-workers.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    typer.echo(path)


def workers_tables(report: "WorkersReport") -> list[Table]:
    """Lay out a bench: what is done a second, and memory."""
    title = f"{report.tagger}, {report.policy}, {report.number_format}, {report.cores} cores"
    speed = Table(title=f"{title}; {report.sessions} sessions a worker, {report.words} words a segment")
    for head in ("side", "workers", "words/s", "spread", "CPU us/word", "scaling", "words a CPU second"):
        speed.add_column(head, justify="left" if head == "side" else "right", no_wrap=True)
    for row in report.rows:
        speed.add_row(
            row.side,
            str(row.workers),
            f"{row.per_second:,.0f}",
            f"{row.slowest:,.0f} - {row.fastest:,.0f}",
            f"{row.cpu_us:,.0f}",
            f"{row.scaling:.2f}x",
            f"{row.per_cpu:.2f}x",
        )
    speed.caption = (
        "cores: thousands of small products of matrices in place of words, what the machine can give; "
        f"other programs had {100 * report.others:.0f} % of it meanwhile"
    )
    memory = Table(title="Memory of a worker, MiB")
    for head in ("side", "resident", "shared", "private", "of it copied", "its part of all (PSS)"):
        memory.add_column(head, justify="left" if head == "side" else "right")
    for taken in report.memory:
        figures = (taken.resident, taken.shared, taken.private, taken.copied, taken.proportional)
        memory.add_row(taken.side, *(f"{x / 2**20:,.0f}" for x in figures))
    return [speed, memory]
