"""The traps that concern the service as a whole, on Apache Kafka: what it does where a client alone would go wrong."""

import asyncio
import gc
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.common.errors import OperationFailed
from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.client.clients import make_changelog_reader, make_service_producer
from consumers.kafka.service.restore import LostInput
from consumers.kafka.service.service import Service
from consumers.kafka.service.service_clients import ServiceClients
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine
from tests.kafka.rig import PARTITIONS, Place, administering, stop_producer, take, take_all
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
GUARANTEES = ["at_least_once", "exactly_once"]


def settings_at(place: Place, guarantee: str = "exactly_once", **fields: Any) -> ServiceSettings:
    topics = Topics(input=place.topic, output=place.output, dead_letter=f"{place.run}.dead", state=f"{place.run}.state")
    quick = {"commit_seconds": 0.02, "fetch_wait_ms": 50, "session_timeout_seconds": 3.0, "shutdown_seconds": 5.0}
    return ServiceSettings(
        broker=place.address, topics=topics, group=place.group, guarantee=guarantee, **quick | fields
    )


@pytest.fixture(autouse=True)
async def _output(quiet_fences: None, place: Place) -> None:
    """Readers may come before the service: one that finds no topic looks again after minutes."""
    await place.make_topics(place.output)


@asynccontextmanager
async def serving(settings: ServiceSettings, clients: ServiceClients | None = None) -> AsyncIterator[Service]:
    """A service that runs; what breaks it is raised at the end."""
    service = Service(settings, Worker(fake_engine(["ner"], "", coalesce=False)), clients)
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    try:
        yield service
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


async def serve_for_ever(settings: ServiceSettings) -> None:
    """Serve until something breaks."""
    async with asyncio.timeout(PATIENCE):
        await Service(settings, Worker(fake_engine(["ner"], "", coalesce=False))).run(asyncio.Event())


async def ready(service: Service) -> None:
    async with asyncio.timeout(PATIENCE):
        await service.ready.wait()


def update(session: str, text: str, **fields: object) -> bytes:
    return json.dumps({"type": "update", "session": session, "segment": "s", "text": text, **fields}).encode()


async def revisions(consumer: AIOKafkaConsumer, count: int) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in await take(consumer, count)]


async def all_revisions(place: Place) -> list[dict[str, Any]]:
    async with place.consumer(place.output) as reader:
        return [json.loads(record.value or b"") for record in await take_all(reader)]


