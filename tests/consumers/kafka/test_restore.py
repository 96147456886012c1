"""Where a partition goes on: what was committed is looked for, and where it is gone nothing is reset silently."""

import asyncio

import pytest
from aiokafka import TopicPartition

from consumers.common.settings import ServiceSettings
from consumers.kafka.output.changelog import ChangelogError, RestoredPartition, encode_entry, read_changelog
from consumers.kafka.service.restore import ChangelogReader, LostInput, PartitionStart, find_start
from stream.sessions.snapshot import Entry
from tests.consumers.fake_kafka import IN, STATE, FakeConsumer, FakeKafka, FakeReader
from tests.consumers.kafka.test_changelog import segment
from tests.waiting import PATIENCE

AT, CHANGES = TopicPartition(IN, 0), TopicPartition(STATE, 0)


async def broker(first: int, end: int, committed: int | None) -> FakeConsumer:
    kafka = FakeKafka()
    for _ in range(end):
        await kafka.append(IN, b"x")
    kafka.first[AT] = first
    if committed is not None:
        kafka.committed[AT] = committed
    return FakeConsumer(kafka, ServiceSettings(broker="fake:1"))


def kept_until(offset: int) -> RestoredPartition:
    return read_changelog([(0, encode_entry(Entry("a", "s", segment(offset))))], "g", IN, "state")


@pytest.mark.parametrize(
    ("first", "end", "committed", "start"),
    [(0, 0, None, 0), (3, 9, None, 3), (0, 9, 4, 4), (4, 9, 4, 4), (0, 9, 9, 9)],
)
async def test_it_goes_on_where_it_was(first: int, end: int, committed: int | None, start: int) -> None:
    assert await find_start(await broker(first, end, committed), AT, RestoredPartition(), "fail") == PartitionStart(
        start
    )


async def test_records_that_retention_took_are_told_or_skipped() -> None:
    consumer = await broker(first=5, end=9, committed=2)
    with pytest.raises(LostInput, match=r"hearken\.updates, partition 0: offset 2 is next.*only 5.*3 are gone.*skip"):
        await find_start(consumer, AT, RestoredPartition(), "fail")
    assert await find_start(consumer, AT, kept_until(1), "skip") == PartitionStart(5)


@pytest.mark.parametrize(("committed", "applied"), [(7, 1), (2, 4), (None, 4)])
async def test_a_topic_made_anew_is_told_or_begun_without_the_old_states(committed: int | None, applied: int) -> None:
    consumer = await broker(first=0, end=4, committed=committed)
    with pytest.raises(LostInput, match="created again"):
        await find_start(consumer, AT, kept_until(applied), "fail")
    assert await find_start(consumer, AT, kept_until(applied), "skip") == PartitionStart(0, topic_recreated=True)


async def test_the_last_record_of_each_key_is_read_in_the_order_of_the_log() -> None:
    kafka = FakeKafka()
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", None)):
        await kafka.append(STATE, value, key)
    changelog = ChangelogReader(FakeReader(kafka), CHANGES, "g", IN)
    with pytest.raises(ChangelogError, match="no key of ours"):
        await changelog.read()
    assert changelog.latest.records() == [(1, (b"b", b"1")), (2, (b"a", b"2")), (3, (b"c", None))]
    assert changelog.end == 4


async def test_a_record_without_a_key_is_not_ours() -> None:
    kafka = FakeKafka()
    await kafka.append(STATE, b"1")
    with pytest.raises(ChangelogError, match="offset 0: no record of ours"):
        await ChangelogReader(FakeReader(kafka), CHANGES, "g", IN).read()


async def test_a_changelog_that_cannot_be_read_to_its_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that nobody ends hides what comes behind it from read_committed readers."""
    kafka = FakeKafka()
    reader = FakeReader(kafka)

    async def end(partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 5)

    monkeypatch.setattr(reader, "end_offsets", end)
    monkeypatch.setattr("consumers.kafka.service.restore.STALL_SECONDS", 0.0)
    with pytest.raises(ChangelogError, match="a transaction hangs"):
        async with asyncio.timeout(PATIENCE):
            await ChangelogReader(reader, CHANGES, "g", IN).read()
