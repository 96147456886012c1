"""What librdkafka's in-process cluster does not do: why guarantees are tested on Apache Kafka and shown on neither."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka.errors import CorruptRecordException, KafkaError, ProducerFenced

from consumers.kafka.brokers.embedded import FETCH_WAIT_MS, EmbeddedBroker
from tests.kafka.rig import Place, new_place, take


@pytest.fixture
def place() -> Iterator[Place]:
    broker = EmbeddedBroker()
    yield new_place(broker.address, "embedded")
    broker.close()


async def test_it_acknowledges_every_record_with_the_time_1234(place: Place) -> None:
    """So no age or latency can be read from an acknowledgement there."""
    async with place.producer() as producer:
        acknowledged = await producer.send_and_wait(place.topic, b"x", partition=0)
    assert acknowledged.timestamp == 1234


async def test_it_keeps_five_mebibytes_of_a_partition(place: Place) -> None:
    """Older records go, read or not."""
    await place.produce([bytes(500_000)] * 14)
    async with place.consumer(place.topic, fetch_max_wait_ms=FETCH_WAIT_MS) as reader:
        assert (await reader.beginning_offsets([place.partition()]))[place.partition()] > 0
        assert (await reader.end_offsets([place.partition()]))[place.partition()] == 14


async def test_it_shows_aborted_records_and_forgets_the_offsets_of_transactions(place: Place) -> None:
    """Transactions are answered with yes, and nothing comes of them; the second one's records cannot even be read."""
    async with place.producer(transactional_id="t") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(place.topic, b"aborted", partition=0)
        await producer.abort_transaction()
        await producer.begin_transaction()
        await producer.send_and_wait(place.topic, b"committed", partition=0)
        await producer.send_offsets_to_transaction({place.partition(): 7}, place.group)
        await producer.commit_transaction()
    async with place.consumer(place.topic, fetch_max_wait_ms=FETCH_WAIT_MS) as reader:
        assert [record.value for record in await take(reader, 1)] == [b"aborted"]
        with pytest.raises(CorruptRecordException):
            await take(reader, 1)
    assert await place.committed(place.partition()) is None


async def test_it_does_not_fence(place: Place) -> None:
    """A former owner goes on writing."""
    async with place.producer(transactional_id="t") as zombie, place.producer(transactional_id="t"):
        await zombie.begin_transaction()
        try:
            async with asyncio.timeout(5):
                await zombie.send_and_wait(place.topic, b"late", partition=0)
                await zombie.commit_transaction()
        except ProducerFenced:  # pragma: no cover
            pytest.fail("it fences now: tests of fencing may use it")


async def test_a_fetch_that_finds_nothing_is_answered_only_when_its_time_is_up(place: Place) -> None:
    """Even if something comes meanwhile: so readers there ask often."""
    async with (
        place.consumer(place.topic, fetch_max_wait_ms=20_000) as patient,
        place.consumer(place.topic, fetch_max_wait_ms=FETCH_WAIT_MS) as eager,
    ):
        for partition in patient.assignment():
            await patient.position(partition)
        assert not await patient.getmany(timeout_ms=200)
        await place.produce([b"x"])
        assert len(await take(eager, 1)) == 1
        assert not await patient.getmany(timeout_ms=200)


async def test_it_cannot_serve_two_members_of_a_group(place: Place) -> None:
    """The second is refused in the middle of the division."""
    await place.produce([b"x"])
    async with place.member(place.topic, fetch_max_wait_ms=FETCH_WAIT_MS) as first:
        await take(first, 1)
        second = place.member(place.topic, fetch_max_wait_ms=FETCH_WAIT_MS)
        with pytest.raises(KafkaError):
            await second.start()
        await second.stop()
