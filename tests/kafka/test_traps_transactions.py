"""What aiokafka's transactions on Apache Kafka really do: the facts that exactly-once stands on."""

import asyncio
import os
import signal

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from consumers.kafka.brokers.apache_kafka import ApacheKafka
from tests.kafka.rig import Place, new_place, stop_producer, take, take_all
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
async def _quiet(quiet_fences: None) -> None:
    """Producers are fenced here."""


@pytest.fixture
async def topics(place: Place) -> Place:
    """Topics made."""
    await place.make_topics()
    return place


def transactional(place: Place, **options: object) -> AIOKafkaProducer:
    return place.producer(transactional_id=f"{place.group}-0", **options)


async def begin(place: Place, producer: AIOKafkaProducer, value: bytes, offset: int) -> None:
    """A transaction with one record and one offset, left open."""
    await producer.begin_transaction()
    await producer.send_and_wait(place.output, value, partition=0)
    await producer.send_offsets_to_transaction({place.partition(): offset}, place.group)


async def output(place: Place, **options: object) -> list[bytes | None]:
    async with place.consumer(place.output, **options) as reader:
        return [record.value for record in await take_all(reader)]


async def test_the_group_does_not_fence_a_transaction(topics: Place) -> None:
    """`send_offsets_to_transaction` carries no generation: one who is no member of the group may move its offsets."""
    place = topics
    await place.produce([b"x"] * 9)
    async with place.member(place.topic) as member, transactional(place) as zombie:
        await take(member, 9)
        await member.commit({place.partition(): 9})
        await begin(place, zombie, b"zombie", 4)
        await zombie.commit_transaction()
        async with transactional(place):  # until it has started, `committed` may still answer 9
            assert await member.committed(place.partition()) == 4
    assert await output(place) == [b"zombie"]


async def test_the_same_id_aborts_and_fences_its_former_owner(topics: Place) -> None:
    """InitProducerId ends what the zombie left open, and the zombie can write no more."""
    place = topics
    async with transactional(place) as owner:
        zombie = transactional(place)
        await zombie.start()
        await owner.stop()
        await begin(place, zombie, b"zombie", 4)
        async with transactional(place) as successor:
            assert await place.committed(place.partition()) is None
            with pytest.raises(ProducerFenced):
                await zombie.commit_transaction()
            await begin(place, successor, b"successor", 2)
            await successor.commit_transaction()
        await zombie.stop()
    assert await place.committed(place.partition()) == 2
    assert await output(place) == [b"successor"]


async def test_a_fenced_producer_that_only_sends_is_fenced_too(topics: Place) -> None:
    """The fence shows with the first request, and each record's own future fails with it: all must be looked at."""
    place = topics
    async with transactional(place) as zombie:
        await zombie.begin_transaction()
        async with transactional(place):
            acknowledgement = await zombie.send(place.output, b"late", partition=0)
            with pytest.raises(ProducerFenced):
                await acknowledgement
            with pytest.raises(IllegalOperation):  # by now it says something else
                await zombie.send(place.output, b"later", partition=0)
    assert await output(place) == []


async def test_aborted_records_are_there_for_those_who_do_not_ask_for_committed_ones(topics: Place) -> None:
    """`read_committed` is not the default: a reader that forgets it sees what was taken back."""
    place = topics
    async with transactional(place) as producer:
        await begin(place, producer, b"aborted", 1)
        await producer.abort_transaction()
        await begin(place, producer, b"committed", 2)
        await producer.commit_transaction()
        await begin(place, producer, b"open", 3)
        assert await output(place) == [b"committed"]
        assert await output(place, isolation_level="read_uncommitted") == [b"aborted", b"committed", b"open"]
        await producer.abort_transaction()


async def test_offsets_leave_gaps_where_transactions_ended(topics: Place) -> None:
    """Markers take offsets: the end of a partition is not its last record's offset plus one."""
    place = topics
    async with transactional(place) as producer, place.consumer(place.output) as reader:
        for number in range(3):
            await begin(place, producer, b"%d" % number, number)
            await producer.commit_transaction()
        assert [record.offset for record in await take(reader, 3)] == [0, 2, 4]


async def test_committed_does_not_wait_for_a_transaction(topics: Place) -> None:
    """aiokafka asks without `require_stable`: while a transaction moves the offsets, it is given those from before."""
    place = topics
    async with transactional(place) as producer:
        await begin(place, producer, b"a", 5)
        await producer.commit_transaction()
        async with transactional(place) as successor:
            await begin(place, successor, b"b", 7)
            async with asyncio.timeout(PATIENCE):
                assert await place.committed(place.partition()) == 5
            await successor.commit_transaction()


