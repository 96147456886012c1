"""Offsets that are no records, on Apache Kafka: transaction markers, aborted records, compaction; and wrong clocks."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from consumers.common.settings import Guarantee, ServiceSettings, Topics
from consumers.http.ops.timings import StepTimings
from consumers.kafka.client.topic_reader import find_ends
from consumers.kafka.service.service import Service
from consumers.kafka.service.service_clients import ServiceClients
from consumers.verify.topic_check import verify_topics
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine
from tests.consumers.kafka.test_service import update
from tests.kafka.rig import Place, take
from tests.waiting import PATIENCE

BOTH: list[Guarantee] = ["at_least_once", "exactly_once"]


def settings_at(place: Place, guarantee: Guarantee) -> ServiceSettings:
    topics = Topics(input=place.topic, output=place.output, dead_letter=f"{place.run}.dead", state=f"{place.run}.state")
    quick = {"commit_seconds": 0.02, "fetch_wait_ms": 50, "shutdown_seconds": 5.0}
    return ServiceSettings(broker=place.address, topics=topics, group=place.group, guarantee=guarantee, **quick)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(settings: ServiceSettings, timings: StepTimings | None = None) -> AsyncIterator[Service]:
    service, stop = (
        Service(settings, Worker(fake_engine(["ner"], "", coalesce=False)), observer=timings),
        asyncio.Event(),
    )
    task = asyncio.create_task(service.run(stop))
    try:
        async with asyncio.timeout(PATIENCE):
            await service.ready.wait()
        yield service
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


@asynccontextmanager
async def transactions(place: Place) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=place.address, transactional_id=f"{place.run}.source") as producer:
        yield producer


async def send(producer: AIOKafkaProducer, place: Place, session: str, *texts: str, abort: bool = False) -> None:
    await producer.begin_transaction()
    for text in texts:
        await producer.send(place.topic, update(session, text), key=session.encode(), partition=0)
    await (producer.abort_transaction() if abort else producer.commit_transaction())


async def settle(place: Place, service: Service) -> None:
    """Wait until all is committed as Kafka counts: the group is at the end of each partition it has read."""
    async with asyncio.timeout(PATIENCE), place.consumer() as reader:
        end = (await reader.end_offsets([place.partition()]))[place.partition()]
        while await place.committed(place.partition()) != end or any(x.messages for x in service.lags()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("guarantee", BOTH)
async def test_markers_and_aborted_records_are_no_lag_and_lost_by_no_restart(
    place: Place, guarantee: Guarantee
) -> None:
    settings = settings_at(place, guarantee)
    await place.make_topics(place.topic)
    async with transactions(place) as producer:
        async with serving(settings) as service:
            await send(producer, place, "a", "anna", "anna met bob")
            await settle(place, service)
            await send(producer, place, "a", "paris", "paris met", abort=True)
            await settle(place, service)
            await send(producer, place, "b", "rome", abort=True)
            await send(producer, place, "a", "anna met bob in rome")
            await send(producer, place, "b", "nothing of it", abort=True)  # the partition ends with no record
            await settle(place, service)
        async with serving(settings) as service:
            await settle(place, service)
            await send(producer, place, "a", "anna met bob in paris")
            await settle(place, service)
    report = await asyncio.to_thread(
        verify_topics,
        place.address,
        settings.topics,
        fake_engine(["ner"], "", coalesce=False),
        guarantee=guarantee,
        exact=False,
        group=place.group,
    )
    assert report.ok, report.counts
    assert (report.messages, report.letters) == (4, 0)
    ends = await asyncio.to_thread(find_ends, place.address, place.topic, place.group)
    assert ends[0] == (await asyncio.to_thread(find_ends, place.address, place.topic))[0] == 14


async def test_a_transaction_that_is_open_is_no_lag_of_ours(place: Place) -> None:
    await place.make_topics(place.topic)
    async with transactions(place) as producer, serving(settings_at(place, "at_least_once")) as service:
        await send(producer, place, "a", "anna")
        await settle(place, service)
        await producer.begin_transaction()
        await producer.send_and_wait(place.topic, update("a", "anna met"), key=b"a", partition=0)
        await asyncio.sleep(0.5)  # it would be fetched by now
        assert {x.messages for x in service.lags()} == {0}
        await producer.commit_transaction()
        await settle(place, service)


@pytest.mark.parametrize("guarantee", BOTH)
async def test_a_topic_that_was_compacted_is_read_to_its_end(place: Place, guarantee: Guarantee) -> None:
    """An input that an operator has compacted after all: what is left has gaps, before the first record too."""
    settings = settings_at(place, guarantee)
    await place.make_topics(
        place.topic,
        partitions=1,
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.001",
        max_compaction_lag_ms="100",
        delete_retention_ms="0",
    )
    async with place.producer(acks="all") as producer:
        for number in range(30):
            await producer.send_and_wait(place.topic, update("a", f"anna {number}"), key=b"a", partition=0)
            if number % 10 == 9:
                await asyncio.sleep(0.3)
    async with place.consumer(place.topic) as reader:
        await take(reader, 1)
    topics = settings.topics
    await place.make_topics(topics.output, topics.dead_letter, partitions=1)
    await place.make_topics(topics.state, partitions=1, cleanup_policy="compact")
    clients = ServiceClients(prepare=do_nothing)
    service, stop = Service(settings, Worker(fake_engine(["ner"], "", coalesce=False)), clients), asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    try:
        await settle(place, service)
    finally:
        stop.set()
        await task


async def do_nothing(settings: ServiceSettings) -> None:
    """The check of topics would refuse a compacted input."""


@pytest.mark.parametrize("kind", ["CreateTime", "LogAppendTime"])
async def test_one_wrong_clock_does_not_spoil_the_latency(place: Place, kind: str) -> None:
    """Where the broker stamps, no producer's clock counts."""
    await place.make_topics(place.topic, message_timestamp_type=kind)
    timings, now = StepTimings(), int(time.time() * 1000)
    async with serving(settings_at(place, "at_least_once"), timings) as service, place.producer() as producer:
        for number, stamp in enumerate([now, now // 1000, now - 86_400_000, now + 2_000_000]):
            name = f"s{number}"
            await producer.send_and_wait(
                place.topic, update(name, "anna"), key=name.encode(), timestamp_ms=stamp, partition=0
            )
            await settle(place, service)
        counted = {x.name: x.value for metric in timings.collect() for x in metric.samples if not x.labels}
        assert counted["hearken_produce_to_revision_seconds_sum"] < 120
        expected = {"past": 2, "future": 1} if kind == "CreateTime" else {}
        assert service.clock_faults == expected
        assert counted["hearken_produce_to_revision_seconds_count"] == 4 - sum(expected.values())
