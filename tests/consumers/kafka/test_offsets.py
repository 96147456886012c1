"""Offsets that are no records, offsets that somebody resets, timestamps that are wrong, and states that are gone."""

import asyncio
import json
import time

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from consumers.kafka.in_flight import OffsetTracker
from consumers.kafka.output import partition_writer
from consumers.kafka.output.changelog import StateLost
from consumers.kafka.service import state_history
from consumers.kafka.service.lag import ARRIVAL_SECONDS, MAX_AGE_SECONDS, check_clock
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeKafka
from tests.consumers.kafka.test_service import FIRST, revisions, serving, update

GUARANTEES = ["at_least_once", "exactly_once"]
CHANGES = TopicPartition(STATE, 0)


def test_a_gap_is_passed_when_all_before_it_has_begun() -> None:
    tracker = OffsetTracker(3, done=[5, 9])
    assert not tracker.pass_gap(3)
    tracker.begin(3)
    assert tracker.pass_gap(7)  # 5 is not there any more, so nothing will tell that it is done
    assert (tracker.position, tracker.next, tracker.finished_beyond) == (3, 7, {9})
    tracker.finish(3)
    assert tracker.position == 7
    assert not tracker.pass_gap(6)
    tracker.begin(7)
    tracker.finish(7)
    assert tracker.position == 8


