"""A rolling restart of a group under live load: deadlines that are missed, and what each part of it takes.

Workers are `hearken serve` processes, the broker is a real one, speakers speak on. One worker after the other ends by
SIGTERM and is started again; or, with `surge`, its successor is started first and the worker ends when that one has its
partitions.

A message is answered by the revision that names it. One that brings no revision of its own has no such time: it changed
nothing, or a newer one of its segment was labelled in its place. What it can have waited is bounded by the longest time
in which its partition published nothing. Closings always bring a revision; one without would be lost.
"""

import asyncio
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.harness.progress import ReportProgress
from benchmarks.kafka.load_generator import MatchedAnswer, OutputReader, Sender
from benchmarks.kafka.service_process import SERVE
from benchmarks.kafka.speakers import plan_speakers, session_partition
from consumers.common.errors import OperationFailed
from tests.faults.rig.environment import RunEnvironment
from tests.faults.rig.worker_processes import Event, WorkerProcesses, as_flags

DEADLINE = 2.0
"""Seconds from when a word is due to when its label can be read."""
START_SECONDS = 120.0
"""Limit for a worker to have its partitions."""
SETTLE_SECONDS = 4.0
"""After a worker is back, before the next one ends."""
LONGEST_SECONDS = 600.0
"""Of the speakers' plan."""


class RollingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One rolling restart."""

    procedure: str
    """`in place`: a worker ends and comes back. `surge`: its successor comes first."""
    workers: int
    partitions: int
    speakers: int
    core_share: float
    """Processor time of a worker a second, before the restarts: 0.5 is half of a core."""
    words_per_second: float
    cpu_ms_a_word: float
    answered: int
    late: int
    """Messages whose revision was read later than the deadline."""
    lost: int
    """Closings without a revision."""
    p99_before_ms: float
    p50_ms: float
    """During the restarts, and until all is answered."""
    p99_ms: float
    max_ms: float
    pause_s: float
    """Longest time in which one partition published nothing."""
    pause_before_s: float
    """The same before the restarts: what talk alone brings."""
    rebalance_s: float
    """From when a member leaves until the last other one has its partitions assigned; mean."""
    restore_s: float
    """Of a partition; mean."""
    sessions_moved: int
    """Restored sessions of all rebalances."""
    start_s: float
    """From the start of a worker until it is assigned partitions; mean."""
    seconds: float
    """From the first SIGTERM until all are back."""


def measure_rolling(
    broker: str,
    tagger: Sequence[str],
    workers: int,
    speakers: int,
    partitions: int,
    warm_up: float,
    surge: bool,
    run: str,
    progress: ReportProgress,
    command: Sequence[str] = SERVE,
    settings: dict[str, object] | None = None,
) -> RollingRow:
    """Restart all workers of a group, one after the other.

    Args:
        broker: address; Apache Kafka or one as capable.
        tagger: taggers of the workers.
        workers: of the group.
        speakers: live sessions.
        partitions: of the topics.
        warm_up: seconds of speech before the first restart: the longer, the more every session remembers.
        surge: start the successor first.
        run: name that no other run uses.
        progress: called with what is done next.
        command: starts a worker; tests give their own.
        settings: more flags of the workers.

    Raises:
        OperationFailed: a worker or the broker failed.
    """
    env = RunEnvironment(broker, run, partitions)
    asyncio.run(env.create_run_topics())
    flags = as_flags(
        {
            "broker": broker,
            "tagger": tuple(tagger),
            "group": run,
            "input-topic": env.topics.input,
            "output-topic": env.topics.output,
            "dead-letter-topic": env.topics.dead_letter,
            "state-topic": env.topics.state,
            "stability": "low",
            **(settings or {}),
        }
    )
    with tempfile.TemporaryDirectory(prefix="hearken-scale-") as folder:
        processes = WorkerProcesses([*command, *flags], Path(folder))
        with closing(OutputReader(broker, env.topics, run)) as reader:
            sender = Sender(broker, env.topics.input, partitions)
            trial = _Trial(processes, sender, reader, workers, speakers, partitions, surge, progress)
            try:
                return asyncio.run(trial.run(warm_up))
            finally:
                asyncio.run(processes.kill_all())


class _Trial:
    def __init__(
        self,
        processes: WorkerProcesses,
        sender: Sender,
        reader: OutputReader,
        workers: int,
        speakers: int,
        partitions: int,
        surge: bool,
        progress: ReportProgress,
    ) -> None:
        self._processes = processes
        self._sender = sender
        self._reader = reader
        self._workers = workers
        self._speakers = speakers
        self._partitions = partitions
        self._surge = surge
        self._progress = progress
        self._left: list[float] = []
        """When each SIGTERM was sent, in seconds since 1970."""
        self._started: dict[tuple[str, int], float] = {}

    async def run(self, warm_up: float) -> RollingRow:
        self._progress("workers start", 0.0)
        for number in range(self._workers):
            await self._start(f"w{number}")
        await self._wait_until_open()
        plan = plan_speakers("speaker", self._speakers, LONGEST_SECONDS, self._partitions, seed=1)
        stop = threading.Event()
        sending = asyncio.create_task(asyncio.to_thread(self._sender.send, plan, stop))
        try:
            self._progress(f"{self._speakers} speakers", 0.1)
            await asyncio.sleep(warm_up / 2)
            cpu, at = sum(self._processes.cpu_seconds().values()), time.monotonic()
            await asyncio.sleep(warm_up / 2)
            cpu, span = sum(self._processes.cpu_seconds().values()) - cpu, time.monotonic() - at
            began = time.monotonic()
            await self._restart_all()
            ended = time.monotonic()
        finally:
            stop.set()
            await sending
        await self._wait_until_answered()
        sent_words = sum(x.is_word and x.at >= warm_up / 2 for x in self._sender.sent.values())
        words_per_second = sent_words / (ended - self._sender.began - warm_up / 2)
        await self._processes.stop()
        if self._processes.died or self._processes.bad_ends:
            raise OperationFailed(f"workers failed: {self._processes.died} {self._processes.bad_ends}")
        return self._report(words_per_second, cpu / span, began - self._sender.began, ended - began)

    async def _restart_all(self) -> None:
        for number in range(self._workers):
            name = f"w{number}"
            self._progress(f"restart of worker {number + 1}", 0.2 + 0.7 * number / self._workers)
            if self._surge:
                await self._start(f"w{number + self._workers}")
                await self._wait_until_open()
            self._left.append(time.time())
            await self._processes.terminate(name)
            if not self._surge:
                await self._start(name)
            await self._wait_until_open()
            await asyncio.sleep(SETTLE_SECONDS)

    async def _start(self, name: str) -> None:
        await self._processes.start(name)
        self._started[name, self._processes.life(name)] = time.time()

    async def _wait_until_open(self) -> None:
        """Wait until all workers have joined, and every partition is open somewhere."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while not (self._processes.all_joined() and self._open() == self._partitions):
                    if self._processes.died:
                        raise OperationFailed(f"workers ended: {self._processes.died}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            tails = "\n".join(self._processes.log_tail(name) for name in self._processes.names)
            raise OperationFailed(f"partitions were not opened: {tails}") from None

    def _open(self) -> int:
        """Number of partitions that are open, by the last log events of each worker that is there."""
        here: dict[str, set[int]] = defaultdict(set)
        for event in self._processes.events():
            if event.worker not in self._processes.names or event.life != self._processes.life(event.worker):
                continue
            if event.name == "assigned":
                here[event.worker] = set(event.fields["kept"])
            elif event.name == "restored":
                here[event.worker].add(event.fields["partition"])
        return sum(map(len, here.values()))

    async def _wait_until_answered(self) -> None:
        """Wait until nothing more is read."""
        quiet_since, count = time.monotonic(), -1
        while time.monotonic() - quiet_since < 3.0:
            if self._reader.count != count:
                quiet_since, count = time.monotonic(), self._reader.count
            await asyncio.sleep(0.1)

    def _report(self, words_per_second: float, cores: float, began: float, seconds: float) -> RollingRow:
        arrived = self._reader.take()
        answers = self._sender.match(arrived).answers
        closings = sum(not x.is_word for x in self._sender.sent.values())
        before = [x for x in answers if x.due.at + x.seconds < began]
        after = [x for x in answers if x.due.at + x.seconds >= began]
        events = list(self._processes.events())
        assigned = [x for x in events if x.name == "assigned"]
        # The end of the run is a departure too; its restores are no part of the rolling restart.
        restored = [x for x in events if x.name == "restored" and self._left[0] <= x.at <= self._left[0] + seconds]
        starts = [
            min(x.at for x in mine) - at
            for (name, life), at in self._started.items()
            if (mine := [x for x in assigned if (x.worker, x.life) == (name, life) and x.fields["partitions"]])
        ]
        return RollingRow(
            procedure="surge" if self._surge else "in place",
            workers=self._workers,
            partitions=self._partitions,
            speakers=self._speakers,
            core_share=round(cores / self._workers, 3),
            words_per_second=round(words_per_second, 1),
            cpu_ms_a_word=round(1000 * cores / words_per_second, 3),
            answered=len(answers),
            late=sum(x.seconds > DEADLINE for x in after),
            lost=closings - sum(not x.due.is_word for x in answers),
            p99_before_ms=_percentile(before, 99),
            p50_ms=_percentile(after, 50),
            p99_ms=_percentile(after, 99),
            max_ms=_percentile(after, 100),
            pause_s=round(self._longest_pause(answers, began, began + seconds), 3),
            pause_before_s=round(self._longest_pause(answers, began / 2, began), 3),
            rebalance_s=round(_mean([_rebalance(at, assigned) for at in self._left]), 3),
            restore_s=round(_mean([x.fields["seconds"] for x in restored]), 3),
            sessions_moved=sum(x.fields["sessions"] for x in restored),
            start_s=round(_mean(starts), 3),
            seconds=round(seconds, 1),
        )

    def _longest_pause(self, answers: Sequence[MatchedAnswer], begin: float, end: float) -> float:
        """Longest time between `begin` and `end` in which one partition published nothing."""
        times: dict[int, list[float]] = defaultdict(list)
        for x in answers:
            times[session_partition(x.due.session, self._partitions)].append(x.due.at + x.seconds)
        longest = 0.0
        for found in times.values():
            inside = [begin, *sorted(at for at in found if begin <= at <= end), end]
            longest = max(longest, *(b - a for a, b in pairwise(inside)))
        return longest


def _rebalance(left: float, assigned: Sequence[Event]) -> float:
    """Seconds from when a member was told to end to the next assignment of the others."""
    return min((x.at for x in assigned if x.at > left), default=left) - left


def _percentile(answers: Sequence[MatchedAnswer], share: float) -> float:
    return round(1000 * float(np.percentile([x.seconds for x in answers], share)), 1) if answers else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def tell_line(row: RollingRow) -> str:
    """Return one line about a rolling restart."""
    return (
        f"{row.procedure}, {row.workers} workers, {row.speakers} speakers: {row.late} of {row.answered:,} revisions"
        f" later than {DEADLINE:g} s, {row.lost} lost; p99 {row.p99_ms:,.0f} ms, longest pause {row.pause_s:.1f} s"
    )
