"""Sessions of the service on a broker in memory: when their partitions move, end, idle, or are given up half way."""

import asyncio
import threading
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from consumers.kafka.client.clients import stop_client
from consumers.kafka.output.changelog import encode_entry, encode_partition_record
from consumers.kafka.service.service import Service
from stream.engine.engine import StepResult
from stream.engine.worker import Worker
from stream.messages.types import Message
from stream.sessions.snapshot import Entry
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeKafka
from tests.consumers.fakes import fake_engine
from tests.consumers.kafka.test_service import FIRST, header, revisions, serving, settings, update
from tests.waiting import PATIENCE


async def test_a_session_moves_with_its_partition_and_goes_on() -> None:
    kafka = FakeKafka(partitions=2)
    second = TopicPartition(IN, 1)
    async with serving(kafka), serving(kafka):
        consumers = kafka.members
        await kafka.until(lambda: len(consumers) == 2 and all(x.positions for x in consumers))
        await consumers[0].rebalance([0, 1])
        await consumers[1].rebalance([])
        await kafka.append(IN, update("stays", "anna"), b"stays", partition=0)
        await kafka.append(IN, update("goes", "anna"), b"goes", partition=1)
        await kafka.until(lambda: kafka.committed == {FIRST: 1, second: 1})
        await consumers[0].rebalance([0])
        await consumers[1].rebalance([1])
        await kafka.append(IN, update("goes", "anna rome"), b"goes", partition=1)
        await kafka.until(lambda: kafka.committed == {FIRST: 1, second: 2})
        await consumers[1].rebalance([])
        await consumers[0].rebalance([0, 1])
        await kafka.append(IN, update("stays", "anna rome"), b"stays", partition=0)
        await kafka.append(IN, update("goes", "anna rome bob"), b"goes", partition=1)
        await kafka.until(lambda: kafka.committed == {FIRST: 2, second: 3})
    told = {name: [r for r in revisions(kafka) if r["session"] == name] for name in ("stays", "goes")}
    assert {name: [r["rev"] for r in rs] for name, rs in told.items()} == {"stays": [1, 2], "goes": [1, 2, 3]}
    assert [len(r["added"]) for r in told["goes"]] == [1, 1, 1]  # it knows what the owner before it had told


