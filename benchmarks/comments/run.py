"""`python -m benchmarks comments`: comments a second of one core through `hearken listen`, beside another model.

Both have the same core, in turns. The service does all of its work there: HTTP, JSON and labelling. The other model
computes batches of tokens that are there already, without HTTP and without a tokenizer.
"""

import asyncio
import math
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec
import numpy as np

from benchmarks.comments.load import ask_at_rate, ask_without_pause, make_request
from benchmarks.comments.peer import NAME, build_small_detoxify
from benchmarks.harness.interleaved import interleave
from benchmarks.harness.machine import Machine, this_machine
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, format_number, format_ratio, make_table
from benchmarks.harness.texts import make_texts
from consumers.common.errors import OperationFailed
from consumers.kafka.brokers.apache_kafka import free_ports
from encoder.checkpoints.checkpoint import load_checkpoint
from encoder.checkpoints.names import choose_taggers

CONNECTIONS = 32
BATCHES = (1, 8, 32)
_READY_SECONDS = 120.0
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """One side; rates are medians over the repeats."""

    side: str
    comments_per_second: float
    comments_per_cpu_second: float
    """By the processor time of the side alone, which other load on the machine changes less."""


class CommentsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the benchmark."""

    machine: Machine
    tagger: str
    words: int
    tokens: int
    sides: list[Throughput]
    ratio: float
    """Comments per second of processor time, ours divided by the other model's best batch."""
    rate: float
    """Comments a second of the second load: half of what was reached without pause."""
    p50_ms: float
    p99_ms: float


def run_comments(
    tagger: str, words: int, seconds: float, repeats: int, progress: ReportProgress, with_peer: bool = True
) -> CommentsReport:
    """Measure.

    Args:
        tagger: of the service, with text scores.
        words: of each comment.
        seconds: duration of each part of a repeat.
        repeats: of each side, in turns.
        progress: told of each part.
        with_peer: whether the other model is measured.

    Raises:
        MissingPackages: the other model cannot be built.
        OperationFailed: the service does not start.
    """
    texts = [" ".join(text) for text in make_texts(256, words)]
    (choice,) = choose_taggers([tagger])
    tokenizer = load_checkpoint(str(choice.folder), calibrated=False).tokenizer
    tokens = round(statistics.mean(len(tokenizer.encode(text).ids) for text in texts))
    requests = [make_request(text) for text in texts]
    cores = sorted(os.sched_getaffinity(0))
    progress("building", 0.0)
    sides: list[tuple[str, Callable[[], tuple[float, float]]]] = []
    with _listening(tagger, cores[0]) as (port, process):
        others = set(cores[1:] or cores)

        def ours() -> tuple[float, float]:
            os.sched_setaffinity(0, others)
            began = _processor_seconds(process)
            found = asyncio.run(ask_without_pause(port, requests, CONNECTIONS, seconds))
            return len(found) / seconds, len(found) / (_processor_seconds(process) - began)

        ours()  # once unmeasured: kernels are loaded
        sides.append((f"hearken listen, {CONNECTIONS} connections", ours))
        if with_peer:
            run = build_small_detoxify()
            sides += [(f"{NAME}, batches of {size}", _peer(run, size, tokens, seconds, cores[0])) for size in BATCHES]
        found = interleave([measure for _, measure in sides], repeats, lambda share: progress("measuring", share))
        rows = [
            Throughput(
                side=name,
                comments_per_second=statistics.median(wall for wall, _ in runs),
                comments_per_cpu_second=statistics.median(cpu for _, cpu in runs),
            )
            for (name, _), runs in zip(sides, found, strict=True)
        ]
        rate = rows[0].comments_per_second / 2
        progress("latency", 0.9)
        os.sched_setaffinity(0, others)
        waits = asyncio.run(ask_at_rate(port, requests, rate, max(2 * seconds, 1.0)))
    os.sched_setaffinity(0, cores)
    best = max((row.comments_per_cpu_second for row in rows[1:]), default=float("nan"))
    p50, p99 = 1000 * np.percentile(waits, [50, 99])
    return CommentsReport(
        machine=this_machine(),
        tagger=tagger,
        words=words,
        tokens=tokens,
        sides=rows,
        ratio=rows[0].comments_per_cpu_second / best,
        rate=rate,
        p50_ms=float(p50),
        p99_ms=float(p99),
    )


def comments_tables(report: CommentsReport) -> list[Table]:
    """Lay out a report."""
    throughput = make_table(
        f"Comments of {report.words} words ({report.tokens} tokens) on one core",
        report.sides,
        {
            "side": lambda x: x.side,
            "comments/s": lambda x: format_number(x.comments_per_second),
            "per second of processor time": lambda x: format_number(x.comments_per_cpu_second),
        },
    )
    latency = make_table(
        "hearken listen at half of that, arrivals by chance",
        [report],
        {
            "comments/s": lambda x: format_number(x.rate),
            "p50 (ms)": lambda x: format_number(x.p50_ms),
            "p99 (ms)": lambda x: format_number(x.p99_ms),
            "ours / best of the other": lambda x: format_ratio(x.ratio) if math.isfinite(x.ratio) else "not measured",
        },
        left=0,
    )
    return [throughput, latency]


def _peer(
    run: Callable[[int, int], float], size: int, tokens: int, seconds: float, core: int
) -> Callable[[], tuple[float, float]]:
    def measure() -> tuple[float, float]:
        os.sched_setaffinity(0, {core})
        run(size, tokens)
        done, wall, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < seconds:
            run(size, tokens)
            done += size
        return done / (time.perf_counter() - wall), done / (time.process_time() - cpu)

    return measure


@contextmanager
def _listening(tagger: str, core: int) -> Iterator[tuple[int, int]]:
    """Run `hearken listen` on one core inside the block; yields its port and its process id."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "consumers.cli.main", "listen", "--tagger", tagger, "--http-port", str(port)]
    process = subprocess.Popen([*command, "--http-rate", "0"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {core})
    try:
        _wait_until_ready(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return
        time.sleep(0.2)
    raise OperationFailed("hearken listen does not get ready")


def _processor_seconds(process: int) -> float:
    """Return the processor time of a process with all its threads. Linux only."""
    with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
        fields: Sequence[str] = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
