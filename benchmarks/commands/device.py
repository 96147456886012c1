"""`python -m benchmarks --device`: the tables of what a device does."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.device.run import DeviceReport

DEVICE_SESSIONS = (1, 10, 100, 1000, 10_000)
"""Numbers of live sessions, unless somebody asks for others."""


def bench_device(
    tagger: str, device: str, sessions: Sequence[int], words: int, policy: str, repeats: int, out: Path | None
) -> None:
    """Measure a device, and show it; without one, say so in one line and exit with 2."""
    import msgspec

    from consumers.common.console import console
    from encoder.checkpoints.location import CheckpointError
    from encoder.restart.policies import PolicyError
    from encoder.runtime.gpu.device import DeviceError, choose_device
    from encoder.tagger import load_single_tagger

    try:
        if choose_device(device).type == "cpu":
            raise DeviceError("--device measures a GPU: use cuda; without it the CPU is measured")
        from benchmarks.device.run import run_device_bench  # Triton is there only where a GPU may be

        loaded = load_single_tagger(tagger, device=device, max_sessions=max(sessions))
        report = run_device_bench(loaded, sessions, words, policy, repeats)
    except (CheckpointError, PolicyError, DeviceError) as error:
        typer.echo(f"python -m benchmarks: {error}", err=True)
        raise typer.Exit(2) from error
    console().print(*device_tables(report))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        path = out / "bench-device.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
        typer.echo(path)


def device_tables(report: "DeviceReport") -> list[Table]:
    """Lay out a bench of a device: steps, the whole engine, and each kernel beside torch's best."""
    return [_steps(report), _engine(report), _kernels(report)]


def _steps(report: "DeviceReport") -> Table:
    limits = report.limits
    table = Table(
        title=f"{report.tagger} on {report.device}, {report.number_format}, {report.policy}, {report.words} words a "
        f"segment; measured limits: {limits.teraflops:,.0f} TFLOP/s, {limits.gigabytes:,.0f} GB/s"
    )
    heads = (
        "sessions",
        "words/s, device",
        "words/s",
        "p50 ms",
        "p99 ms",
        "tail tokens",
        "launches",
        "kernels",
        "waits",
    )
    for head in (*heads, "reruns", "of GEMM %", "of bandwidth %"):
        table.add_column(head, justify="right")
    for row in report.rows:
        rates = (f"{row.device_words:,.0f}", f"{row.words:,.0f}", f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}")
        counts = (row.tail_tokens, row.launches, row.kernels, row.waits, row.reruns)
        shares = (row.gemm_share, row.bandwidth_share)
        table.add_row(
            f"{row.sessions:,}" + (", whole" if row.saturated else ""),
            *rates,
            *(f"{x:,.1f}".removesuffix(".0") for x in counts),
            *(f"{100 * x:.1f}" for x in shares),
        )
    return table


def _engine(report: "DeviceReport") -> Table:
    table = Table(title="from updates to revisions, one process")
    for head in ("sessions", "words/s", "p50 ms", "p99 ms"):
        table.add_column(head, justify="right")
    for row in report.engine:
        table.add_row(f"{row.sessions:,}", f"{row.words:,.0f}", f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}")
    return table


def _kernels(report: "DeviceReport") -> Table:
    table = Table(title="kernels beside torch's best way (more than 1x: ours is faster)")
    for head in ("kernel", "size", "us", "torch's best", "ratio", "of bandwidth %", "failed"):
        table.add_column(head, justify="left" if head in ("kernel", "size", "torch's best", "failed") else "right")
    for row in report.kernels:
        name, ratio = row.best or ("-", float("nan"))
        said = f"{name} {row.peers_us[name]:.1f} us" if row.best else "-"
        failed = "; ".join(f"{way}: {why}" for way, why in row.failed.items())
        table.add_row(
            row.kernel,
            row.size,
            f"{row.ours_us:.1f}",
            said,
            f"{ratio:.2f}x",
            f"{100 * row.bandwidth_share:.1f}",
            failed,
        )
    return table
