"""The whole benchmark: a broker, a service for each guarantee, the requested runs, and the capacity search."""

import asyncio
import os
import platform
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kafka.load_generator import FETCH_WAIT_MS, OutputReader, Sender
from benchmarks.kafka.report import KafkaReport, KafkaRun
from benchmarks.kafka.run import ServiceBench
from benchmarks.kafka.service_process import SERVE, Cores, running_service
from consumers.common.settings import Guarantee
from consumers.kafka.brokers.apache_kafka import apache_kafka
from consumers.kafka.brokers.embedded import EmbeddedBroker, OwnBroker
from consumers.runtime.capacity import find_capacity
from tests.faults.rig.environment import RunEnvironment


@dataclass(frozen=True, kw_only=True)
class KafkaBenchSettings:
    """Settings of `python -m benchmarks kafka`."""

    broker: str | OwnBroker
    taggers: tuple[str, ...]
    policy: str
    guarantees: tuple[Guarantee, ...]
    sessions: tuple[int, ...]
    """Numbers of speakers to run first."""
    search: bool
    """Whether to search for the most speakers carried."""
    most: int
    seconds: float
    warm_up: float
    target_ms: float
    partitions: int
    commit_seconds: float
    command: Sequence[str] = SERVE
    """Starts a service; tests give their own."""


def run_kafka(
    settings: KafkaBenchSettings, tell: Callable[[str], None], show: Callable[[KafkaRun], None]
) -> KafkaReport:
    """Measure all runs.

    Args:
        settings: of the benchmark.
        tell: called with progress.
        show: called with each run as it ends.

    Raises:
        OperationFailed: the broker or the service failed.
    """
    cores = Cores.divide()
    runs: list[KafkaRun] = []
    carried: dict[str, int] = {}
    with pinned_beside(cores), open_bench_broker(settings) as address:
        for guarantee in settings.guarantees:
            with _service_bench(settings, guarantee, address, cores, tell) as bench:

                def measure(sessions: int, bench: ServiceBench = bench) -> KafkaRun:
                    run = bench.run(sessions, settings.seconds, settings.warm_up)
                    runs.append(run)
                    show(run)
                    return run

                for sessions in settings.sessions:
                    measure(sessions)
                if settings.search:
                    known = {x.sessions: x for x in runs if x.guarantee == guarantee}

                    def carries(
                        sessions: int,
                        known: dict[int, KafkaRun] = known,
                        measure: Callable[[int], KafkaRun] = measure,
                    ) -> bool:
                        return (known.get(sessions) or measure(sessions)).carries(settings.target_ms)

                    carried[guarantee] = find_capacity(carries, 64, settings.most)
    return KafkaReport(
        broker=settings.broker.value if isinstance(settings.broker, OwnBroker) else "a broker of one's own",
        taggers=settings.taggers,
        policy=settings.policy,
        cores=_describe_cores(cores),
        processor=platform.processor() or platform.machine(),
        target_ms=settings.target_ms,
        carried=carried,
        runs=tuple(runs),
    )


@contextmanager
def pinned_beside(cores: Cores) -> Iterator[None]:
    """Keep this process, and a broker that it starts, off the service's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def open_bench_broker(settings: KafkaBenchSettings) -> Iterator[str]:
    """Yield the address of the broker: the given one, or one that runs for the block."""
    if isinstance(settings.broker, str):
        yield settings.broker
    elif settings.broker is OwnBroker.APACHE:
        with apache_kafka(partitions=settings.partitions) as broker:
            yield broker.address
    else:
        with closing(EmbeddedBroker(settings.partitions)) as embedded:
            yield embedded.address


@contextmanager
def _service_bench(
    settings: KafkaBenchSettings, guarantee: Guarantee, broker: str, cores: Cores, tell: Callable[[str], None]
) -> Iterator[ServiceBench]:
    env = RunEnvironment(broker, f"hearken-bench-{uuid.uuid4().hex[:8]}", settings.partitions)
    asyncio.run(env.create_run_topics())
    topics = env.topics
    with tempfile.TemporaryDirectory(prefix="hearken-bench-") as folder:
        tell(f"{guarantee}: the service starts")
        with (
            running_service(service_flags(settings, env, guarantee), cores, Path(folder), settings.command) as served,
            closing(OutputReader(broker, topics, env.run)) as reader,
        ):
            sender = Sender(broker, topics.input, settings.partitions)
            yield ServiceBench(guarantee, served, sender, reader, settings.partitions, tell)


def service_flags(settings: KafkaBenchSettings, env: RunEnvironment, guarantee: Guarantee) -> list[str]:
    """Give the flags of `hearken serve` for the topics of a run."""
    topics = env.topics
    flags = {
        "broker": env.address,
        "input-topic": topics.input,
        "output-topic": topics.output,
        "dead-letter-topic": topics.dead_letter,
        "state-topic": topics.state,
        "group": env.run,
        "guarantee": guarantee,
        "policy": settings.policy,
        "stability": "low",  # the time until a label is known, not until it is probable enough to be shown
        "commit-seconds": settings.commit_seconds,
        "log-level": "warning",
    }
    if settings.broker is OwnBroker.EMBEDDED:
        flags["fetch-wait-ms"] = FETCH_WAIT_MS
    taggers = [x for tagger in settings.taggers for x in ("--tagger", tagger)]
    return [*taggers, *(x for name, value in flags.items() for x in (f"--{name}", str(value)))]


def _describe_cores(cores: Cores) -> str:
    if cores.service is None:
        return "one core for all: service, broker, sender and reader"
    others = len(cores.others)
    return f"the service alone on one core; broker, sender and reader on {others} other{'s' if others > 1 else ''}"
