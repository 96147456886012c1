"""`hearken dlq replay` on transactional topics: what only a real broker shows."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import ProducerFenced

from consumers.common.errors import OperationFailed
from consumers.common.settings import Guarantee, ServiceSettings, Topics
from consumers.kafka.client.clients import NULL_VALUE, admin_client, serialize
from consumers.kafka.dead_letters.clients import FoundLetter, ReplaySender
from consumers.kafka.dead_letters.records import DoneOffsets
from consumers.kafka.dead_letters.replay import ReplayOutcome, ReplayRequest, read_letters, replay_letters
from consumers.kafka.output.dead_letter import Headers, copy_record, original_headers
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine
from tests.kafka.rig import PARTITIONS, Place, take, take_all
from tests.waiting import PATIENCE

DEAD = 0
"""Partition of the dead-letter topic that these tests use."""


@pytest.fixture(autouse=True)
async def _quiet_fences() -> None:
    """A fence also fails futures inside aiokafka that nobody can get at: asyncio logs each "was never retrieved"."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), ProducerFenced):
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)


def dead(place: Place) -> str:
    return place.output


async def bury(place: Place, *values: bytes, commit: bool = True) -> None:
    """Write records and dead letters of them in one transaction, which is committed or aborted."""
    async with AIOKafkaProducer(bootstrap_servers=place.address, transactional_id=f"{place.run}.writer") as producer:
        await producer.begin_transaction()
        for value in values:
            sent = await (await producer.send(place.topic, value, key=value[:1]))
            at = (sent.topic, sent.partition, sent.offset)
            original: ConsumerRecord[bytes, bytes] = ConsumerRecord(*at, 0, 0, value[:1], value, None, 0, 0, [])
            headers = copy_record("invalid_json", "why", original).headers
            await producer.send(dead(place), value, key=value[:1], headers=headers, partition=DEAD)
        await (producer.commit_transaction() if commit else producer.abort_transaction())


async def again(place: Place) -> list[bytes]:
    """Values that were replayed, as a reader of committed records sees them."""
    async with place.consumer() as consumer:
        consumer.assign([place.partition(number) for number in range(PARTITIONS)])
        return sorted(x.value or b"" for x in await take_all(consumer) if x.headers)


def wanted(place: Place, **more: object) -> ReplayRequest:
    return ReplayRequest(broker=place.address, topic=dead(place), group=f"{place.group}.dlq", **more)  # type: ignore[arg-type]


async def run(place: Place, **more: object) -> ReplayOutcome:
    async with asyncio.timeout(PATIENCE):
        return await replay_letters(wanted(place, **more))


async def test_each_committed_letter_is_replayed_once(place: Place) -> None:
    await place.make_topics()
    await bury(place, b"1", b"2")
    await bury(place, b"aborted", commit=False)
    await bury(place, b"3")
    await bury(place, b"aborted too", commit=False)  # the partition ends with what is no letter
    assert (await run(place)).sent.total() == 3
    assert await again(place) == [b"1", b"2", b"3"]
    outcome = await run(place)
    assert (outcome.sent.total(), outcome.left) == (0, [])
    assert await again(place) == [b"1", b"2", b"3"]
    assert len([x async for x in read_letters(place.address, dead(place), 10.0)]) == 3


async def test_progress_beyond_what_was_left_outlives_the_run(place: Place) -> None:
    await place.make_topics()
    await bury(place, *(b"%d" % i for i in range(8)))
    assert (await run(place, limit=3)).sent.total() == 3
    assert (await run(place, reasons=frozenset(["other"]))).passed == 5
    assert (await run(place)).sent.total() == 5
    assert len(await again(place)) == 8


async def test_a_run_that_dies_in_a_transaction_leaves_nothing_half_sent(place: Place) -> None:
    await place.make_topics()
    await bury(place, b"1", b"2")
    async with AsyncExitStack() as stack:
        half = await stack.enter_async_context(
            AIOKafkaProducer(bootstrap_servers=place.address, transactional_id=wanted(place).group)
        )
        await half.begin_transaction()
        await half.send_and_wait(place.topic, b"1", headers=[("replays", b"1")])
        await half.send_offsets_to_transaction({TopicPartition(dead(place), DEAD): 1}, wanted(place).group)
        assert (await run(place)).sent.total() == 2  # starts, and so ends what the other left open
        assert await again(place) == [b"1", b"2"]


