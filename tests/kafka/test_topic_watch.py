"""Topics that change under a running service on Apache Kafka: noticed, said, and never the silent end of a session."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import NewPartitions
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from structlog.testing import capture_logs

from consumers.common.errors import OperationFailed
from consumers.common.settings import Guarantee, ServiceSettings
from consumers.kafka.service.service import Service
from consumers.kafka.topics import watch
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine
from tests.consumers.kafka.test_service import update
from tests.kafka.rig import Place, administering, take_all
from tests.kafka.test_offsets import settings_at
from tests.waiting import PATIENCE

BOTH: list[Guarantee] = ["at_least_once", "exactly_once"]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.2)


def set_config(place: Place, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": place.address})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(PATIENCE)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(settings: ServiceSettings) -> AsyncIterator[tuple[Service, "asyncio.Task[None]"]]:
    service, stop = Service(settings, Worker(fake_engine(["ner"], "", coalesce=False))), asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    await until(lambda: service.ready.is_set() or task.done())
    try:
        yield service, task
    finally:
        stop.set()
        await asyncio.wait([task], timeout=PATIENCE)


async def say(place: Place, text: str) -> None:
    async with place.producer(acks="all") as producer:
        await producer.send_and_wait(place.topic, update("a", text), key=b"a", partition=0)


@pytest.mark.parametrize(
    ("role", "name", "wrong", "right", "level"),
    [
        ("state", "cleanup.policy", "delete", "compact", "error"),
        ("input", "retention.ms", "60000", "604800000", "warning"),
        ("dead_letter", "max.message.bytes", "1000", "1114112", "error"),
        ("output", "cleanup.policy", "compact", "delete", "error"),
    ],
)
async def test_a_setting_that_changes_is_told_once_and_told_again_when_it_is_right(
    place: Place, role: str, name: str, wrong: str, right: str, level: str
) -> None:
    settings = settings_at(place, "at_least_once")
    topic = getattr(settings.topics, role)
    with capture_logs() as logs:
        async with running(settings) as (service, task):
            assert service.topic_problems == []
            set_config(place, topic, name, wrong)
            await until(lambda: service.topic_problems)
            [problem] = service.topic_problems
            assert (problem.topic, problem.severity) == (topic, level)
            await asyncio.sleep(0.6)
            set_config(place, topic, name, right)
            await until(lambda: not service.topic_problems)
            assert not task.done()
        await task
    told = [(x["event"], x["log_level"]) for x in logs if x.get("topic") == topic and "detail" in x]
    assert told == [("topic_misconfigured", level), ("topic_recovered", "info")]


@pytest.mark.parametrize("guarantee", BOTH)
@pytest.mark.parametrize("busy", [True, False])
async def test_a_state_topic_that_is_deleted_ends_the_service_before_a_session_is_lost(
    place: Place, guarantee: Guarantee, busy: bool
) -> None:
    """It comes back by itself, with cleanup.policy=delete: brokers may create topics."""
    settings = settings_at(place, guarantee)
    async with running(settings) as (service, task):
        for number in range(8):
            await say(place, "anna met " * (number + 1))
            await until(lambda number=number: service.finished > number)
        async with administering(place.address) as admin:
            await admin.delete_topics([settings.topics.state])
        if busy:
            await say(place, "anna met bob")
        await until(task.done)
        with pytest.raises(OperationFailed) as failed:
            await task
    assert settings.topics.state in str(failed.value)
    assert "begin anew" in str(failed.value)
    async with place.consumer(place.output) as reader:
        seen = [json.loads(x.value or b"") for x in await take_all(reader)]
    revs = [x["rev"] for x in seen]
    assert revs == list(range(1, len(revs) + 1)) != [], "no rev was used twice"


async def test_an_input_with_more_partitions_is_told(place: Place) -> None:
    """By the watch, or by the end of the service, whichever comes first: its group may assign the new partitions."""
    settings = settings_at(place, "at_least_once")
    async with running(settings) as (service, task):
        async with administering(place.address) as admin:
            await admin.create_partitions({place.topic: NewPartitions(total_count=9)})
        await until(lambda: task.done() or any("it has 4 partitions" in x.detail for x in service.topic_problems))
    if task.done() and (error := task.exception()) is not None:
        assert "the input was given more partitions" in str(error)


async def test_brokers_that_are_away_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    async def look() -> None:
        looks.append(1)

    guard = watch.TopicWatch(ServiceSettings(broker="127.0.0.1:1"))
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    task = asyncio.create_task(guard.run(look))
    await asyncio.sleep(0.5)
    assert not task.done()
    assert looks == []
    task.cancel()
