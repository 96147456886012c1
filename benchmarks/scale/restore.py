"""Restores: one worker takes over partitions whose changelog has many sessions, on a real broker.

The service is the real one, in this process: its clients, its partitions, its engine. The time of a partition counts
from its assignment until its records may be handled. What the sessions cost later is measured beside it: the first
update of a restored session, which computes its caches again, against the next one.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from confluent_kafka import Producer

from benchmarks.harness.progress import ReportProgress
from benchmarks.scale.states import NAME, ModelSession, copy_records, partition_of
from consumers.common.errors import OperationFailed
from consumers.common.settings import EngineSettings, ServiceSettings
from consumers.kafka.client.security import librdkafka_options
from consumers.kafka.output.changelog import KeyValue, encode_partition_record, read_changelog
from consumers.kafka.output.ownership import LatestRecords, epoch_headers
from consumers.kafka.service.observer import ServiceObserver
from consumers.kafka.service.service import Service
from consumers.runtime.engine_factory import build_engine
from stream.engine.engine import Engine
from stream.engine.worker import Worker
from stream.messages.types import Update
from tests.faults.rig.environment import RunEnvironment

RESTORE_SECONDS = 300.0
"""Limit of one restore."""
FIRST_UPDATES = 256
"""Restored sessions whose first update is measured."""
EPOCH = epoch_headers(0)


class RestoreRow(msgspec.Struct, frozen=True, kw_only=True):
    """One restore of all partitions by one worker."""

    sessions: int
    records: int
    mebibytes: float
    """Of the values in the changelog."""
    wall_s: float
    """From the assignment until all partitions are open."""
    cpu_s: float
    """Processor time of this process meanwhile: what it takes on a core of its own."""
    decode_s: float
    """Processor time of it for decoding records and building sessions, measured again without a broker."""
    longest_pause_ms: float
    """Longest time in which the event loop did not turn: nothing else was read, written or answered."""


class FirstUpdates(msgspec.Struct, frozen=True, kw_only=True):
    """Processor time of one more word, milliseconds a session."""

    rebuilt_ms: float
    """Of a restored session whose caches are computed first, as without overload control."""
    first_ms: float
    """Of a restored session among many, most of which get their caches later."""
    next_ms: float
    """Of the next word after `rebuilt_ms`."""


@dataclass
class _Watch(ServiceObserver):
    """Notes when partitions are assigned."""

    assigned_at: float = 0.0
    cpu_at: float = 0.0
    restored: int = 0
    assigned: asyncio.Event = field(default_factory=asyncio.Event)

    def on_assigned(self, partitions: Sequence[int]) -> None:
        self.assigned_at, self.cpu_at = time.monotonic(), time.process_time()
        self.assigned.set()

    def on_restored(self, sessions: int, seconds: float) -> None:
        self.restored += sessions


def measure_restore(
    broker: str, settings: EngineSettings, models: Sequence[ModelSession], sessions: int, partitions: int, run: str
) -> RestoreRow:
    """Fill a changelog, and restore it.

    Args:
        broker: address; Apache Kafka or one as capable.
        settings: of the engine.
        models: see `make_models`.
        sessions: in the changelog, spread over the partitions.
        partitions: of the topics.
        run: name that no other run uses.

    Raises:
        OperationFailed: the broker or the service failed.
    """
    env = RunEnvironment(broker, run, partitions)
    asyncio.run(env.create_run_topics())
    records, size = _fill(env, models, sessions)
    wall, cpu, pause = asyncio.run(_restore(env, settings, sessions))
    return RestoreRow(
        sessions=sessions,
        records=records,
        mebibytes=size / (1 << 20),
        wall_s=wall,
        cpu_s=cpu,
        decode_s=measure_decode(settings, models, sessions),
        longest_pause_ms=1000 * pause,
    )


def _fill(env: RunEnvironment, models: Sequence[ModelSession], sessions: int) -> tuple[int, int]:
    """Write the input that the sessions were made of, and their states; returns number and bytes of the records."""
    producer = Producer(
        {
            "bootstrap.servers": env.address,
            "acks": "all",
            "linger.ms": 20,
            "queue.buffering.max.kbytes": 256 << 10,
            "log_level": 0,
            **librdkafka_options(),
        }
    )
    done = max(x.messages for x in models)

    def produce(
        topic: str, partition: int, record: KeyValue, headers: list[tuple[str, str | bytes | None]] | None = None
    ) -> None:
        key, value = record
        while True:
            try:
                return producer.produce(topic, value, key, partition=partition, headers=headers or [])
            except BufferError:
                producer.poll(0.1)

    for partition in range(env.partitions):
        for _ in range(done):
            produce(env.topics.input, partition, (b"", b""))
        claim = encode_partition_record(env.run, env.topics.input, claim=True, position=done)
        produce(env.topics.state, partition, claim)
    count = size = 0
    for number in range(sessions):
        partition = partition_of(number, env.partitions)
        for record in copy_records(models, number):
            produce(env.topics.state, partition, record, [*EPOCH])
            count, size = count + 1, size + len(record[1] or b"")
    if producer.flush(RESTORE_SECONDS):
        raise OperationFailed("the broker did not take all states")
    return count, size


async def _restore(env: RunEnvironment, settings: EngineSettings, sessions: int) -> tuple[float, float, float]:
    """Run the service until all partitions are open; returns wall and processor seconds, and the longest pause."""
    watch, stop = _Watch(), asyncio.Event()
    of_service = ServiceSettings(broker=env.address, topics=env.topics, group=env.run)
    service = Service(of_service, Worker(build_engine(settings)), observer=watch)
    running = asyncio.create_task(service.run(stop))
    pauses = asyncio.create_task(_find_longest_pause(watch.assigned, service.ready))
    ready = asyncio.create_task(service.ready.wait())
    try:
        async with asyncio.timeout(RESTORE_SECONDS):
            await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            raise OperationFailed(f"the service ended before it was ready: {running.exception()}")
        wall, cpu = time.monotonic() - watch.assigned_at, time.process_time() - watch.cpu_at
        if watch.restored != sessions:
            raise OperationFailed(f"{watch.restored:,} of {sessions:,} sessions were restored")
        return wall, cpu, await pauses
    finally:
        stop.set()
        for task in (ready, pauses):
            task.cancel()
        await asyncio.gather(running, ready, pauses, return_exceptions=True)


async def _find_longest_pause(begin: asyncio.Event, end: asyncio.Event) -> float:
    await begin.wait()
    longest, before = 0.0, time.monotonic()
    while not end.is_set():
        await asyncio.sleep(0.001)
        now = time.monotonic()
        longest, before = max(longest, now - before), now
    return longest


def measure_decode(settings: EngineSettings, models: Sequence[ModelSession], sessions: int) -> float:
    """Measure the processor seconds from records in memory to sessions that an engine has."""
    engine = build_engine(settings)
    records = [record for number in range(sessions) for record in copy_records(models, number)]
    began = time.process_time()
    _restore_records(engine, records)
    return time.process_time() - began


def _restore_records(engine: Engine, records: Sequence[KeyValue]) -> None:
    latest = LatestRecords()
    for offset, (key, value) in enumerate(records):
        latest.add(offset, key, value, EPOCH)
    for name, saved in read_changelog(latest.records(), "", "", "").sessions.items():
        engine.restore(saved, name, 0.0)
    _step(engine)


def measure_first_updates(
    settings: EngineSettings, models: Sequence[ModelSession], sessions: int = FIRST_UPDATES
) -> FirstUpdates:
    """Measure one more word of each of many restored sessions, and then another."""
    (first,) = _time_updates(settings, models, sessions, 1)
    rebuilt, following = _time_updates(replace(settings, overload_seconds=0.0), models, sessions, 2)
    return FirstUpdates(rebuilt_ms=rebuilt, first_ms=first, next_ms=following)


def _time_updates(settings: EngineSettings, models: Sequence[ModelSession], sessions: int, words: int) -> list[float]:
    """Return the processor milliseconds a session of each of so many more words."""
    engine = build_engine(settings)
    _restore_records(engine, [x for number in range(sessions) for x in copy_records(models, number)])
    took: list[float] = []
    for word in range(words):
        for number in range(sessions):
            model = models[number % len(models)]
            text = f"{model.last.text}{' again' * (1 + word)}"
            update = Update(session=NAME.format(number), segment=model.last.segment, text=text)
            engine.submit(update, model.messages + word)
        began = time.process_time()
        _step(engine)
        took.append(1000 * (time.process_time() - began) / sessions)
    return took


def _step(engine: Engine) -> None:
    while engine.pending:
        engine.step()


def measure_restores(
    broker: str,
    settings: EngineSettings,
    models: Sequence[ModelSession],
    counts: Sequence[int],
    partitions: int,
    run: str,
    progress: ReportProgress,
    tell: Callable[[str], None],
) -> tuple[list[RestoreRow], FirstUpdates]:
    """Measure restores of several numbers of sessions, and the first updates after one."""
    progress("first updates of restored sessions", 0.0)
    first = measure_first_updates(settings, models, min(FIRST_UPDATES, max(counts)))
    rows = []
    for number, count in enumerate(counts):
        progress(f"restore of {count:,} sessions", (1 + number) / (1 + len(counts)))
        rows.append(measure_restore(broker, settings, models, count, partitions, f"{run}-{count}"))
        tell(f"{count:,} sessions: {rows[-1].cpu_s:.2f} s of processor, {rows[-1].wall_s:.2f} s")
    return rows, first
