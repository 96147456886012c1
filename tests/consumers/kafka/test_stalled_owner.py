"""At least once: an owner whose writes the network holds for longer than its session timeout, on a broker in memory."""

import asyncio

import pytest

from consumers.kafka.output.changelog import is_claim
from consumers.kafka.output.ownership import read_epoch
from tests.consumers.fake_kafka import IN, OUT, STATE, FakeConsumer, FakeKafka, FakeProducer
from tests.consumers.kafka.test_service import FIRST, revisions, serving, settings, update


async def say(kafka: FakeKafka, word: str, done: int) -> None:
    """Append a word to the segment, and wait until that is done."""
    await kafka.append(IN, update("a", f"{word} ", mode="append"), b"a")
    await kafka.until(lambda: kafka.committed.get(FIRST) == done)


async def stall_over_a_word(kafka: FakeKafka) -> tuple[FakeProducer, FakeConsumer]:
    """The first member has labelled the second word, and its states are held; the group expels it."""
    await say(kafka, "anna", 1)
    producer, member = kafka.producers[0], kafka.consumer
    assert member is not None
    producer.stalled = []
    await kafka.append(IN, update("a", "rome ", mode="append"), b"a")
    await kafka.until(lambda: producer.stalled)
    member.expelled = True
    await asyncio.sleep(settings().session_timeout_seconds)  # its proof of membership is too old to be relied on
    return producer, member


def check(kafka: FakeKafka) -> None:
    """No word is missing, and each `rev` was said once or byte for byte the same."""
    told = {r["rev"]: r for r in revisions(kafka)}
    assert list(told) == [1, 2, 3, 4]
    assert [s["text"] for s in told[4]["spans"]] == ["anna", "rome", "bob", "paris"]
    assert [len(told[rev]["added"]) for rev in told] == [1, 1, 1, 1]
    assert len({record.value for record in kafka.records(OUT)}) == 4


@pytest.mark.parametrize("compacted", [False, True])
async def test_what_it_wrote_late_does_not_roll_sessions_back(compacted: bool) -> None:
    kafka = FakeKafka()
    async with serving(kafka):
        producer, _ = await stall_over_a_word(kafka)
        async with serving(kafka) as owner:
            await owner.ready.wait()
            await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
            await say(kafka, "bob", 3)
            late = len(kafka.records(STATE))
            await producer.arrive()
            if compacted:
                # The owner has nothing to write; it looks from time to time, and writes again what is right.
                await kafka.until(lambda: len(kafka.records(STATE)) >= late + 3)
                await owner.ready.wait()
                kafka.compact(STATE)
        async with serving(kafka):
            await say(kafka, "paris", 4)
    check(kafka)


async def test_the_owner_notices_it_with_its_next_state_and_publishes_nothing_of_that() -> None:
    kafka = FakeKafka()
    async with serving(kafka):
        producer, _ = await stall_over_a_word(kafka)
        async with serving(kafka) as owner:
            await owner.ready.wait()
            await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
            await say(kafka, "bob", 3)
            await producer.arrive()
            await say(kafka, "paris", 4)
    check(kafka)
    claims = [x for x in kafka.records(STATE) if x.key == b"[]" and is_claim(x.value)]
    assert len(claims) == 3, "it has claimed the partition again"


async def test_what_is_late_and_arrives_before_the_claim_is_restored() -> None:
    """The reader of the states is past their end when it arrives."""
    kafka = FakeKafka()
    async with serving(kafka):
        producer, _ = await stall_over_a_word(kafka)
        kafka.before_claim = producer.arrive
        async with serving(kafka) as owner:
            await owner.ready.wait()
            await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
            await say(kafka, "bob", 3)
            await say(kafka, "paris", 4)
    check(kafka)


async def test_its_states_say_whose_they_are_and_nothing_is_written_twice_without_need() -> None:
    kafka = FakeKafka()
    async with serving(kafka):
        await say(kafka, "anna", 1)
        await asyncio.sleep(0.1)  # it has looked several times
        await say(kafka, "rome", 2)
    claim, *states, position = kafka.records(STATE)
    assert (claim.key, position.key) == (b"[]", b"[]")
    assert [read_epoch(record.headers) for record in states] == [claim.offset] * len(states)
    assert len(states) == 2
    assert settings().guarantee == "at_least_once"
