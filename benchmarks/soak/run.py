"""The run: capacity first, then the load, measured window by window, then the comparison with offline labels."""

import asyncio
import os
import platform
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kafka.bench import KafkaBenchSettings, open_bench_broker, pinned_beside, run_kafka, service_flags
from benchmarks.kafka.load_generator import OutputReader
from benchmarks.kafka.report import summarise
from benchmarks.kafka.run import wait_until_answered
from benchmarks.kafka.service_process import SERVE, Cores, MetricsReading, ServiceProcess, Usage, running_service
from benchmarks.soak.load import speakers_and_hostile
from benchmarks.soak.offline import compare_finals
from benchmarks.soak.report import SoakReport, SoakWindow
from benchmarks.soak.sender import SoakSender
from consumers.kafka.brokers.embedded import OwnBroker
from stream.engine.engine import Engine
from tests.faults.rig.environment import RunEnvironment

WINDOW_SECONDS = 10.0
DRAIN_SECONDS = 180.0
MOST_SHOWN = 20
WARM_UP_SECONDS = 45.0
"""Of each run that looks for the capacity: words of long sessions cost more than those of sessions that just began."""
IDLE_SECONDS = 120.0
"""Of the service: hostile sessions that never end are dropped after it, so memory is flat well before ten minutes."""


@dataclass(frozen=True, kw_only=True)
class SoakSettings:
    """Settings of `python -m benchmarks soak`."""

    broker: str | OwnBroker
    taggers: tuple[str, ...]
    policy: str
    seconds: float
    speakers: int
    """0: `share` of the capacity, which is measured first."""
    share: float
    hostile_share: float
    partitions: int = 4
    seed: int = 1
    window_seconds: float = WINDOW_SECONDS
    command: Sequence[str] = SERVE
    """Starts a service; tests give their own."""


def run_soak(settings: SoakSettings, make_engine: Callable[[], Engine], tell: Callable[[str], None]) -> SoakReport:
    """Run everything.

    Args:
        settings: of the run.
        make_engine: makes the offline engine, with the service's taggers.
        tell: called with progress.

    Raises:
        OperationFailed: the broker or the service failed.
    """
    bench = KafkaBenchSettings(
        broker=settings.broker, taggers=settings.taggers, policy=settings.policy, guarantees=("at_least_once",),
        sessions=(), search=True, most=16_000, seconds=15.0, target_ms=100.0,
        warm_up=min(WARM_UP_SECONDS, settings.seconds / 4),
        partitions=settings.partitions, commit_seconds=1.0, command=settings.command,
    )  # fmt: skip
    capacity, speakers = 0, settings.speakers
    if not speakers:
        found = run_kafka(bench, tell, lambda x: tell(f"{x.sessions:,} speakers: p99 {x.answered.p99_ms:,.0f} ms"))
        capacity = found.carried["at_least_once"]
        speakers = max(1, int(settings.share * capacity))
    cores = Cores.divide()
    with pinned_beside(cores), open_bench_broker(bench) as address:
        env = RunEnvironment(address, f"hearken-soak-{uuid.uuid4().hex[:8]}", settings.partitions)
        asyncio.run(env.create_run_topics())
        flags = [*service_flags(bench, env, "at_least_once"), "--idle-seconds", f"{IDLE_SECONDS:g}"]
        with (
            tempfile.TemporaryDirectory(prefix="hearken-soak-") as folder,
            running_service(flags, cores, Path(folder), settings.command) as served,
            closing(OutputReader(address, env.topics, env.run)) as reader,
        ):
            load = speakers_and_hostile(
                speakers, settings.seconds, settings.partitions, settings.hostile_share, settings.seed
            )
            sender = SoakSender(address, env.topics.input, settings.partitions, load)
            run = _Run(settings, served, reader, sender, tell)
            totals = run.watch()
    tell(f"labelling {len(sender.said):,} sessions offline")
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        tell(f"compared {done:,} of {len(sender.said):,} sessions")

    finals, wrong = compare_finals(make_engine(), sender.said, sender.finals, advance)
    return SoakReport(
        seconds=settings.seconds,
        speakers=speakers,
        capacity=capacity,
        good=sender.good,
        hostile=sender.hostile,
        dead_letters=round(sum(v for (name, _), v in totals.values.items() if name == "hearken_dead_letters_total")),
        finals=finals,
        wrong=tuple(wrong[:MOST_SHOWN]),
        differences=len(wrong),
        coalesced=round(totals.get("hearken_updates_coalesced_total")),
        shortened=round(totals.get("hearken_restarts_shortened_total")),
        processor=f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        windows=tuple(run.windows),
    )


@dataclass
class _Run:
    settings: SoakSettings
    served: ServiceProcess
    reader: OutputReader
    sender: SoakSender
    tell: Callable[[str], None]

    def watch(self) -> MetricsReading:
        """Start the sender; measure windows until everything it sent is answered; gives the metrics then."""
        self.windows: list[SoakWindow] = []
        self.sender.start()
        began, before = time.monotonic(), self.served.usage()
        next_end = began + self.settings.window_seconds
        while self.sender.is_alive():
            self.sender.join(max(0.0, next_end - time.monotonic()))
            if time.monotonic() < next_end:
                continue
            next_end += self.settings.window_seconds
            before = self._measure(before, began)
        self.sender.check()
        sent = self.sender.good + self.sender.hostile
        totals = wait_until_answered(self.served, self.reader, sent, DRAIN_SECONDS)
        self.sender.match(self.reader.take())
        return totals

    def _measure(self, before: Usage, began: float) -> Usage:
        self.sender.check()
        usage = self.served.usage()
        latency = summarise(self.sender.match(self.reader.take()))
        window = SoakWindow(
            at=round(usage.at - began, 1),
            answered=latency.count,
            p50_ms=latency.p50_ms,
            p99_ms=latency.p99_ms,
            resident_mib=round(usage.resident / (1 << 20), 1),
            core_share=round((usage.cpu - before.cpu) / (usage.at - before.at), 3),
        )
        self.windows.append(window)
        spread = f"p50 {window.p50_ms:,.0f}, p99 {window.p99_ms:,.0f} ms"
        cost = f"{window.resident_mib:,.0f} MiB, {100 * window.core_share:.0f} % of a core"
        of = f"{window.at:,.0f} of {self.settings.seconds:,.0f} s"
        self.tell(f"{of}: {window.answered:,} answered, {spread}; {cost}")
        return usage