@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_what_is_no_record_is_committed_and_is_no_lag(guarantee: str) -> None:
    """Records that compaction has left out, at the end too; transaction markers look the same to a consumer."""
    kafka = FakeKafka()
    for text in ("anna", "anna met", "anna met bob"):
        await kafka.append(IN, update("a", text), b"a")
    await kafka.append(IN, None, b"marker")
    kafka.compacted_to[FIRST], kafka.kept[FIRST] = 4, {1}
    async with serving(kafka, guarantee=guarantee) as service:
        await kafka.until(lambda: kafka.committed.get(FIRST) == 4)
        assert [x.messages for x in service.lags()] == [0]
        await kafka.append(IN, update("a", "anna met bob in rome"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 5)
    assert [x["offset"] for x in revisions(kafka)] == [1, 4]


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("reset", [0, 2, None])
async def test_offsets_that_somebody_resets_are_told_once_and_nothing_is_done_twice(
    guarantee: str, reset: int | None
) -> None:
    kafka = FakeKafka(partitions=2)
    second = TopicPartition(IN, 1)
    for partition in (0, 1):
        for number in range(3):
            name = f"{partition}-{number}"
            await kafka.append(IN, update(name, "anna met bob"), name.encode(), partition=partition)
        await kafka.append(IN, b"{", b"wrong", partition=partition)
    async with serving(kafka, guarantee=guarantee):
        await kafka.until(lambda: kafka.committed == {FIRST: 4, second: 4})
    before = [(x.topic, x.value) for x in (*kafka.records(OUT), *kafka.records(DEAD))]
    kafka.committed = {} if reset is None else {FIRST: reset, second: reset}
    with capture_logs() as logs:
        async with serving(kafka, guarantee=guarantee) as service:
            await kafka.until(lambda: kafka.committed == {FIRST: 4, second: 4})
            await kafka.append(IN, update("0-1", "anna met bob in rome"), b"0-1")
            await kafka.until(lambda: kafka.committed == {FIRST: 5, second: 4})
            assert service.dead_letters.counts == {}
    assert [(x.topic, x.value) for x in (*kafka.records(OUT), *kafka.records(DEAD))][: len(before) - 2] == before[:-2]
    assert len(kafka.records(DEAD)) == 2
    assert revisions(kafka)[-1]["rev"] == 2 or any(x["rev"] == 2 for x in revisions(kafka))
    [told] = [x for x in logs if x["event"] == "records_done_before_skipped"]
    start = reset or 0
    assert told["count"] == 2 * (4 - start)
    assert told["offsets"] == {0: [start, 4], 1: [start, 4]}
    assert "--group" in told["instead"]
    with capture_logs() as logs:
        async with serving(kafka, guarantee=guarantee) as service:
            await service.ready.wait()
    assert [x for x in logs if x["event"] == "records_done_before_skipped"] == []


async def test_offsets_are_noted_while_it_runs_so_a_reset_after_a_kill_is_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_writer, "NOTE_SECONDS", 0.0)
    kafka = FakeKafka()
    async with serving(kafka):
        await kafka.append(IN, b"{", b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
        kafka.kill()
    kafka.committed[FIRST] = 0
    with capture_logs() as logs:
        async with serving(kafka):
            await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert len(kafka.records(DEAD)) == 1
    assert [x["offsets"] for x in logs if x["event"] == "records_done_before_skipped"] == [{0: [0, 1]}]


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("how", ["write", "reopen"])
async def test_a_state_topic_that_loses_its_records_ends_the_service_and_says_so(
    guarantee: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open sessions would begin anew without a word."""
    monkeypatch.setattr(state_history, "CHECK_SECONDS", 0.01)
    kafka = FakeKafka()
    with pytest.raises(StateLost, match=r"hearken\.state, partition 0: it ends at offset \d, but had records up to \d"):  # noqa: PT012
        async with serving(kafka, guarantee=guarantee) as service:
            await service.ready.wait()
            for number in range(4):
                await kafka.append(IN, update("a", "anna " * (number + 1)), b"a")
                await kafka.until(lambda n=number: kafka.committed.get(FIRST) == n + 1)
            kafka.logs[CHANGES].clear()
            if how == "write":
                await kafka.append(IN, update("a", "rome"), b"a")
            else:
                assert kafka.consumer is not None
                await kafka.consumer.rebalance([])
                await kafka.consumer.rebalance([0])
            await asyncio.wait([service._partitions.failure], timeout=10)
    assert all("rome" not in json.dumps(x) for x in revisions(kafka))


async def test_a_state_topic_without_state_of_what_was_done_is_told_at_the_start() -> None:
    kafka = FakeKafka()
    with capture_logs() as logs:
        async with serving(kafka):
            await kafka.append(IN, update("a", "anna"), b"a")
            await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
    assert [x for x in logs if x["event"] == "state_missing"] == []  # a first start
    kafka.logs[CHANGES].clear()
    with capture_logs() as logs:
        async with serving(kafka):
            await kafka.append(IN, update("a", "anna met bob"), b"a")
            await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    [told] = [x for x in logs if x["event"] == "state_missing"]
    assert (told["log_level"], told["topic"], told["offsets"]) == ("error", STATE, {0: 1})


@pytest.mark.parametrize(
    ("age", "read_to_end", "fault"),
    [
        (0.2, None, None),
        (-30.0, None, None),
        (-90.0, None, "future"),
        (-1e9, 1.0, "future"),
        (MAX_AGE_SECONDS - 1, None, None),  # it waited for a service that did not run
        (MAX_AGE_SECONDS + 1, None, "past"),
        (3600.0, 3600.0, None),
        (3600.0, 10.0, "past"),  # an hour late, but ten seconds ago it was not there
        (ARRIVAL_SECONDS - 1, 0.0, None),
        (ARRIVAL_SECONDS + 1, 0.0, "past"),
        (1.7e9, 10.0, "past"),
    ],
)
def test_a_timestamp_is_believed_or_not(age: float, read_to_end: float | None, fault: str | None) -> None:
    now = 1_750_000_000.0
    read_to_end_at = None if read_to_end is None else now - read_to_end
    assert check_clock(int((now - age) * 1000), now, read_to_end_at) == fault
    assert check_clock(-1, now, read_to_end_at) == "missing"


async def test_wrong_clocks_are_counted_and_spoil_no_latency() -> None:
    kafka, now = FakeKafka(), int(time.time() * 1000)
    stamps = {"past": [1_796_004_000, 0, now - 9_000_000], "future": [now * 1000, now + 3_600_000], "missing": [-1]}
    with capture_logs() as logs:
        async with serving(kafka) as service:
            for number, kafka.now in enumerate([now, *(x for each in stamps.values() for x in each), now]):
                await kafka.append(IN, update("a", f"anna {number}"), b"a")
                await kafka.until(lambda n=number: kafka.committed.get(FIRST) == n + 1)
            assert service.clock_faults == {"past": 3, "future": 2, "missing": 1}
            assert [x.seconds for x in service.lags()] == [0]
    warned = [x["reason"] for x in logs if x["event"] == "record_clock_wrong"]
    assert warned == ["past", "future"]
