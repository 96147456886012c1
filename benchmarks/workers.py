"""What a second worker on the same machine brings: words a second and memory of several processes against one.

All sides run in turns in the same processes, so that whatever else the machine does meets them alike: one worker alone;
all at once, with weights that were loaded once and are shared; the same kept to a core each; and as many processes that
were started each by itself, with weights of their own. What the cores themselves give is measured with small products
of matrices that stay in the first cache: where those do not scale, nothing does. Linux only.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import numpy as np
import torch

from benchmarks.dense import make_texts, run_engine
from benchmarks.harness.parallel_processes import PRODUCTS, Done, Order, measure, read_busy, started
from encoder.restart.policies import resolve_policy
from encoder.tagger import Tagger, load_single_tagger

ALONE, SHARED, PINNED, APART, CORES = "one worker", "shared weights", "shared, a core each", "own weights", "cores"


class WorkersRow(msgspec.Struct, frozen=True, kw_only=True):
    """One side; rates are of all its workers together, until the last one is done."""

    side: str
    workers: int
    per_second: float
    """Median over the repeats: words, or thousands of products for `cores`."""
    slowest: float
    fastest: float
    cpu_us: float
    """Microseconds of processor a word, or a thousand products."""
    scaling: float
    """How many times as many as one worker alone."""
    per_cpu: float
    """How many a second of processor, against one worker alone: what caches, memory and clocks cost. The rest of what
    is missing from the scaling is waiting for a core."""


class MemoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the workers of a side, on average, after they have run."""

    side: str
    resident: int
    shared: int
    """In pages that another process has too."""
    private: int
    copied: int
    """Of what was shared when the worker began: pages that it has written to since. Weights are not among them."""
    proportional: int
    """Pages divided by the number of processes that share them: what a worker really takes."""


class WorkersReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one bench found."""

    tagger: str
    policy: str
    number_format: str
    sessions: int
    """Of each worker."""
    words: int
    """Of each session's segment."""
    cores: int
    others: float
    """Share of the machine's processor time that other programs had meanwhile: beyond a few per cent, run it again."""
    rows: list[WorkersRow]
    memory: list[MemoryRow]


@dataclass(slots=True)
class _Side:
    """Measured rates of one side."""

    count: int
    amount: float
    """Of one worker in one run."""
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    spent: float = 0.0
    """Seconds of processor, of all."""

    def book(self, done: Sequence[Done]) -> None:
        self.rates.append(self.amount * len(done) / max(one.wall for one in done))
        spent = sum(one.cpu for one in done)
        self.cpu.append(spent / len(done) / self.amount)
        self.spent += spent

    def row(self, name: str, alone: "_Side") -> WorkersRow:
        return WorkersRow(
            side=name,
            workers=self.count,
            per_second=float(np.median(self.rates)),
            slowest=min(self.rates),
            fastest=max(self.rates),
            cpu_us=1e6 * float(np.median(self.cpu)),
            scaling=float(np.median(self.rates) / np.median(alone.rates)),
            per_cpu=float(np.median(alone.cpu) / np.median(self.cpu)),
        )


def run_workers(name: str, workers: int, sessions: int, words: int, policy: str, repeats: int) -> WorkersReport:
    """Measure all sides.

    Args:
        name: of the tagger.
        workers: at once, against one.
        sessions: live ones of each worker.
        words: of each session's segment.
        policy: where restarts begin.
        repeats: of each side, in turns.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    torch.set_num_threads(1)
    tagger = load_single_tagger(name, max_sessions=sessions)
    policy = resolve_policy(policy, tagger.default_policy)
    cores = sorted(os.sched_getaffinity(0))
    live = partial(run_live, tagger, sessions, words, policy)
    own = partial(_load_and_run, name, sessions, words, policy)
    amount = float(sessions * words)
    sides = {ALONE: _Side(1, amount), SHARED: _Side(workers, amount), PINNED: _Side(workers, amount)}
    sides |= {APART: _Side(workers, amount)}
    basis, both = _Side(1, PRODUCTS / 1000), _Side(workers, PRODUCTS / 1000)
    memory: dict[str, list[Done]] = {}
    with started("fork", workers, live) as shared, started("spawn", workers, own) as apart:
        measure([*shared, *apart], [Order()] * 2 * workers)  # warm, and all own weights loaded
        busy, began = read_busy(), time.monotonic()
        for repeat in range(repeats):
            one = [shared[repeat % workers]]
            sides[ALONE].book(measure(one, [Order()]))
            sides[SHARED].book(done := measure(shared, [Order()] * workers))
            memory[SHARED] = done
            sides[PINNED].book(measure(shared, [Order(core=cores[i % len(cores)]) for i in range(workers)]))
            sides[APART].book(done := measure(apart, [Order()] * workers))
            memory[APART] = done
            basis.book(measure(one, [Order(products=True)]))
            both.book(measure(shared, [Order(products=True)] * workers))
        busy = read_busy() - busy - sum(side.spent for side in (*sides.values(), basis, both))
        others = busy / (os.cpu_count() or 1) / (time.monotonic() - began)
    rows = [side.row(name, sides[ALONE]) for name, side in sides.items()]
    return WorkersReport(
        tagger=tagger.name,
        policy=policy,
        number_format=tagger.encoder.number_format,
        sessions=sessions,
        words=words,
        cores=len(cores),
        others=max(0.0, others),
        rows=[*rows, both.row(CORES, basis)],
        memory=[_average(name, found) for name, found in memory.items()],
    )


def run_live(tagger: Tagger, sessions: int, words: int, policy: str) -> Callable[[], None]:
    """Make what feeds live sessions word by word, as `python -m benchmarks` does; each worker has the same work."""
    texts = make_texts(sessions, words)

    def run() -> None:
        run_engine(tagger, texts, policy)

    return run


def _load_and_run(name: str, sessions: int, words: int, policy: str) -> Callable[[], None]:
    return run_live(load_single_tagger(name, max_sessions=sessions), sessions, words, policy)


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
