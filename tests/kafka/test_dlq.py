"""`hearken dlq replay` on transactional topics: what only a real broker shows."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import ProducerFenced

from consumers.common.errors import OperationFailed
from consumers.kafka.client.clients import admin_client
from consumers.kafka.dead_letters.clients import FoundLetter, ReplaySender
from consumers.kafka.dead_letters.records import DoneOffsets
from consumers.kafka.dead_letters.replay import ReplayOutcome, ReplayRequest, read_letters, replay_letters
from consumers.kafka.output.dead_letter import dead_letter_headers
from tests.kafka.rig import PARTITIONS, Place, take_all
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
            headers = dead_letter_headers("invalid_json", "why", original)
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
            headers = dead_letter_headers("labelling_failed", "why", original)
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
        headers = dead_letter_headers("labelling_failed", "why", original)
        await producer.begin_transaction()
        await producer.send(dead(place), long[:1000], key=b"7", headers=headers, partition=DEAD)
        await producer.commit_transaction()
    assert (await run(place)).left == []
    assert await again(place) == [long]
