"""The real clients against the embedded broker: poison among good records, a clean end by a signal, a restart after a
death between produce and commit. One member of a group at a time: the embedded broker cannot serve two.
"""

import asyncio
import json
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.brokers.embedded import FETCH_WAIT_MS, EmbeddedBroker
from consumers.kafka.client.clients import make_consumer
from consumers.kafka.service.service import Service
from consumers.kafka.service.service_clients import ServiceClients
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]
Record = ConsumerRecord[bytes, bytes]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """One broker for the module; each test has topics and a group of its own."""
    embedded = EmbeddedBroker()
    yield embedded.address
    embedded.close()


def topics_for(test: str) -> Topics:
    return Topics(
        input=f"{test}.updates", output=f"{test}.revisions", dead_letter=f"{test}.dead-letters", state=f"{test}.state"
    )


def update(session: str, text: str, **fields: object) -> bytes:
    return json.dumps({"type": "update", "session": session, "segment": "s", "text": text, **fields}).encode()


async def produce(broker: str, topic: str, values: Iterable[tuple[bytes | None, bytes]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await producer.start()
    try:
        for key, value in values:
            await producer.send_and_wait(topic, value, key=key)
    finally:
        await producer.stop()


@asynccontextmanager
async def reading(broker: str, *topics: str) -> AsyncIterator[Callable[[int], Any]]:
    """Gives a function that reads so many records of the topics."""
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=broker,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        metadata_max_age_ms=500,  # the service may be about to create the topic
    )
    await consumer.start()

    async def read(count: int) -> list[Record]:
        found: list[Record] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
        return found

    try:
        yield read
    finally:
        await consumer.stop()


async def committed(broker: str, topic: str, group: str) -> int:
    """Offsets committed, summed over the partitions; asked without joining the group."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        return sum([await consumer.committed(TopicPartition(topic, number)) or 0 for number in range(4)])
    finally:
        await consumer.stop()


async def read_metrics(process: asyncio.subprocess.Process) -> dict[str, float]:
    """What /metrics says where the process logs that it serves HTTP, summed by name, once all its records are done."""
    assert process.stderr is not None
    told: dict[str, object] = {}
    async with asyncio.timeout(PATIENCE):
        while told.get("event") != "http_started":
            told = json.loads(await process.stderr.readline())
        async with httpx.AsyncClient(base_url=str(told["address"])) as client:
            while True:
                metrics = defaultdict[str, float](float)
                for family in text_string_to_metric_families((await client.get("/metrics")).text):
                    for sample in family.samples:
                        metrics[sample.name] += sample.value
                if metrics["hearken_records_done_total"] >= 24:
                    return metrics
                await asyncio.sleep(0.1)


async def test_a_served_process_labels_buries_and_ends_by_a_signal(broker: str) -> None:
    topics = topics_for("signal")
    good = [(f"s{i}".encode(), update(f"s{i}", "anna met bob in rome", final=True)) for i in range(20)]
    poison = [(b"s1", b"{"), (None, b"\xff"), (b"s2", update("s3", "anna")), (b"s4", update("s4", "poison"))]
    await produce(broker, topics.input, [*good[:10], *poison, *good[10:]])
    command = [sys.executable, "-m", "tests.consumers.fakes", "serve", "--broker", broker, "--group", "signal"]
    command += ["--http-port", "0"]
    for flag in ("input", "output", "dead_letter"):
        command += [f"--{flag.replace('_', '-')}-topic", getattr(topics, flag)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        async with reading(broker, topics.output) as read:
            revisions = [json.loads(record.value) for record in await read(20)]
        async with reading(broker, topics.dead_letter) as read:
            letters = [dict(record.headers) for record in await read(4)]
        metrics = await read_metrics(process)
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            out, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert out == b""
    assert sorted(r["session"] for r in revisions) == sorted(key.decode() for key, _ in good)
    assert all([s["text"] for s in r["spans"]] == ["anna", "bob", "rome"] for r in revisions)
    reasons = sorted(x["reason"].decode() for x in letters)
    assert reasons == ["invalid_json", "invalid_utf8", "key_mismatch", "labelling_failed"]
    assert {x["topic"].decode() for x in letters} == {topics.input}
    assert b"anna" not in errors
    assert await committed(broker, topics.input, "signal") == 24
    assert metrics["hearken_dead_letters_total"] == 4
    assert metrics["hearken_records_done_total"] == 24
    assert metrics["hearken_lag_messages"] == metrics["hearken_lag_seconds"] == 0
    assert metrics["hearken_produce_to_revision_seconds_count"] == 20


async def test_a_redacting_process_gives_out_nothing_of_a_value(broker: str) -> None:
    topics = topics_for("redacting")
    good = [update("s0", "they met anna"), update("s0", "They met Anna.", final=True)]
    bad = [b'{"type":"update","session":"s0","text":"anna', update("s0", ["anna"]), update("s1", "anna poison")]
    await produce(broker, topics.input, [(b"s0", good[0])])
    command = [sys.executable, "-m", "tests.consumers.fakes", "serve", "--broker", broker, "--group", "redacting"]
    command += ["--http-port", "0", "--redact", "person", "--redacted-topic", "redacting.redacted"]
    for flag in ("input", "output", "dead_letter", "state"):
        command += [f"--{flag.replace('_', '-')}-topic", getattr(topics, flag)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        async with reading(broker, "redacting.redacted") as read:
            redacted = [*await read(1)]
            await produce(broker, topics.input, [(b"s0", x) for x in (good[1], *bad)])  # else the two are coalesced
            redacted += await read(1)
        async with reading(broker, topics.dead_letter) as read:
            letters = await read(3)
        async with reading(broker, topics.output) as read:
            revisions = await read(2)
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            out, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert [json.loads(x.value or b"")["text"] for x in redacted] == ["they met", "they met [PERSON]."]
    told = [x.value or b"" for x in (*redacted, *revisions)] + [y or b"" for x in letters for _, y in x.headers]
    assert not any(b"anna" in x.lower() for x in (*told, out, errors))


async def test_died_before_its_commit_the_next_one_does_it_again(broker: str) -> None:
    topics = topics_for("again")
    settings = ServiceSettings(
        broker=broker, topics=topics, group="again", commit_seconds=0.01, fetch_wait_ms=FETCH_WAIT_MS
    )
    await produce(broker, topics.input, [(b"a", update("a", "anna")), (b"a", update("a", "anna met bob", final=True))])

    def make_mortal(settings: ServiceSettings) -> AIOKafkaConsumer:
        consumer = make_consumer(settings)

        async def die(offsets: dict[TopicPartition, int]) -> None:
            if sum(offsets.values()) == 2:
                raise RuntimeError("died before the commit")

        consumer.commit = die
        return consumer

    async with reading(broker, topics.output) as read:
        mortal = Service(
            settings, Worker(fake_engine(["ner"], "", coalesce=False)), ServiceClients(consumer=make_mortal)
        )
        with pytest.raises(Exception, match="died before the commit"):
            await mortal.run(asyncio.Event())
        assert await committed(broker, topics.input, "again") == 0
        told = [x.value for x in await read(2)]
        assert [json.loads(value)["rev"] for value in told] == [1, 2]
        stop = asyncio.Event()
        service = Service(settings, Worker(fake_engine(["ner"], "", coalesce=False)))
        task = asyncio.create_task(service.run(stop))
        repeats = [x.value for x in await read(1)]
        async with asyncio.timeout(PATIENCE):
            while service.finished < 2:  # noqa: ASYNC110  # it has no event for it
                await asyncio.sleep(0.01)
        stop.set()
        await task
    assert set(repeats) <= set(told)  # what may not have been published is published again, to the byte
    last = json.loads(told[-1])
    assert [s["text"] for s in last["spans"]] == ["anna", "bob"]
    assert last["final"]
    assert await committed(broker, topics.input, "again") == 2
