"""`hearken purge`: the state of one session goes at once, others stay, and it is said what remains."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import msgspec
import pytest

from consumers.common.errors import OperationFailed
from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka import state_purge
from consumers.kafka.brokers.embedded import FETCH_WAIT_MS, EmbeddedBroker
from consumers.kafka.client.topic_reader import read_topic
from consumers.kafka.service.service import Service
from consumers.kafka.state_purge import purge_state
from stream.engine.worker import Worker
from stream.redaction.policy import RedactionPolicy
from tests.consumers.fakes import fake_engine
from tests.consumers.kafka.test_embedded import produce, update
from tests.waiting import PATIENCE

TOPICS = Topics(input="p.in", output="p.out", dead_letter="p.dead", state="p.state", redacted="p.redacted")


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    embedded = EmbeddedBroker()
    yield embedded.address
    embedded.close()


@asynccontextmanager
async def finished(settings: ServiceSettings, records: int) -> Any:
    """A service that has dealt with so many records, and has stopped afterwards."""
    engine = fake_engine(["ner"], "", coalesce=False, redaction=RedactionPolicy())
    stop, service = asyncio.Event(), Service(settings, Worker(engine))
    task = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(PATIENCE):
        while service.finished < records:  # noqa: ASYNC110  # it has no event for it
            await asyncio.sleep(0.01)
        stop.set()
        await task
    yield


def revs(broker: str, topic: str, session: str) -> list[int]:
    records = [x for x in read_topic(broker, topic) if x.key == session.encode()]
    return [msgspec.json.decode(x.value or b"")["rev"] for x in records]


async def test_the_state_of_one_session_goes_and_others_stay(broker: str) -> None:
    settings = ServiceSettings(
        broker=broker, topics=TOPICS, group="purge", commit_seconds=0.01, fetch_wait_ms=FETCH_WAIT_MS
    )
    values = [(name.encode(), update(name, "we met anna and")) for name in ("gone", "kept")]
    await produce(broker, TOPICS.input, values)
    async with finished(settings, 2):
        report = await purge_state(settings, "gone")
    assert report.removed == 1
    remains = {x.topic: (x.records, x.holds) for x in report.remains}
    assert remains["p.in"] == (1, "yes")
    assert remains["p.redacted"] == (1, "no")
    assert remains["p.state"][0] >= 1
    values = [(name.encode(), update(name, "we met anna and rice")) for name in ("gone", "kept")]
    await produce(broker, TOPICS.input, values)
    async with finished(settings, 2):
        assert revs(broker, TOPICS.output, "gone") == [1, 1]
        assert revs(broker, TOPICS.output, "kept") == [1, 2]
        assert (await purge_state(settings, "nobody")).removed == 0


async def test_members_of_the_group_must_be_stopped(broker: str) -> None:
    settings = ServiceSettings(broker=broker, topics=TOPICS, group="purge")
    group = [0, "purge", "Stable", "consumer", "range", [("member",)]]
    answer = mock.Mock(groups=[group])

    class Admin:
        async def describe_consumer_groups(self, groups: list[str]) -> list[Any]:
            return [answer]

    with pytest.raises(OperationFailed, match="has 1 member"):
        await state_purge._check_stopped(Admin(), settings)  # type: ignore[arg-type]