async def test_what_another_member_did_meanwhile_is_noticed() -> None:
    """We were away for a whole generation, and the other one left no commit behind, only states."""
    kafka = FakeKafka()
    async with serving(kafka):
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        mine = kafka.consumer
        assert mine is not None
        await mine.rebalance([])
        async with serving(kafka):
            await kafka.append(IN, update("a", "anna rome"), b"a")
            await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
            await kafka.consumer.rebalance([])
        kafka.committed[FIRST] = 1
        await mine.rebalance([0])
        await kafka.append(IN, update("a", "anna rome bob"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    assert sorted({(r["rev"], r["offset"]) for r in revisions(kafka)}) == [(1, 0), (2, 1), (3, 2)]


async def test_what_another_member_did_while_we_were_restoring_is_noticed() -> None:
    """We had read the states when a rebalance began, and it went on without us for a generation."""
    kafka = FakeKafka()
    kafka.hold, kafka.held_topics = True, {STATE}
    async with serving(kafka):
        await kafka.until(lambda: kafka.unacknowledged)  # it is about to write the partition's own record
        mine = kafka.consumer
        assert mine is not None
        await mine.listener.on_partitions_revoked(set())
        kafka.hold = False
        async with serving(kafka):
            await kafka.append(IN, update("a", "anna"), b"a")
            await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
            await kafka.consumer.rebalance([])
        await mine.rebalance([0])
        await kafka.acknowledge()
        await kafka.append(IN, update("a", "anna rome"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert [(r["rev"], r["offset"]) for r in revisions(kafka)] == [(1, 0), (2, 1)]


async def test_it_is_not_ready_while_a_partition_is_restored() -> None:
    kafka = FakeKafka(partitions=2)
    kafka.held_topics = {STATE}
    async with serving(kafka) as service:
        await service.ready.wait()
        assert kafka.consumer is not None
        await kafka.consumer.rebalance([0])
        await service.ready.wait()
        kafka.hold = True
        await kafka.consumer.rebalance([0, 1])
        assert not service.ready.is_set()
        await kafka.until(lambda: kafka.unacknowledged)
        await kafka.acknowledge()
        await service.ready.wait()


async def test_a_session_whose_states_lie_in_two_partitions_stays_in_the_first() -> None:
    """Two members each took its messages from another partition; then one gets both."""
    kafka = FakeKafka(partitions=2)
    second = TopicPartition(IN, 1)
    async with serving(kafka) as service:
        await service.ready.wait()
        member = kafka.consumer
        assert member is not None
        await member.rebalance([0])
        await kafka.append(IN, update("a", "anna"), b"a", partition=0)
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        await member.rebalance([1])
        for text in ("rome", "rome paris", "rome"):
            await kafka.append(IN, update("a", text), b"a", partition=1)
        await kafka.until(lambda: kafka.committed.get(second) == 3)
        await member.rebalance([0])
        await service.ready.wait()
        await member.rebalance([0, 1])
        await service.ready.wait()
        await kafka.append(IN, update("a", "anna said bob"), b"a", partition=0)
        await kafka.append(IN, update("a", "rome"), b"a", partition=1)
        await kafka.until(lambda: kafka.committed == {FIRST: 2, second: 4})
    assert [s["text"] for s in revisions(kafka)[-1]["spans"]] == ["anna", "bob"]
    assert [(header(x, "reason"), header(x, "offset")) for x in kafka.records(DEAD)] == [("wrong_partition", "3")]


async def test_a_rebalance_waits_for_what_is_in_flight() -> None:
    kafka = FakeKafka()
    kafka.hold, kafka.held_topics = True, {OUT}
    async with serving(kafka):
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.until(lambda: len(kafka.unacknowledged) == 1)
        assert kafka.consumer is not None
        moving = asyncio.create_task(kafka.consumer.rebalance([]))
        await asyncio.sleep(0)
        assert not moving.done()
        await kafka.acknowledge()
        await moving
        assert kafka.committed == {FIRST: 1}


async def test_what_was_done_before_us_is_remembered_until_it_is_read_again() -> None:
    """Exactly once: two owners die, the second before it comes to what the first had done beyond its position."""
    kafka = FakeKafka()
    kafka.committed[FIRST] = 0
    key, value = encode_partition_record("hearken", IN, ((1, 3),))
    await kafka.append(STATE, value, key)
    async with serving(kafka, guarantee="exactly_once") as service:
        await service.ready.wait()
        await kafka.until(lambda: kafka.transactions == 1)
    for _ in range(3):
        await kafka.append(IN, b"{")
    async with serving(kafka, guarantee="exactly_once"):
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    assert [header(letter, "offset") for letter in kafka.records(DEAD)] == ["0"]


@pytest.mark.parametrize("steps_between", [False, True])
async def test_who_speaks_again_while_forgotten_is_heard(monkeypatch: pytest.MonkeyPatch, steps_between: bool) -> None:
    kafka = FakeKafka()
    async with serving(kafka) as service:
        engine = service._worker.engine
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.append(IN, b'{"type":"end","session":"a"}', b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
        expire, step, submit = engine.expire, engine.step, engine.submit
        forgotten, may = threading.Event(), threading.Event()

        def bury(now: float) -> int:
            if not forgotten.is_set():
                now += 2 * engine.remember_seconds
            return expire(now)

        def hold(*clock: object) -> StepResult:
            if forgotten.is_set():
                return step()
            result = step() if steps_between else None
            forgotten.set()
            assert may.wait(PATIENCE)
            return result or step()

        def take(*message: Any) -> None:
            submit(*message)
            may.set()

        monkeypatch.setattr(engine, "step", hold)
        monkeypatch.setattr(engine, "submit", take)
        monkeypatch.setattr(engine, "expire", bury)  # last: the step that it asks for must find all of it
        assert await asyncio.to_thread(forgotten.wait, PATIENCE)
        await kafka.append(IN, update("a", "anna rome"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    assert [r["offset"] for r in revisions(kafka)][-1] == 2
    assert encode_entry(Entry("a", None, None)) in [(x.key, x.value) for x in kafka.records(STATE)]
    assert [x.key for x in kafka.records(STATE) if x.key != b"[]"][-1] == b'["a","s"]'


async def test_sessions_that_never_were_are_not_remembered() -> None:
    kafka = FakeKafka()
    async with serving(kafka) as service:
        await kafka.append(IN, b'{"type":"end","session":"a"}', b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        assert service._in_flight.partition_of("a") is None


async def test_what_idleness_closed_is_told_even_if_we_die_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message brings it again, and the next owner's sessions know it as told."""
    kafka = FakeKafka()
    service = Service(settings(), Worker(fake_engine(["ner"], "", coalesce=True)), kafka.clients())
    task = asyncio.create_task(service.run(asyncio.Event()))
    await kafka.append(IN, update("a", "anna"), b"a")
    await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
    kafka.hold, kafka.held_topics = True, {STATE}
    engine, first, died = service._worker.engine, threading.Semaphore(), threading.Event()
    step = engine.step

    def close_only(*clock: object) -> StepResult:
        """What a session leaves that is over comes with the step after."""
        assert first.acquire(blocking=False) or died.wait(PATIENCE)
        return step()

    monkeypatch.setattr(engine, "step", close_only)
    engine.idle_seconds = 0.001
    await kafka.until(lambda: len(kafka.unacknowledged) == 2)
    kafka.kill()
    died.set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [r["final"] for r in revisions(kafka)] == [False]
    kafka.hold = False
    async with serving(kafka) as service:
        await service.ready.wait()
    assert [(r["rev"], r["final"]) for r in revisions(kafka)] == [(1, False), (2, True)]


async def test_answers_to_what_was_dropped_are_not_taken_for_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition is opened again while the engine has yet to drop what waited of it."""
    kafka, stop, heard = FakeKafka(), asyncio.Event(), asyncio.Queue[int]()
    engine = fake_engine(["ner"], "", coalesce=False)
    service = Service(settings(shutdown_seconds=0.02), Worker(engine), kafka.clients())
    step, submit, numbers, gates = engine.step, engine.submit, count(), [threading.Event() for _ in range(3)]

    def hold(*clock: object) -> StepResult:
        number = next(numbers)
        if number == 0:
            result = step()
            assert gates[0].wait(PATIENCE)
            return result
        assert gates[min(number, 2)].wait(PATIENCE)
        return step()

    def take(message: Message, offset: int, *rest: Any) -> None:
        submit(message, offset, *rest)
        heard.put_nowait(offset)

    asked, wait_for_step = asyncio.Event(), service._worker.wait_for_step

    async def ask() -> None:
        asked.set()
        await wait_for_step()

    monkeypatch.setattr(engine, "step", hold)
    monkeypatch.setattr(engine, "submit", take)
    monkeypatch.setattr(service._worker, "wait_for_step", ask)
    task = asyncio.create_task(service.run(stop))
    for text in ("anna", "anna rome", "anna rome bob"):
        await kafka.append(IN, update("a", text), b"a")
    assert [await heard.get() for _ in range(3)] == [0, 1, 2]
    assert kafka.consumer is not None
    asked.clear()
    await kafka.consumer.rebalance([0])
    await asked.wait()  # for the step that runs, not for the one after it, which waits for us
    gates[0].set()
    assert [await heard.get() for _ in range(3)] == [0, 1, 2]
    gates[1].set()
    await kafka.until(lambda: kafka.committed.get(FIRST))
    assert kafka.committed[FIRST] == 1
    gates[2].set()
    await kafka.until(lambda: kafka.committed[FIRST] == 3)
    stop.set()
    await task
    assert [r["offset"] for r in revisions(kafka)] == [0, 1, 2]


async def test_a_client_that_swallows_a_cancellation_does_not_keep_its_task_alive() -> None:
    """As aiokafka's do while they wait for a task of their own to end."""
    began = asyncio.Event()

    class Client:
        async def start(self) -> None: ...

        async def stop(self) -> None:
            began.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    task = asyncio.create_task(stop_client(Client()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_record_that_waits_for_the_engine_while_its_partition_is_given_up_is_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka, stop, may, waits = FakeKafka(), asyncio.Event(), threading.Event(), asyncio.Event()
    engine = fake_engine(["ner"], "", coalesce=False)
    worker = Worker(engine, queue=1)
    service = Service(settings(), worker, kafka.clients())
    step, wait, drop = engine.step, worker._wait_for_progress, engine.drop
    dropped = asyncio.Event()

    def hold(*clock: object) -> StepResult:
        result = step()
        assert may.wait(PATIENCE)
        return result

    async def tell() -> None:
        waits.set()
        await wait()

    def tell_drop(session: str) -> None:
        drop(session)
        dropped.set()

    kafka.hold, kafka.held_topics = True, {OUT}
    task = asyncio.create_task(service.run(stop))
    await kafka.append(IN, update("a", "anna"), b"a")
    await kafka.until(lambda: kafka.unacknowledged)
    monkeypatch.setattr(engine, "step", hold)
    monkeypatch.setattr(worker, "_wait_for_progress", tell)
    monkeypatch.setattr(engine, "drop", tell_drop)
    may.clear()
    await kafka.append(IN, update("a", "anna rome"), b"a")
    await kafka.append(IN, update("b", "anna said ", mode="append"), b"b")
    await waits.wait()
    kafka.hold = False
    kafka.unacknowledged.pop().set_exception(KafkaTimeoutError())
    await dropped.wait()
    may.set()
    await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    stop.set()
    await task
    assert [len(r["spans"]) for r in revisions(kafka) if r["session"] == "b"] == [1]