def numbers(revisions: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
    """Of each session, the revisions' numbers in the order read."""
    found: dict[str, list[int]] = {}
    for revision in revisions:
        found.setdefault(revision["session"], []).append(revision["rev"])
    return found


def without_repeats(revisions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As a reader does who drops what it has seen; each repeat must be the same to the last byte."""
    seen: dict[tuple[str, int], dict[str, Any]] = {}
    for revision in revisions:
        assert seen.setdefault((revision["session"], revision["rev"]), revision) == revision
    return list(seen.values())


@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_a_session_goes_on_where_the_service_before_left_it(place: Place, guarantee: str) -> None:
    """State and offsets are those of the service that was there before: numbers go on, nothing is told twice."""
    settings = settings_at(place, guarantee)
    async with place.consumer(place.output) as reader:
        for number, text in enumerate(["anna", "anna met bob", "anna met bob in rome"], 1):
            async with serving(settings) as service:
                await ready(service)
                await place.produce([update("a", text)], partition=2)
                assert [r["rev"] for r in await revisions(reader, 1)] == [number]
    told = await all_revisions(place)
    assert numbers(told) == {"a": [1, 2, 3]}
    assert [span["text"] for span in told[-1]["spans"]] == ["anna", "bob", "rome"]
    assert len(told[-1]["added"]) == 1


async def test_a_fenced_service_starts_anew_and_tells_nothing_twice(place: Place) -> None:
    """Somebody starts the partition's producer: the next transaction fails, and what truly stands is read again."""
    settings = settings_at(place)
    async with serving(settings) as service, place.consumer(place.output) as reader:
        await ready(service)
        await place.produce([update("a", "anna")], partition=0)
        await revisions(reader, 1)
        other = make_service_producer(settings, f"{place.group}-{place.topic}-0")
        await other.start()
        await place.produce([update("a", "anna met bob")], partition=0)
        await revisions(reader, 1)
        await stop_producer(other)
    assert numbers(await all_revisions(place)) == {"a": [1, 2]}


async def test_a_transaction_left_open_by_the_dead_is_aborted_before_anything_is_read(place: Place) -> None:
    """What it wrote and committed in there never happened, and the message it was for is labelled."""
    settings = settings_at(place)
    async with serving(settings) as service:
        await ready(service)
    await place.produce([update("a", "anna")], partition=0)
    dead = make_service_producer(settings, f"{place.group}-{place.topic}-0")
    await dead.start()
    await dead.begin_transaction()
    await dead.send_and_wait(place.output, b'{"session": "a", "rev": 1, "spans": "of the dead"}', partition=0)
    await dead.send_offsets_to_transaction({place.partition(): 1}, place.group)
    async with serving(settings), place.consumer(place.output) as reader:
        (told,) = await revisions(reader, 1)
    assert [span["text"] for span in told["spans"]] == ["anna"]
    await stop_producer(dead)


@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_no_record_is_labelled_before_its_state_is_back(place: Place, guarantee: str) -> None:
    """Though aiokafka would hand records out meanwhile."""
    settings = settings_at(place, guarantee)
    async with serving(settings) as service, place.consumer(place.output) as reader:
        await ready(service)
        await place.produce([update("a", "anna")], partition=0)
        await revisions(reader, 1)
    await place.produce([update("a", "anna met bob")], partition=0)
    asked, may = asyncio.Event(), asyncio.Event()

    def slow_reader(settings: ServiceSettings) -> AIOKafkaConsumer:
        reader = make_changelog_reader(settings)
        get = reader.getmany

        async def getmany(*partitions: TopicPartition, **options: Any) -> Any:
            asked.set()
            await may.wait()
            return await get(*partitions, **options)

        reader.getmany = getmany
        return reader

    async with serving(settings, ServiceClients(reader=slow_reader)) as service, place.consumer(place.output) as reader:
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        await take(reader, 1)
        assert not await reader.getmany(timeout_ms=500)
        assert not service.ready.is_set()
        may.set()
        assert [r["rev"] for r in await revisions(reader, 1)] == [2]


@pytest.fixture
def cut_short() -> Iterator[None]:
    """aiokafka loses a connection whose making is cancelled, as in a rebalance; Python closes it later."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("cut_short")
@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_workers_come_and_go_and_every_revision_is_told_once(place: Place, guarantee: str) -> None:
    """1, 2, 3 and again 1 worker under load."""
    settings = settings_at(place, guarantee)
    sessions, rounds = 8, 40

    async def talk() -> None:
        texts = ["anna", "anna met bob"]
        for number in range(rounds):
            for session in range(sessions):
                text = texts[number % 2]
                await producer.send_and_wait(
                    place.topic, update(f"s{session}", text, final=number == rounds - 1), partition=session % PARTITIONS
                )

    async with serving(settings) as first, place.producer(acks="all") as producer:
        await ready(first)
        talking = asyncio.create_task(talk())
        async with serving(settings) as second:
            await ready(second)
            async with serving(settings) as third:
                await ready(third)
        await talking
        async with place.consumer(place.output) as reader:
            told = await revisions(reader, sessions * rounds)
    again = await all_revisions(place)
    assert len(told) == sessions * rounds
    if guarantee == "at_least_once":
        again = without_repeats(again)
    assert numbers(again) == {f"s{session}": list(range(1, rounds + 1)) for session in range(sessions)}


async def test_a_wrong_topic_ends_the_start_with_a_word(place: Place) -> None:
    """State on a topic that deletes it would be lost in silence."""
    settings = settings_at(place)
    await place.make_topics(settings.topics.state, cleanup_policy="delete")
    with pytest.raises(OperationFailed, match=r"cleanup\.policy=delete deletes the state"):
        await serve_for_ever(settings)


@pytest.mark.parametrize("policy", ["fail", "skip"])
async def test_offsets_out_of_retention_are_never_reset_in_silence(place: Place, policy: str) -> None:
    """The service ends with a word, or goes on because it was told to."""
    settings = settings_at(place, on_lost_input=policy)
    async with serving(settings) as service, place.consumer(place.output) as reader:
        await ready(service)
        await place.produce([update("a", "anna")], partition=0)
        await revisions(reader, 1)
    await place.produce([update("a", text) for text in ["bob", "anna", "bob", "rome", "bob"]], partition=0)
    async with administering(place.address) as admin:
        await admin.delete_records({place.partition(): _Before(4)})
    if policy == "fail":
        with pytest.raises(LostInput, match="3 are gone"):
            await serve_for_ever(settings)
    else:
        async with serving(settings), place.consumer(place.output) as reader:
            await take(reader, 1)
            assert [r["offset"] for r in await revisions(reader, 2)] == [4, 5]


class _Before:
    """What `delete_records` takes."""

    def __init__(self, offset: int) -> None:
        self.before_offset = offset
        self.offset = offset


@asynccontextmanager
async def process(settings: ServiceSettings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A service as a process of its own; ended by SIGTERM, which it must obey."""
    command = [sys.executable, "-m", "tests.consumers.fakes", "serve", "--no-coalesce", "--broker", settings.broker]
    command += ["--http-port", "off"]
    for name in ("input", "output", "dead_letter", "state"):
        command += [f"--{name.replace('_', '-')}-topic", getattr(settings.topics, name)]
    for name in ("group", "guarantee", "session_timeout_seconds", "shutdown_seconds", "commit_seconds"):
        command += [f"--{name.replace('_', '-')}", str(getattr(settings, name))]
    started = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    try:
        yield started
        started.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            _, errors = await started.communicate()
        assert started.returncode == 0, errors.decode()[-2000:]
    finally:
        if started.returncode is None:
            started.kill()
            await started.communicate()


@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_a_member_that_stood_still_writes_nothing_more(place: Place, guarantee: str) -> None:
    """Stopped for longer than its session, it loses its partitions; when it goes on, nothing that it holds is told."""
    settings = settings_at(place, guarantee, session_timeout_seconds=1.5)
    texts = ["anna met bob", "anna met"] * 10
    async with process(settings) as still, place.consumer(place.output) as reader:
        await place.produce([update("a", "anna")], partition=0)
        await revisions(reader, 1)
        # Half of these are with the one that stops, most of them not yet written.
        await place.produce([update("a", text) for text in texts[:10]], partition=0)
        still.send_signal(signal.SIGSTOP)
        async with serving(settings) as other:
            await ready(other)
            await place.produce([update("a", text) for text in texts[10:]], partition=0)
            still.send_signal(signal.SIGCONT)
            told: list[dict[str, Any]] = []
            while not told or told[-1]["rev"] < 21:
                told += await revisions(reader, 1)
    told = await all_revisions(place)
    if guarantee == "at_least_once":
        told = without_repeats(told)
    assert numbers(told) == {"a": list(range(1, 22))}
