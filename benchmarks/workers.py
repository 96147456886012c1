"""Scaling of several workers on one machine: words a second and memory of several processes against one.

All sides run in turns in the same processes: one worker alone; all at once, with weights that were loaded once and are
shared; the same pinned to a core each; and as many processes that loaded weights of their own. Small matrix products
that stay in the first-level cache measure what the cores themselves give: where those do not scale, nothing does.
Linux only.
"""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import numpy as np
import torch

from benchmarks.harness.engine_feed import time_words
from benchmarks.harness.interleaved import interleave
from benchmarks.harness.parallel_processes import PRODUCTS, Done, Order, measure, read_busy, started
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, make_table
from benchmarks.harness.texts import make_texts
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger

SHARED, OWN, CORES = "shared weights", "own weights", "cores"
SIDES = ("one worker", SHARED, "shared, a core each", OWN)


class WorkersRow(msgspec.Struct, frozen=True, kw_only=True):
    """One side; rates are of all its workers together, until the last one has finished."""

    side: str
    workers: int
    per_second: float
    """Median over the repeats: words, or thousands of products for `cores`."""
    slowest: float
    fastest: float
    cpu_us: float
    """Microseconds of processor a word, or a thousand products."""
    scaling: float
    """Rate over that of one worker alone."""
    per_cpu: float
    """Rate a processor second over that of one worker alone: what caches, memory and clocks cost. The rest of what is
    missing from the scaling is waiting for a core."""


class MemoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of the workers of a side in bytes, on average, after a run."""

    side: str
    resident: int
    shared: int
    """In pages that another process has too."""
    private: int
    copied: int
    """Pages shared when the worker began that it has written to since. Weights are not among them."""
    proportional: int
    """Proportional set size: each page divided by the number of processes that share it."""


class WorkersReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one run."""

    tagger: str
    policy: str
    number_format: str
    sessions: int
    """Of each worker."""
    words: int
    """Of each session's segment."""
    cores: int
    others: float
    """Share of the machine's processor time that other programs took: beyond a few per cent, run it again."""
    rows: list[WorkersRow]
    memory: list[MemoryRow]


def workers_row(
    side: str, amount: float, runs: Sequence[Sequence[Done]], alone: Sequence[Sequence[Done]]
) -> WorkersRow:
    """Summarise one side: for each repeat what each of its workers did, `amount` each; `alone` is one worker's."""
    rates, cpu = _rates(amount, runs)
    rates_alone, cpu_alone = _rates(amount, alone)
    return WorkersRow(
        side=side,
        workers=len(runs[0]),
        per_second=float(np.median(rates)),
        slowest=min(rates),
        fastest=max(rates),
        cpu_us=1e6 * float(np.median(cpu)),
        scaling=float(np.median(rates) / np.median(rates_alone)),
        per_cpu=float(np.median(cpu_alone) / np.median(cpu)),
    )


def _rates(amount: float, runs: Sequence[Sequence[Done]]) -> tuple[list[float], list[float]]:
    """Return for each repeat the rate of all workers together, and the processor seconds of one unit."""
    rates = [amount * len(run) / max(done.wall for done in run) for run in runs]
    return rates, [sum(done.cpu for done in run) / len(run) / amount for run in runs]


