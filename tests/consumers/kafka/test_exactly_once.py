"""Exactly once on the broker in memory: transactions that fail, are in doubt, hang, or are somebody else's by now."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from consumers.common.settings import ServiceSettings
from consumers.kafka.in_flight import InFlightRecord, OffsetTracker
from consumers.kafka.output.changelog import PARTITION_KEY, read_changelog
from consumers.kafka.output.dead_letter import DeadLetterWriter
from consumers.kafka.output.exactly_once import ExactlyOnce
from consumers.kafka.output.partition_writer import PartitionOutput, WriterContext
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeKafka, FakeProducer
from tests.consumers.fakes import fake_engine
from tests.waiting import PATIENCE

FIRST, CHANGES = TopicPartition(IN, 0), TopicPartition(STATE, 0)
NAME = f"hearken-{IN}-0"


def settings(**changes: object) -> ServiceSettings:
    fields = {"guarantee": "exactly_once", "commit_seconds": 0.01, "session_timeout_seconds": 0.1} | changes
    return ServiceSettings(broker="fake:1", **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(kafka: FakeKafka, **changes: object) -> AsyncIterator[Service]:
    stop = asyncio.Event()
    service = Service(settings(**changes), Worker(fake_engine(["ner"], "", coalesce=False)), kafka.clients())
    task = asyncio.create_task(service.run(stop))
    try:
        yield service
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


def update(text: str) -> bytes:
    return json.dumps({"type": "update", "session": "a", "segment": "s", "text": text}).encode()


def revs(kafka: FakeKafka) -> list[int]:
    return [json.loads(record.value or b"")["rev"] for record in kafka.records(OUT)]


async def test_revisions_states_letters_and_offsets_become_visible_together() -> None:
    kafka = FakeKafka()
    await kafka.append(IN, update("anna"))
    await kafka.append(IN, b"{")
    async with serving(kafka, commit_seconds=1.0):
        await kafka.until(lambda: kafka.transactions == 2)  # the first one only says whose the changelog is
        assert (revs(kafka), len(kafka.records(DEAD)), kafka.committed) == ([1], 1, {FIRST: 2})
        assert [record.key for record in kafka.records(STATE)] == [PARTITION_KEY, b'["a","s"]', PARTITION_KEY]
    assert kafka.transactions == 2


@pytest.mark.parametrize("happened", [True, False])
async def test_a_transaction_in_doubt_is_done_once(happened: bool) -> None:
    """Its commit was not answered: whether it happened is for the brokers to say, and nothing comes twice."""
    kafka = FakeKafka()
    kafka.fail_commit = [(KafkaTimeoutError(), happened)]
    async with serving(kafka):
        for text in ("anna", "anna met bob", "{", "anna met bob in rome"):
            await kafka.append(IN, b"{" if text == "{" else update(text))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 4)
    assert revs(kafka) == [1, 2, 3]
    assert len(kafka.records(DEAD)) == 1
    assert kafka.epochs[NAME] == 2  # the producer was replaced


async def test_a_transaction_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = FakeKafka()
    plain, hung = FakeProducer.commit_transaction, list[FakeProducer]()

    async def hang_once(self: FakeProducer) -> None:
        if not hung:
            hung.append(self)
            await asyncio.Event().wait()
        await plain(self)

    monkeypatch.setattr(FakeProducer, "commit_transaction", hang_once)
    async with serving(kafka, transaction_seconds=0.05):
        await kafka.append(IN, update("anna"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
    assert hung
    assert revs(kafka) == [1]


async def test_who_is_shut_out_writes_nothing_and_does_not_shut_out_the_owner() -> None:
    """Another service has the partition by now; the group tells us later."""
    kafka = FakeKafka()
    async with serving(kafka, session_timeout_seconds=3.0):
        await kafka.append(IN, update("anna"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        owner = FakeProducer(kafka, NAME)
        await owner.start()
        await kafka.append(IN, update("anna met bob"))
        assert kafka.consumer is not None
        while kafka.consumer.positions[FIRST] < 2:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)
        await kafka.consumer.rebalance([])
        await owner.begin_transaction()
        await owner.commit_transaction()  # it was not fenced
    assert revs(kafka) == [1]
    assert kafka.committed[FIRST] == 1


async def test_an_owner_that_was_shut_out_by_mistake_opens_it_anew() -> None:
    kafka = FakeKafka()
    async with serving(kafka):
        await kafka.append(IN, update("anna"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        await FakeProducer(kafka, NAME).start()
        await kafka.append(IN, update("anna met bob"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert revs(kafka) == [1, 2]


async def test_what_is_done_beyond_the_position_is_kept_and_not_done_again() -> None:
    """A dead letter behind a record that takes longer."""
    kafka = FakeKafka()
    for value in (update("anna"), b"{", update("anna met bob")):
        await kafka.append(IN, value)
    producer, tracker = FakeProducer(kafka, NAME), OffsetTracker()
    await producer.start()
    letters = DeadLetterWriter()
    context = WriterContext(settings(), letters, lambda done, revisions, wrote: None)
    writer = ExactlyOnce(FIRST, tracker, context, 0, producer)
    taken = []
    for record in kafka.records(IN):
        tracker.begin(record.offset)
        taken.append(InFlightRecord(tracker, record))
    await writer.write_group(
        [PartitionOutput(letters=[letters.make_letter("invalid_json", "x", taken[1].record)], done=[taken[1]])]
    )
    assert kafka.committed == {FIRST: 0}
    records = [(x.offset, (x.key or b"", x.value)) for x in kafka.records(STATE)]
    assert read_changelog(records, "hearken", IN, "state").done == ((1, 2),)
    async with serving(kafka):
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    assert revs(kafka) == [1, 2]
    assert len(kafka.records(DEAD)) == 1


async def test_a_kept_partition_goes_on_through_a_rebalance() -> None:
    """Fences make a pause unnecessary: what is in flight is written, whatever the group is about."""
    kafka = FakeKafka(partitions=2)
    async with serving(kafka):
        await kafka.append(IN, update("anna"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        assert kafka.consumer is not None
        await kafka.consumer.rebalance([0])
        await kafka.append(IN, update("anna met bob"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert revs(kafka) == [1, 2]
    assert kafka.epochs[NAME] == 1  # neither fenced nor restored
