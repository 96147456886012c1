"""`python -m benchmarks scale`: restores and takeovers, a rolling restart if asked for, and the model of them."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from benchmarks.harness.machine import Machine, this_machine
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, make_table
from benchmarks.scale.model import GroupCosts, ModelRow, fit_restores, model_groups
from benchmarks.scale.restore import FirstUpdates, RestoreRow, measure_restores
from benchmarks.scale.rolling import RollingRow, measure_rolling, tell_line
from benchmarks.scale.states import make_models
from benchmarks.scale.takeover import KAFKA_SHARE, TakeoverRow, simulate_takeovers
from consumers.common.gc_tuning import tune_interpreter
from consumers.common.settings import EngineSettings, ServiceSettings
from consumers.kafka.brokers.apache_kafka import apache_kafka
from consumers.runtime.engine_factory import build_engine

MODELLED_WORKERS, MODELLED_SESSIONS = (2, 4, 8), (1_000, 10_000, 100_000)
JOIN_SECONDS = 0.2
"""Of the requests of a rebalance, where no rolling restart measures it."""
OPEN_SECONDS = 0.2
"""Of the requests that open a partition: it is waited for brokers and not computed, and not measured where other
programs hold this one up."""
START_SECONDS = 2.0
"""Start of a worker, likewise (docs/performance.md, Starting)."""


class ScaleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `python -m benchmarks scale`."""

    broker: str | None
    """None: an Apache Kafka of its own."""
    taggers: tuple[str, ...]
    policy: str
    minutes: float
    """That each session has spoken."""
    restores: tuple[int, ...]
    """Numbers of sessions to restore."""
    workers: tuple[int, ...]
    """Sizes of groups of which one member leaves."""
    worker_speakers: int
    """Live speakers that a worker carries through Kafka on an idle machine (`benchmarks kafka`), for the model;
    0: half of what the engine alone was measured to carry."""
    load: float
    seconds: float
    """Of speech after each takeover."""
    partitions: int
    rolling: int
    """Speakers of the rolling restarts; 0: none."""
    warm_up: float
    """Seconds of speech before them."""


class ScaleReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one run."""

    machine: Machine
    settings: ScaleSettings
    restores: list[RestoreRow]
    first_updates: FirstUpdates
    takeovers: list[TakeoverRow]
    rolling: list[RollingRow]
    costs: GroupCosts
    model: list[ModelRow]


def run_scale(settings: ScaleSettings, progress: ReportProgress, tell: Callable[[str], None]) -> ScaleReport:
    """Measure and model.

    Raises:
        OperationFailed: the broker, the service or a worker failed.
        CheckpointError, PolicyError: the tagger or the policy cannot be used.
    """
    tune_interpreter()
    engine = EngineSettings(tagger=list(settings.taggers), policy=settings.policy, stability="low")
    heartbeat = ServiceSettings(broker=settings.broker or "localhost:9092").heartbeat_seconds
    run = f"hearken-scale-{uuid.uuid4().hex[:8]}"
    progress("sessions are labelled, to have states", 0.0)
    models = make_models(build_engine(engine), settings.minutes)
    rolling: list[RollingRow] = []
    with _open_broker(settings) as broker:
        restores, first = measure_restores(
            broker, engine, models, settings.restores, settings.partitions, run, _part(progress, 0.05, 0.4), tell
        )
        for surge in (False, True) if settings.rolling else ():
            row = measure_rolling(
                broker,
                settings.taggers,
                2,
                settings.rolling,
                2 * settings.partitions,
                settings.warm_up,
                surge,
                f"{run}-{surge}",
                _part(progress, 0.8 + 0.1 * surge, 0.9 + 0.1 * surge),
            )
            rolling.append(row)
            tell(tell_line(row))
    fixed, each = fit_restores([(x.sessions, x.cpu_s) for x in restores])
    rebalance = rolling[0].rebalance_s if rolling else heartbeat + JOIN_SECONDS
    fixed += OPEN_SECONDS
    counts = settings.workers
    pause = rebalance + fixed
    part = _part(progress, 0.4, 0.8)
    speakers, takeovers = simulate_takeovers(engine, models, counts, settings.load, pause, settings.seconds, part)
    costs = GroupCosts(
        worker_speakers=settings.worker_speakers or KAFKA_SHARE * speakers,
        restore_s=each,
        fixed_s=fixed,
        rebalance_s=rebalance,
        start_s=rolling[0].start_s if rolling else START_SECONDS,
        rebuild_s=max(0.0, first.rebuilt_ms - first.next_ms) / 1000,
    )
    return ScaleReport(
        machine=this_machine(),
        settings=settings,
        restores=restores,
        first_updates=first,
        takeovers=takeovers,
        rolling=rolling,
        costs=costs,
        model=model_groups(costs, MODELLED_WORKERS, MODELLED_SESSIONS),
    )


@contextmanager
def _open_broker(settings: ScaleSettings) -> Iterator[str]:
    """Yield the address of the broker. The embedded one keeps too little, and has no groups of several members."""
    if settings.broker is not None:
        yield settings.broker
    else:
        with apache_kafka(partitions=settings.partitions) as own:
            yield own.address


def _part(progress: ReportProgress, begin: float, end: float) -> ReportProgress:
    return lambda what, share: progress(what, begin + share * (end - begin))


def scale_tables(report: ScaleReport) -> list[Table]:
    """Lay out all parts."""
    minutes, first = report.settings.minutes, report.first_updates
    restores = {
        "sessions": lambda x: f"{x.sessions:,}",
        "records": lambda x: f"{x.records:,}",
        "MiB": lambda x: f"{x.mebibytes:,.0f}",
        "wall s": lambda x: f"{x.wall_s:.2f}",
        "CPU s": lambda x: f"{x.cpu_s:.2f}",
        "of it decoding": lambda x: f"{x.decode_s:.2f}",
        "loop's longest pause, ms": lambda x: f"{x.longest_pause_ms:,.0f}",
    }
    takeovers = {
        "who takes over": _describe_takeover,
        "own": lambda x: f"{x.own:,}",
        "moved": lambda x: f"{x.moved:,}",
        "pause s": lambda x: f"{x.pause_s:.2f}",
        "messages": lambda x: f"{x.answered:,}",
        "late, moved": lambda x: f"{x.late:,}",
        "of it closings": lambda x: f"{x.late_closings:,}",
        "late, own": lambda x: f"{x.late_own:,}",
        "p99 ms": lambda x: f"{x.p99_ms:,.0f}",
        "max ms": lambda x: f"{x.max_ms:,.0f}",
    }
    rolling = {
        "procedure": lambda x: x.procedure,
        "speakers": lambda x: f"{x.speakers:,}",
        "core share": lambda x: f"{x.core_share:.2f}",
        "revisions": lambda x: f"{x.answered:,}",
        "later than 2 s": lambda x: f"{x.late:,}",
        "lost": lambda x: f"{x.lost:,}",
        "p99 before, ms": lambda x: f"{x.p99_before_ms:,.0f}",
        "p99 ms": lambda x: f"{x.p99_ms:,.0f}",
        "longest pause, s": lambda x: f"{x.pause_s:.2f}",
        "rebalance s": lambda x: f"{x.rebalance_s:.2f}",
        "start s": lambda x: f"{x.start_s:.2f}",
        "all, s": lambda x: f"{x.seconds:.0f}",
    }
    model = {
        "sessions": lambda x: f"{x.sessions:,}",
        "workers": lambda x: str(x.workers),
        "words/s": lambda x: f"{x.words_per_second:,.0f}",
        "live speakers": lambda x: f"{x.speakers:,}",
        "pause at a departure, s": lambda x: f"{x.departure_s:.1f}",
        "at a return, s": lambda x: f"{x.return_s:.1f}",
        "rebuild, s": lambda x: f"{x.rebuild_s:.1f}",
        "rolling restart, s": lambda x: f"{x.rolling_s:,.0f}",
    }
    about = (
        f"restores by one worker, sessions of {minutes:g} minutes; processor time of the first update after it"
        f" {first.first_ms:.1f} ms, with all caches {first.rebuilt_ms:.1f} ms; of another one {first.next_ms:.2f} ms"
    )
    load = report.settings.load
    tables = [
        make_table(about, report.restores, restores),
        make_table(f"takeovers at a load of {load:.0%}, on the processor clock", report.takeovers, takeovers),
    ]
    if report.rolling:
        tables.append(make_table("rolling restarts of two workers", report.rolling, rolling))
    return [*tables, make_table("groups, by the model", report.model, model)]


def _describe_takeover(row: TakeoverRow) -> str:
    return "a new worker, all" if row.procedure == "surge" else f"each other of {row.workers}"


def parse_sizes(counts: Sequence[int], least: int) -> tuple[int, ...]:
    """Return the numbers in order, without those below `least`."""
    return tuple(sorted({x for x in counts if x >= least}))
