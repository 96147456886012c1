"""The service on a broker in memory: what is committed when, what becomes of bad input, and of sessions that move."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from consumers.common.errors import ServiceFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import BrokerUnreachable
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeKafka, FakeRecord
from tests.consumers.fakes import fake_engine
from tests.waiting import PATIENCE

FIRST = TopicPartition(IN, 0)


def settings(**changes: object) -> ServiceSettings:
    return ServiceSettings(broker="fake:1", commit_seconds=0.01, session_timeout_seconds=0.1, **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(kafka: FakeKafka, **changes: object) -> AsyncIterator[Service]:
    worker = Worker(fake_engine(["ner"], "", coalesce=True))
    async with running(Service(settings(**changes), worker, kafka.clients())) as service:
        yield service


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    try:
        yield service
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
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
    service = Service(settings(), Worker(fake_engine(["ner"], "", coalesce=True)), clients)
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
    service = Service(settings(), Worker(fake_engine(["ner"], "", coalesce=False)), kafka.clients())
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
        (b"\x00\x00\x00\x00\x07\x02\x0aanna", b"a", "invalid_json"),
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
        await kafka.append(IN, value, key, headers=[("traceparent", b"00-11"), ("reason", None)])
        await kafka.append(IN, update("good", "anna rome"), None)  # a missing key is tolerated
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    assert [r["offset"] for r in revisions(kafka)][-1] == 2
    [letter] = kafka.records(DEAD)
    assert (header(letter, "reason"), header(letter, "topic")) == (reason, IN)
    assert (header(letter, "partition"), header(letter, "offset")) == ("0", "1")
    assert header(letter, "error")
    assert (letter.key, letter.value) == (key, value)
    assert letter.headers[:3] == [("traceparent", b"00-11"), ("reason", None), ("original_headers", b"2")]
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


async def test_a_letter_that_brokers_refuse_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it must be; revisions keep their limit."""
    kafka = FakeKafka()
    plain = kafka.append

    async def refuse(topic: str, value: bytes | None, *rest: object, **named: object) -> FakeRecord:
        if topic == DEAD and len(value or b"") > 30_000:
            raise MessageSizeTooLargeError("too large")
        return await plain(topic, value, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(kafka, "append", refuse)
    async with serving(kafka):
        await kafka.append(IN, b"x" * 40_000, b"a")
        await kafka.append(IN, update("b", "anna said " * 5000), b"b")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    [letter] = kafka.records(DEAD)
    assert header(letter, "bytes") == "40000"
    assert 20_000 < len(letter.value or b"") <= 30_000
    assert [r["session"] for r in revisions(kafka)] == ["b"]


async def test_a_revision_has_the_trace_of_its_record() -> None:
    kafka = FakeKafka()
    trace = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", b"a=1")]
    async with serving(kafka):
        await kafka.append(IN, update("a", "anna"), b"a", headers=[*trace, ("other", b"x")])
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        await kafka.append(IN, update("a", "anna rome"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert [record.headers for record in kafka.records(OUT)] == [trace, []]


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
    service = Service(settings(), Worker(fake_engine(["ner"], "", coalesce=True)), kafka.clients())
    task = asyncio.create_task(service.run(stop))
    await kafka.until(lambda: len(kafka.unacknowledged) == 1)
    stop.set()
    await service._consume_loop.stopping.wait()
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


async def test_no_broker_is_told_in_one_line() -> None:
    service = Service(
        ServiceSettings(broker="127.0.0.1:1", connect_seconds=0.1), Worker(fake_engine(["ner"], "", coalesce=True))
    )
    with pytest.raises(BrokerUnreachable, match=r"no broker answers at 127\.0\.0\.1:1"):
        await service.run(asyncio.Event())
