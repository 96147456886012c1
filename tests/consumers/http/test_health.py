"""Health is progress, readiness is that work can be done; both say why not."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from aiokafka import TopicPartition

from consumers.http.app import HttpContext
from consumers.http.settings import HttpSettings
from consumers.kafka.in_flight import InFlightRecords, OffsetTracker
from consumers.kafka.service.service import Service
from encoder.restart.policies import Last
from stream.engine.engine import Engine, StepResult
from stream.engine.worker import StepBatch, Worker, WorkerFailed
from stream.messages.types import Update
from tests.consumers.fake_kafka import IN, OUT, FakeKafka, FakeRecord
from tests.consumers.fakes import fake_engine
from tests.consumers.http.sites import asking, make_context
from tests.consumers.kafka.test_service import FIRST, settings, update
from tests.stream.fake_tagger import fake_labeller
from tests.stream.helpers import drain_worker
from tests.waiting import PATIENCE


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate(Engine):
    """Its steps wait until they are let."""

    def __init__(self) -> None:
        super().__init__(fake_labeller("ner"), Last(3))
        self.let = threading.Semaphore(0)

    def step(self, clock: Callable[[], float] | None = None) -> StepResult:
        self.let.acquire()
        return super().step(clock)


@asynccontextmanager
async def reading(worker: Worker) -> AsyncIterator[asyncio.Queue[StepBatch]]:
    batches = asyncio.Queue[StepBatch]()

    async def read() -> None:
        async for batch in worker.results():
            batches.put_nowait(batch)

    task = asyncio.create_task(read())
    try:
        yield batches
    finally:
        if isinstance(worker.engine, Gate):
            worker.engine.let.release(100)
        await worker.close()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def serving(kafka: FakeKafka, worker: Worker) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    stop = asyncio.Event()
    service = Service(settings(), worker, kafka.clients())
    task = asyncio.create_task(service.run(stop))
    try:
        async with asking(HttpContext(settings=HttpSettings(port=0), worker=worker, service=service)) as client:
            yield service, client
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


async def test_a_step_that_does_not_end_is_no_progress() -> None:
    clock, engine = Clock(), Gate()
    worker = Worker(engine, clock=clock)
    async with asking(make_context(worker=worker)) as client, reading(worker):
        clock.now += 1000
        assert (await client.get("/healthz")).json()["status"] == "ok"  # nothing waits, so nothing is late
        await worker.submit(Update(session="a", segment="s", text="anna"), 0)
        clock.now += 60
        assert (await client.get("/healthz")).status_code == 200
        clock.now += 1
        stuck = await client.get("/healthz")
        assert stuck.status_code == 503
        told = stuck.json()
        assert told["status"] == "stuck"
        assert told["why"] == ["messages wait and no step has ended for 61 s"]
        assert told["number_format"] == "exact"
        assert (told["in_flight"], told["seconds_without_progress"]) == (1, 61)
        assert (await client.get("/readyz")).json()["why"] == told["why"]
        engine.let.release()
        await drain_worker(worker)
        assert (await client.get("/healthz")).status_code == 200


async def test_steps_that_end_are_progress_however_much_waits() -> None:
    clock, engine = Clock(), Gate()
    worker = Worker(engine, clock=clock)
    async with asking(make_context(worker=worker)) as client, reading(worker) as batches:
        for offset in range(5):
            await worker.submit(Update(session="a", segment="s", text="anna " * (offset + 1)), offset)
        for _ in range(4):
            clock.now += 50
            assert (await client.get("/healthz")).status_code == 200
            engine.let.release()
            await batches.get()
        assert (await client.get("/healthz")).json()["seconds_without_progress"] == 0
        engine.let.release()
        await drain_worker(worker)


async def test_a_compute_thread_that_died_is_told() -> None:
    class Broken(Engine):
        def step(self, clock: Callable[[], float] | None = None) -> StepResult:
            raise RuntimeError("secret text")

    worker = Worker(Broken(fake_labeller("ner"), Last(3)))
    async with asking(make_context(worker=worker)) as client, reading(worker):
        await worker.submit(Update(session="a", segment="s", text="anna"), 0)
        with pytest.raises(WorkerFailed):
            await drain_worker(worker)
        dead = await client.get("/healthz")
        assert dead.status_code == 503
        assert dead.json()["why"] == ["the compute thread has stopped; the log says why"]
        assert "secret" not in dead.text


async def test_the_service_is_ready_when_its_partitions_are_open() -> None:
    kafka = FakeKafka(alone=False)
    async with serving(kafka, Worker(fake_engine(["ner"], "", coalesce=True))) as (service, client):
        await kafka.until(lambda: kafka.consumer is not None)
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.json()["ready"]) == (503, False)
        assert waiting.json()["why"] == ["the group has given us no partition yet"]
        assert (await client.get("/healthz")).status_code == 200
        assert kafka.consumer is not None
        await kafka.consumer.rebalance([0])
        await service.ready.wait()
        assert (await client.get("/readyz")).json() == {"ready": True, "why": []}


async def test_a_service_that_ends_is_not_ready_and_still_healthy() -> None:
    kafka = FakeKafka()
    async with serving(kafka, Worker(fake_engine(["ner"], "", coalesce=True))) as (service, client):
        await service.ready.wait()
        service._consume_loop.stopping.set()
        ending = await client.get("/readyz")
        assert (ending.status_code, ending.json()["why"]) == (503, ["the service ends"])
        assert (await client.get("/healthz")).status_code == 200


async def test_writes_that_are_not_acknowledged_are_told_once_nobody_gives_them_up() -> None:
    kafka, clock = FakeKafka(), Clock()
    async with serving(kafka, Worker(fake_engine(["ner"], "", coalesce=True))) as (service, client):
        service._in_flight._clock = clock
        await service.ready.wait()
        kafka.hold, kafka.held_topics = True, {OUT}
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.until(lambda: kafka.unacknowledged)
        clock.now += 120 + 60  # a delivery is given up after 120 s, and the partition opened again
        assert (await client.get("/healthz")).status_code == 200
        clock.now += 1
        stuck = await client.get("/healthz")
        assert stuck.status_code == 503
        assert stuck.json()["why"] == ["records wait and nothing was delivered of their partition for 181 s"]
        kafka.release()
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        assert (await client.get("/healthz")).status_code == 200


def test_one_partition_that_is_stuck_is_not_hidden_by_others() -> None:
    clock = Clock()
    in_flight, first, second = InFlightRecords(10, clock), OffsetTracker(), OffsetTracker()
    assert in_flight.stuck_seconds == 0
    in_flight.begin(first, FakeRecord(IN, 0, 0, b"a", b""))
    clock.now += 5
    other = in_flight.begin(second, FakeRecord(IN, 1, 0, b"b", b""))
    assert in_flight.stuck_seconds == 5
    clock.now += 5
    in_flight.mark_delivered([other])
    assert in_flight.stuck_seconds == 10
    in_flight.begin(second, FakeRecord(IN, 1, 1, b"b", b""))
    assert in_flight.stuck_seconds == 10
    in_flight.mark_delivered([in_flight.begin(first, FakeRecord(IN, 0, 1, b"a", b""))])
    assert in_flight.stuck_seconds == 0  # one is left, but work goes on
    clock.now += 3
    assert in_flight.stuck_seconds == 3
    in_flight.drop_partition(TopicPartition(IN, 1), second)
    assert in_flight.stuck_seconds == 3
    in_flight.drop_partition(TopicPartition(IN, 0), first)
    assert in_flight.stuck_seconds == 0