async def test_starting_the_producer_first_makes_committed_true(topics: Place) -> None:
    """Markers are written after a commit is acknowledged; InitProducerId waits for them: then nothing is stale."""
    place = topics
    async with place.consumer(group_id=place.group) as asking:
        producer = transactional(place)
        await producer.start()
        stale = 0
        for offset in range(1, 41):
            await begin(place, producer, b"x", offset)
            await producer.commit_transaction()
            stale += await asking.committed(place.partition()) != offset
            successor = transactional(place)
            await successor.start()
            assert await asking.committed(place.partition()) == offset
            await producer.stop()
            producer = successor
        await producer.stop()
    print(f"committed() was stale {stale} of 40 times right after a commit")


async def test_a_transaction_left_open_holds_up_committed_readers(topics: Place) -> None:
    """Nothing behind an open transaction is read_committed until the broker gives it up: so each has a deadline."""
    place = topics
    async with transactional(place, transaction_timeout_ms=1500) as zombie, place.consumer(place.output) as reader:
        await begin(place, zombie, b"open", 1)
        await place.produce([b"behind"], place.output)
        assert not await reader.getmany(timeout_ms=300)
        # The broker aborts it by itself; before that, the reader gets nothing.
        assert [record.value for record in await take(reader, 1)] == [b"behind"]
        with pytest.raises((ProducerFenced, KafkaError)):
            await zombie.commit_transaction()


async def test_in_doubt_the_truth_is_what_a_new_producer_finds(mortal_kafka: ApacheKafka) -> None:
    """A commit that got no answer may have happened or not. After a new producer's start, offsets and records agree."""
    broker = mortal_kafka
    place = new_place(broker.address, "doubt")
    await place.make_topics()
    assert broker.pid is not None
    doubtful = transactional(place)
    await doubtful.start()
    await begin(place, doubtful, b"doubtful", 1)
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):  # the deadline of our own; by itself aiokafka would ask for ever
                await doubtful.commit_transaction()
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    async with transactional(place):
        offset = await place.committed(place.partition())
        assert (offset, await output(place)) in [(None, []), (1, [b"doubtful"])]
        with pytest.raises(ProducerFenced):
            await begin(place, doubtful, b"late", 9)
        assert await place.committed(place.partition()) == offset
        assert await output(place) == [b"doubtful"] * (offset or 0)
    await stop_producer(doubtful)


async def test_a_stop_that_is_cut_short_leaves_the_client_open(mortal_kafka: ApacheKafka) -> None:
    """`stop()` waits for answers under way (40 s) before it closes anything: cut it short and close the client too.

    Otherwise two connections and a task that asks for metadata stay for ever, with each producer that is replaced.
    """
    broker = mortal_kafka
    place = new_place(broker.address, "stop")
    await place.make_topics()
    assert broker.pid is not None
    producer = transactional(place)
    await producer.start()
    await begin(place, producer, b"x", 1)
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        committing = asyncio.create_task(producer.commit_transaction())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await producer.stop()
        assert producer.client._sync_task is not None
        assert producer.client._conns
        await producer.client.close()
        assert producer.client._sync_task is None
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
    finally:
        os.kill(broker.pid, signal.SIGCONT)


async def test_a_transactional_loop_survives_a_broker_killed_and_started_again(mortal_kafka: ApacheKafka) -> None:
    """With a deadline on each transaction, a new producer after it, and offsets read again: nothing lost or doubled."""
    broker = mortal_kafka
    place = new_place(broker.address, "restart")
    await place.make_topics()
    count = 40

    async def work() -> None:
        done = 0
        while done < count:
            producer = transactional(place, request_timeout_ms=2000)
            try:
                async with asyncio.timeout(PATIENCE):
                    await producer.start()
                    done = await place.committed(place.partition()) or 0
                while done < count:
                    async with asyncio.timeout(2):
                        await begin(place, producer, b"%d" % done, done + 1)
                        await producer.commit_transaction()
                    done += 1
                    progress.set()
            except (KafkaError, TimeoutError, OSError):
                pass
            finally:
                await stop_producer(producer)

    progress = asyncio.Event()
    working = asyncio.create_task(work())
    await progress.wait()
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)
    async with asyncio.timeout(2 * PATIENCE):
        await working
    assert await output(place) == [b"%d" % number for number in range(count)]