async def test_a_second_run_shuts_the_first_one_out(place: Place) -> None:
    await place.make_topics()
    await bury(place, b"1")
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(admin_client(place.address, 10.0))
        first = await ReplaySender.open(stack, admin, place.address, wanted(place).group, 10.0)
        assert (await run(place)).sent.total() == 1
        [letter] = [x async for x in read_letters(place.address, dead(place), 10.0)]
        with pytest.raises(OperationFailed, match="another replay"):
            await first.send(
                TopicPartition(dead(place), DEAD), [FoundLetter(letter.location, 0, 0, letter)], DoneOffsets()
            )
    assert await again(place) == [b"1"]


async def test_one_that_the_broker_finds_too_large_does_not_hold_back_the_others(place: Place) -> None:
    await place.make_topics(place.topic, max_message_bytes="2000")
    await place.make_topics(dead(place))
    async with AIOKafkaProducer(bootstrap_servers=place.address, acks="all") as producer:
        for value in (b"1", b"2" * 3000, b"3"):
            original: ConsumerRecord[bytes, bytes] = ConsumerRecord(
                place.topic, 0, 0, 0, 0, None, value, None, 0, 0, []
            )
            headers = copy_record("labelling_failed", "why", original).headers
            await producer.send_and_wait(dead(place), value, headers=headers, partition=DEAD)
    outcome = await run(place)
    assert await again(place) == [b"1", b"3"]
    assert [(x.offset, x.why) for x in outcome.left] == [(1, "is larger than the broker accepts")]


async def test_a_cut_letter_of_a_transactional_topic_is_read_again(place: Place) -> None:
    await place.make_topics()
    long = b"7" + b"x" * 600_000
    async with AIOKafkaProducer(bootstrap_servers=place.address, transactional_id=place.run) as producer:
        await producer.begin_transaction()
        await producer.send(place.topic, long, key=b"7", partition=1)
        await producer.commit_transaction()
        original: ConsumerRecord[bytes, bytes] = ConsumerRecord(place.topic, 1, 0, 0, 0, b"7", long, None, 0, 0, [])
        letter = copy_record("labelling_failed", "why", original, limit=2000)
        await producer.begin_transaction()
        await producer.send(dead(place), letter.value, key=letter.key, headers=letter.headers, partition=DEAD)
        await producer.commit_transaction()
    assert (await run(place)).left == []
    assert await again(place) == [long]


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
async def test_a_record_is_buried_and_comes_back_byte_for_byte(place: Place, guarantee: Guarantee) -> None:
    """The whole way: the service buries it, with its headers, a null value, a null key; a replay brings it back."""
    topics = Topics(input=place.topic, output=place.output, dead_letter=f"{place.run}.dead", state=f"{place.run}.state")
    settings = ServiceSettings(
        broker=place.address, topics=topics, group=place.group, guarantee=guarantee, fetch_wait_ms=50
    )
    headers = [("traceparent", b"00-11"), ("reason", b"mine"), ("content-type", None), ("traceparent", b"00-22")]
    originals = [
        (b"\xff\x00", b"{", headers),
        (b"k", None, headers),
        (None, None, headers),
        (None, b"", []),
        (b"", b"?", []),
    ]
    service, stop = Service(settings, Worker(fake_engine(["ner"], "", coalesce=False))), asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    try:
        async with asyncio.timeout(PATIENCE):
            await service.ready.wait()
        async with place.producer(value_serializer=serialize) as producer:
            for key, value, given in originals:
                sent = NULL_VALUE if value is None and key is None else value
                await producer.send_and_wait(place.topic, sent, key=key, headers=given)
        async with place.consumer(topics.dead_letter) as reader:
            letters = await take(reader, len(originals))
            assert by_content((x.key, x.value, original_headers(x.headers)) for x in letters) == by_content(originals)
    finally:
        stop.set()
        await running
    # With the service at an end: it would bury them again, and the replay could come across those letters too.
    async with asyncio.timeout(PATIENCE):
        request = ReplayRequest(broker=place.address, topic=topics.dead_letter, group=f"{place.group}.dlq")
        outcome = await replay_letters(request)
    assert (outcome.sent.total(), outcome.left) == (len(originals), [])
    async with place.consumer(place.topic) as reader:
        again = await take(reader, 2 * len(originals))
    replayed = [(x.key, x.value, original_headers(x.headers)) for x in again if "replays" in dict(x.headers)]
    assert by_content(replayed) == by_content(originals)


def by_content(records: Iterable[tuple[bytes | None, bytes | None, Headers]]) -> list[str]:
    return sorted(map(repr, ((key, value, list(headers)) for key, value, headers in records)))