def run_workers(
    name: str, workers: int, sessions: int, words: int, policy: str, repeats: int, progress: ReportProgress
) -> WorkersReport:
    """Measure all sides.

    Args:
        name: of the tagger.
        workers: number of them, against one.
        sessions: live sessions of each worker.
        words: of each session's segment.
        policy: restart policy.
        repeats: of each side, in turns.
        progress: called with what is done next.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    torch.set_num_threads(1)
    tagger = load_single_tagger(name, max_sessions=sessions)
    policy = resolve_policy(policy, tagger.default_policy)
    cores = sorted(os.sched_getaffinity(0))
    live = partial(prepare_run, tagger, sessions, words, policy)
    own = partial(_load_and_prepare, name, sessions, words, policy)
    with started("fork", workers, live) as shared, started("spawn", workers, own) as apart:
        progress("all workers, to warm up", 0.0)
        measure([*shared, *apart], [Order()] * 2 * workers)  # and until all have loaded weights of their own
        one = itertools.cycle([[worker] for worker in shared])
        pinned = [Order(core=cores[i % len(cores)]) for i in range(workers)]
        measures = [
            lambda: measure(next(one), [Order()]),
            lambda: measure(shared, [Order()] * workers),
            lambda: measure(shared, pinned),
            lambda: measure(apart, [Order()] * workers),
            lambda: measure(next(one), [Order(products=True)]),
            lambda: measure(shared, [Order(products=True)] * workers),
        ]
        busy, began = read_busy(), time.monotonic()
        runs = interleave(measures, repeats, lambda share: progress("in turns", share))
        busy = read_busy() - busy - sum(done.cpu for side in runs for run in side for done in run)
        others = busy / (os.cpu_count() or 1) / (time.monotonic() - began)
    *sides, basis, both = runs
    amount = float(sessions * words)
    rows = [workers_row(side, amount, found, sides[0]) for side, found in zip(SIDES, sides, strict=True)]
    return WorkersReport(
        tagger=tagger.name,
        policy=policy,
        number_format=tagger.encoder.number_format,
        sessions=sessions,
        words=words,
        cores=len(cores),
        others=max(0.0, others),
        rows=[*rows, workers_row(CORES, PRODUCTS / 1000, both, basis)],
        memory=[_average(SHARED, sides[1][-1]), _average(OWN, sides[3][-1])],
    )


def prepare_run(tagger: Tagger, sessions: int, words: int, policy: str) -> Callable[[], None]:
    """Return a function that feeds live sessions word by word; each worker has the same work."""
    texts = make_texts(sessions, words)

    def run() -> None:
        time_words(tagger, policy, texts)

    return run


def _load_and_prepare(name: str, sessions: int, words: int, policy: str) -> Callable[[], None]:
    return prepare_run(load_single_tagger(name, max_sessions=sessions), sessions, words, policy)


def _shared(memory: dict[str, int]) -> int:
    return memory["Shared_Clean"] + memory["Shared_Dirty"]


def _average(side: str, done: Sequence[Done]) -> MemoryRow:
    count = len(done)
    return MemoryRow(
        side=side,
        resident=sum(x.memory["Rss"] for x in done) // count,
        shared=sum(_shared(x.memory) for x in done) // count,
        private=sum(x.memory["Private_Clean"] + x.memory["Private_Dirty"] for x in done) // count,
        copied=sum(x.copied for x in done) // count,
        proportional=sum(x.memory["Pss"] for x in done) // count,
    )


def workers_tables(report: WorkersReport) -> list[Table]:
    """Lay out rates and memory."""
    speed = {
        "side": lambda x: x.side,
        "workers": lambda x: str(x.workers),
        "words/s": lambda x: f"{x.per_second:,.0f}",
        "spread": lambda x: f"{x.slowest:,.0f} - {x.fastest:,.0f}",
        "CPU us/word": lambda x: f"{x.cpu_us:,.0f}",
        "scaling": lambda x: f"{x.scaling:.2f}x",
        "words a CPU second": lambda x: f"{x.per_cpu:.2f}x",
    }
    memory = {
        "memory of a worker, MiB": lambda x: x.side,
        "resident": lambda x: f"{x.resident / 2**20:,.0f}",
        "shared": lambda x: f"{x.shared / 2**20:,.0f}",
        "private": lambda x: f"{x.private / 2**20:,.0f}",
        "of it copied": lambda x: f"{x.copied / 2**20:,.0f}",
        "proportional (PSS)": lambda x: f"{x.proportional / 2**20:,.0f}",
    }
    title = (
        f"{report.tagger}, {report.policy}, {report.number_format}, {report.cores} cores; {report.sessions} sessions a "
        f"worker, {report.words} words a segment; other programs took {100 * report.others:.0f} % of the machine"
    )
    return [make_table(title, report.rows, speed), make_table("memory", report.memory, memory)]
