"""The service on a broker in memory: what is committed when, what becomes of bad input, and of sessions that move."""

import asyncio
import dataclasses
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from consumers.changelog import encode_entry, encode_partition
from consumers.connection import BrokerUnreachable, stop_client
from consumers.errors import ServiceFailed
from consumers.service import Service
from consumers.settings import ServiceSettings
from stream.engine import StepResult
from stream.messages import Message
from stream.state import Entry
from stream.worker import Worker
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeKafka, FakeRecord
from tests.consumers.fakes import fake_engine

FIRST = TopicPartition(IN, 0)


def settings(**changes: object) -> ServiceSettings:
    return ServiceSettings(broker="fake:1", commit_seconds=0.01, session_timeout_seconds=0.1, **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(kafka: FakeKafka, **changes: object) -> AsyncIterator[Service]:
    stop = asyncio.Event()
    chosen = settings(**changes)
    service = Service(chosen, Worker(fake_engine("ner", "", coalesce=True)), kafka.clients())
    task = asyncio.create_task(service.run(stop))
    try:
        yield service
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


def update(session: str, text: str, **fields: object) -> bytes:
    return json.dumps({"type": "update", "session": session, "segment": "s", "text": text, **fields}).encode()


def revisions(kafka: FakeKafka) -> list[dict]:
    return [json.loads(record.value or b"") for record in kafka.records(OUT)]


def header(record: FakeRecord, name: str) -> str:
    return dict(record.headers)[name].decode()


async def test_revisions_are_keyed_by_session_and_carry_the_offset() -> None:
    kafka = FakeKafka()
    async with serving(kafka):
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.append(IN, update("b", "rome", final=True), b"b")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert [record.key for record in kafka.records(OUT)] == [b"a", b"b"]
    assert [(r["session"], r["offset"], r["final"]) for r in revisions(kafka)] == [("a", 0, False), ("b", 1, True)]
    assert kafka.consumer is not None
    assert kafka.consumer.stopped


async def test_topics_are_seen_to_before_anything_else() -> None:
    kafka = FakeKafka()

    async def refuse(settings: ServiceSettings) -> None:
        raise ServiceFailed("topic x: wrong")

    clients = dataclasses.replace(kafka.clients(), prepare=refuse)
    service = Service(settings(), Worker(fake_engine("ner", "", coalesce=True)), clients)
    with pytest.raises(ServiceFailed, match="topic x: wrong"):
        await service.run(asyncio.Event())
    assert kafka.consumer is None


async def test_nothing_is_committed_before_what_it_caused_is_acknowledged() -> None:
    kafka = FakeKafka()
    async with serving(kafka) as service:
        await kafka.append(IN, update("a", "may said"), b"a")  # a revision
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        await kafka.append(IN, update("a", "may said so"), b"a")  # nothing new to tell
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
        kafka.hold = True
        await kafka.append(IN, update("a", "may said so in rome"), b"a")
        await kafka.append(IN, update("a", "may said so in rome"), b"a")  # a repeat, behind it
        await kafka.append(IN, b"{", b"a")  # a dead letter, behind both
        acknowledged: list[str] = []
        while kafka.committed[FIRST] < 5:
            await kafka.until(lambda: kafka.unacknowledged or kafka.committed[FIRST] == 5)
            await service._group.commit_all()
            if OUT not in acknowledged:
                assert kafka.committed[FIRST] == 2
            for ack in kafka.unacknowledged[:1]:
                kafka.unacknowledged.remove(ack)
                acknowledged.append(ack.record.topic)
                ack.set_result(ack.record)
        assert sorted(acknowledged) == sorted((DEAD, STATE, OUT))
        assert acknowledged.index(STATE) < acknowledged.index(OUT)


async def test_killed_between_produce_and_commit_nothing_is_lost() -> None:
    kafka = FakeKafka()
    await kafka.append(IN, update("a", "anna met"), b"a")
    await kafka.append(IN, update("a", "anna met bob"), b"a")
    kafka.hold, kafka.held_topics = True, {OUT}
    service = Service(settings(), Worker(fake_engine("ner", "", coalesce=False)), kafka.clients())
    task = asyncio.create_task(service.run(asyncio.Event()))
    await kafka.until(lambda: len(kafka.records(OUT)) >= 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert kafka.committed.get(FIRST, 0) == 0
    kafka.hold = False
    kafka.logs.pop(TopicPartition(OUT, 0))  # what was never acknowledged may be gone
    async with serving(kafka):
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert [r["rev"] for r in revisions(kafka)] == [1, 2]
    assert [s["text"] for s in revisions(kafka)[-1]["spans"]] == ["anna", "bob"]


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b"{", b"a", "invalid_json"),
        (b"\xff", None, "invalid_utf8"),
        (None, b"a", "empty"),
        (None, None, "empty"),
        (b'{"type":"update","session":"a","segment":"s","text":["secret"]}', b"a", "invalid_message"),
        (update("a", "anna"), b"b", "key_mismatch"),
        (update("a", "x\u0000"), b"a", "bad_text"),
        (update("a", "x" * 70_000), b"a", "text_too_long"),
        (update("a", "x" * (1 << 20)), b"a", "too_large"),
        (b'{"type":"end","session":"a"}', b"a", "unknown_session"),
        (update("a", "poison"), b"a", "labelling_failed"),
        (b'{"x":' * 100_000, None, "invalid_json"),
    ],
)
async def test_bad_records_become_dead_letters_and_the_next_goes_on(
    value: bytes | None, key: bytes | None, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = FakeKafka()
    async with serving(kafka) as service:
        await kafka.append(IN, update("good", "anna"), b"good")
        await kafka.append(IN, value, key)
        await kafka.append(IN, update("good", "anna rome"), None)  # a missing key is tolerated
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    assert [r["offset"] for r in revisions(kafka)][-1] == 2
    [letter] = kafka.records(DEAD)
    assert (header(letter, "reason"), header(letter, "topic")) == (reason, IN)
    assert (header(letter, "partition"), header(letter, "offset")) == ("0", "1")
    assert header(letter, "error")
    assert letter.key == key
    assert (value or b"").startswith(letter.value or b"")
    assert service.dead_letters.counts == {reason: 1}
    assert "secret" not in "".join(capsys.readouterr())


async def test_a_revision_that_is_too_large_is_no_endless_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = FakeKafka()
    plain = kafka.append

    async def refuse(topic: str, value: bytes | None, *rest: object, **named: object) -> FakeRecord:
        if topic == OUT and len(value or b"") > 1000:
            raise MessageSizeTooLargeError("too large")
        return await plain(topic, value, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(kafka, "append", refuse)
    async with serving(kafka):
        await kafka.append(IN, update("a", "anna said " * 50), b"a")
        await kafka.append(IN, update("b", "anna"), b"b")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert [r["session"] for r in revisions(kafka)] == ["b"]
    assert [header(letter, "reason") for letter in kafka.records(DEAD)] == ["revision_too_large"]


@pytest.mark.parametrize("topic", [STATE, OUT])
async def test_when_acknowledgements_fail_the_partition_is_opened_anew(topic: str) -> None:
    kafka = FakeKafka()
    kafka.hold, kafka.held_topics = True, {topic}
    async with serving(kafka):
        if topic == STATE:
            await kafka.until(lambda: kafka.unacknowledged)
            await kafka.acknowledge()  # the partition's own record
            kafka.hold = True
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.until(lambda: kafka.unacknowledged)
        kafka.hold = False
        kafka.unacknowledged.pop().set_exception(KafkaTimeoutError())
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        await kafka.append(IN, update("a", "anna rome"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    seen = {(r["rev"], json.dumps(r)) for r in revisions(kafka)}
    assert [rev for rev, _ in sorted(seen)] == [1, 2]  # repeats are equal to the byte


async def test_partitions_pause_while_too_much_is_in_flight() -> None:
    kafka = FakeKafka()
    kafka.hold, kafka.held_topics = True, {OUT}
    for number in range(20):
        await kafka.append(IN, update(f"s{number}", "anna"), None)
    async with serving(kafka, in_flight=4):
        await kafka.until(lambda: kafka.unacknowledged and kafka.consumer.positions.get(FIRST) == 4)  # type: ignore[union-attr]
        assert kafka.consumer is not None
        await kafka.acknowledge()
        await kafka.until(lambda: kafka.committed.get(FIRST) == 20)
        assert kafka.consumer.pauses > 0
    assert len(revisions(kafka)) == 20


async def test_shutdown_finishes_what_is_in_flight() -> None:
    kafka = FakeKafka()
    kafka.hold, kafka.held_topics = True, {OUT}
    await kafka.append(IN, update("a", "anna"), b"a")
    stop = asyncio.Event()
    service = Service(settings(), Worker(fake_engine("ner", "", coalesce=True)), kafka.clients())
    task = asyncio.create_task(service.run(stop))
    await kafka.until(lambda: len(kafka.unacknowledged) == 1)
    stop.set()
    await service._stopping.wait()
    await kafka.append(IN, update("a", "anna rome"), b"a")  # too late
    await kafka.acknowledge()
    await task
    assert kafka.committed == {FIRST: 1}
    assert len(revisions(kafka)) == 1


async def test_shutdown_gives_up_on_what_does_not_finish() -> None:
    kafka = FakeKafka()
    kafka.hold, kafka.held_topics = True, {OUT}
    await kafka.append(IN, update("a", "anna"), b"a")
    async with serving(kafka, shutdown_seconds=0.05):
        await kafka.until(lambda: len(kafka.unacknowledged) == 1)
    assert kafka.committed.get(FIRST, 0) == 0


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
        kafka.hold, kafka.logs[TopicPartition(STATE, 1)] = True, []
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
    key, value = encode_partition("hearken", IN, ((1, 3),))
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

        def hold() -> StepResult:
            if forgotten.is_set():
                return step()
            result = step() if steps_between else None
            forgotten.set()
            assert may.wait(20)
            return result or step()

        monkeypatch.setattr(engine, "expire", bury)

        def take(*message: Any) -> None:
            submit(*message)
            may.set()

        monkeypatch.setattr(engine, "step", hold)
        monkeypatch.setattr(engine, "submit", take)
        assert await asyncio.to_thread(forgotten.wait, 20)
        await kafka.append(IN, update("a", "anna rome"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    assert [r["offset"] for r in revisions(kafka)][-1] == 2
    assert encode_entry("fake", Entry("a", None, None)) in [(x.key, x.value) for x in kafka.records(STATE)]
    assert kafka.records(STATE)[-1].key == b'["fake","a","s"]'


async def test_sessions_that_never_were_are_not_remembered() -> None:
    kafka = FakeKafka()
    async with serving(kafka) as service:
        await kafka.append(IN, b'{"type":"end","session":"a"}', b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        assert service._ledger.home("a") is None


async def test_what_idleness_closed_is_told_even_if_we_die_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message brings it again, and the next owner's sessions know it as told."""
    kafka = FakeKafka()
    service = Service(settings(), Worker(fake_engine("ner", "", coalesce=True)), kafka.clients())
    task = asyncio.create_task(service.run(asyncio.Event()))
    await kafka.append(IN, update("a", "anna"), b"a")
    await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
    kafka.hold, kafka.held_topics = True, {STATE}
    engine, first, died = service._worker.engine, threading.Semaphore(), threading.Event()
    step = engine.step

    def close_only() -> StepResult:
        """What a session leaves that is over comes with the step after."""
        assert first.acquire(blocking=False) or died.wait(20)
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
    engine = fake_engine("ner", "", coalesce=False)
    service = Service(settings(shutdown_seconds=0.02), Worker(engine), kafka.clients())
    step, submit, numbers, gates = engine.step, engine.submit, count(), [threading.Event() for _ in range(3)]

    def hold() -> StepResult:
        number = next(numbers)
        if number == 0:
            result = step()
            assert gates[0].wait(20)
            return result
        assert gates[min(number, 2)].wait(20)
        return step()

    def take(message: Message, offset: int, now: float | None = None) -> None:
        submit(message, offset, now)
        heard.put_nowait(offset)

    monkeypatch.setattr(engine, "step", hold)
    monkeypatch.setattr(engine, "submit", take)
    task = asyncio.create_task(service.run(stop))
    for text in ("anna", "anna rome", "anna rome bob"):
        await kafka.append(IN, update("a", text), b"a")
    assert [await heard.get() for _ in range(3)] == [0, 1, 2]
    assert kafka.consumer is not None
    await kafka.consumer.rebalance([0])
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
    engine = fake_engine("ner", "", coalesce=False)
    worker = Worker(engine, queue=1)
    service = Service(settings(), worker, kafka.clients())
    step, wait, drop = engine.step, worker._wait, engine.drop
    dropped = asyncio.Event()

    def hold() -> StepResult:
        result = step()
        assert may.wait(20)
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
    monkeypatch.setattr(worker, "_wait", tell)
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


async def test_no_broker_is_told_in_one_line() -> None:
    service = Service(
        ServiceSettings(broker="127.0.0.1:1", connect_seconds=0.1), Worker(fake_engine("ner", "", coalesce=True))
    )
    with pytest.raises(BrokerUnreachable, match=r"no broker answers at 127\.0\.0\.1:1"):
        await service.run(asyncio.Event())
