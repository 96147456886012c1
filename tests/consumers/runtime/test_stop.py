"""SIGTERM under load: a worker ends in order within its pod's grace period; what it took is answered and committed."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from consumers.cli.main import main
from consumers.kafka.brokers.embedded import FETCH_WAIT_MS, EmbeddedBroker
from tests.consumers.kafka.test_embedded import update
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]
PARTITIONS = 4
PODS = yaml.safe_load((ROOT / "docker/kubernetes/workers.yaml").read_text("utf-8").split("\n---\n")[0])
GRACE = PODS["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
MOST = 2500
INPUT, OUTPUT = "hearken.updates", "hearken.revisions"


@pytest.fixture
def broker() -> Iterator[str]:
    embedded = EmbeddedBroker()
    yield embedded.address
    embedded.close()


async def load(broker: str, sent: Counter[int], stop: asyncio.Event) -> None:
    """Closed segments, each of a session of its own, faster than they are labelled; until told to stop.

    Not for ever: the embedded broker keeps 5 MiB a partition.
    """
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        number = 0
        while not stop.is_set() and number < MOST:
            batch = []
            for _ in range(100):
                key, value = f"s{number}".encode(), update(f"s{number}", "anna met bob in rome", final=True)
                batch.append(await producer.send(INPUT, value, key=key, partition=number % PARTITIONS))
                number += 1
            for done in await asyncio.gather(*batch):
                sent[done.partition] += 1


@asynccontextmanager
async def worker(broker: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "tests.kafka.light_worker", "serve", "--broker", broker, "--http-port", "off"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def end(process: asyncio.subprocess.Process) -> str:
    """Tell it to end; returns its log. TimeoutError if it takes longer than its pod would let it."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(GRACE):
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return errors.decode()


async def answered(consumer: AIOKafkaConsumer, count: int) -> Counter[str]:
    """How often each session was answered, once there are so many answers."""
    found: Counter[str] = Counter()
    async with asyncio.timeout(PATIENCE):
        while found.total() < count:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.update(json.loads(record.value)["session"] for record in records)
    return found


async def committed(broker: str) -> dict[int, int]:
    async with AIOKafkaConsumer(bootstrap_servers=broker, group_id="hearken", enable_auto_commit=False) as consumer:
        return {n: await consumer.committed(TopicPartition(INPUT, n)) or 0 for n in range(PARTITIONS)}


def reading(broker: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        OUTPUT, bootstrap_servers=broker, auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT_MS
    )


async def test_what_was_taken_is_answered_once_and_committed(broker: str) -> None:
    assert await asyncio.to_thread(main, ["topics", "create", "--broker", broker]) == 0
    sent: Counter[int] = Counter()
    quiet = asyncio.Event()
    loading = asyncio.create_task(load(broker, sent, quiet))
    try:
        async with worker(broker) as process, reading(broker) as consumer:
            await answered(consumer, 200)
            log = await end(process)
    finally:
        quiet.set()
        await loading
    assert "drain_timed_out" not in log
    assert [json.loads(line)["event"] for line in log.splitlines()][-1] == "stopped"
    done = await committed(broker)
    assert 200 <= sum(done.values()) < sent.total(), "it was not under load"
    assert all(done[n] <= sent[n] for n in range(PARTITIONS))
    async with reading(broker) as consumer:
        first = await answered(consumer, sum(done.values()))
    expected = {f"s{n + PARTITIONS * at}" for n in range(PARTITIONS) for at in range(done[n])}
    assert first == Counter(expected), "what was answered is not what was committed"

    async with worker(broker) as process, reading(broker) as consumer:
        everything = await answered(consumer, sent.total())
        await end(process)
    assert everything == Counter({f"s{n + PARTITIONS * at}" for n in range(PARTITIONS) for at in range(sent[n])})
