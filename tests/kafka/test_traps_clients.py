"""What aiokafka's clients do unless they are told otherwise: defaults, acknowledgements, compression."""

import asyncio
import inspect
import re
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator import assignors
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from confluent_kafka import Producer

from consumers.common.settings import ServiceSettings
from consumers.kafka.brokers.apache_kafka import ApacheKafka
from consumers.kafka.client.clients import make_consumer, make_producer, make_service_producer
from tests.kafka.rig import Place, new_place, stop_producer, take
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


def default(client: type, name: str) -> object:
    return inspect.signature(client).parameters[name].default


def test_the_defaults_of_a_member() -> None:
    """Session 10 s, heartbeat 3 s, rebalance as long as the session, round robin, uncommitted, auto-commit."""
    assert default(AIOKafkaConsumer, "session_timeout_ms") == 10_000
    assert default(AIOKafkaConsumer, "heartbeat_interval_ms") == 3_000
    assert default(AIOKafkaConsumer, "rebalance_timeout_ms") is None
    assert default(AIOKafkaConsumer, "partition_assignment_strategy") == (RoundRobinPartitionAssignor,)
    assert default(AIOKafkaConsumer, "isolation_level") == "read_uncommitted"
    assert default(AIOKafkaConsumer, "enable_auto_commit") is True


def test_there_is_no_cooperative_assignor() -> None:
    """Every rebalance stops everything: what we keep, we keep by ourselves."""
    modules = {path.name.partition(".")[0] for path in Path(assignors.__path__[0]).iterdir()}
    assert {"range", "roundrobin", "sticky"} <= modules
    assert not [name for name in modules if "cooperative" in name]


async def test_acknowledgement_by_one_broker_is_the_default() -> None:
    """`acks` is 1 unless said: an acknowledged record may then be lost with its leader. Ours all say "all"."""
    settings = ServiceSettings(broker="localhost:9092")
    plain = AIOKafkaProducer()
    idempotent = AIOKafkaProducer(enable_idempotence=True)
    assert plain._sender._acks == 1
    assert idempotent._sender._acks == -1
    for producer in (make_producer("localhost:9092"), make_service_producer(settings, None)):
        assert producer._sender._acks == -1
        await producer.stop()
    transactional = make_service_producer(settings, "id")
    assert transactional._sender._acks == -1
    for producer in (plain, idempotent, transactional):
        await producer.stop()
    consumer = make_consumer(settings)
    assert consumer._isolation_level == "read_committed"
    assert consumer._enable_auto_commit is False
    await consumer.stop()


def test_nothing_here_asks_for_one_record_at_a_time() -> None:
    """`getone` is seven times slower than `getmany`; `wait_for` around either leaks."""
    sources = [path.read_text() for path in (ROOT / "consumers").rglob("*.py")]
    assert any("getmany(" in source for source in sources)
    assert not [source for source in sources if re.search(r"\.getone\(|async for \w+ in self\._?consumer", source)]
    assert not [source for source in sources if re.search(r"wait_for\([^)]*getmany", source)]


async def test_idempotent_batches_never_expire(mortal_kafka: ApacheKafka) -> None:
    """Without a broker a plain send fails after its timeout; an idempotent one waits for ever: put a deadline on it."""
    place = new_place(mortal_kafka.address, "expire")
    await place.make_topics()
    plain = place.producer(request_timeout_ms=1500)
    idempotent = place.producer(request_timeout_ms=1500, enable_idempotence=True)
    for producer in (plain, idempotent):
        await producer.start()
        await producer.send_and_wait(place.topic, b"before", partition=0)
    await asyncio.to_thread(mortal_kafka.kill)
    waiting = await idempotent.send(place.topic, b"x", partition=0)
    failing = await plain.send(place.topic, b"x", partition=0)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(KafkaError):
            await failing
    assert not (await asyncio.wait([waiting], timeout=1.5))[0]
    for producer in (plain, idempotent):
        await stop_producer(producer)
    waiting.cancel()


async def test_a_position_that_is_gone_is_told_only_without_a_reset_policy(place: Place) -> None:
    """With `earliest` or `latest` a reader whose offset was deleted jumps in silence; with `none` it is told."""
    await place.make_topics()
    await place.produce([b"x"] * 3)
    for policy in ("earliest", "none"):
        async with place.consumer(auto_offset_reset=policy) as reader:
            reader.assign([place.partition()])
            reader.seek(place.partition(), 999)
            if policy == "none":
                with pytest.raises(OffsetOutOfRangeError):
                    await take(reader, 1)
            else:
                assert [record.offset for record in await take(reader, 3)] == [0, 1, 2]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
async def test_most_compression_needs_cramjam(place: Place, codec: str) -> None:
    """aiokafka reads only gzip by itself; so cramjam is a dependency of ours, and every producer's codec is read."""
    await place.make_topics()
    other = Producer({"bootstrap.servers": place.address, "compression.type": codec})
    other.produce(place.topic, b"text " * 1000, partition=0)
    assert other.flush(PATIENCE) == 0
    async with place.consumer() as reader:
        reader.assign([place.partition()])
        assert [record.value for record in await take(reader, 1)] == [b"text " * 1000]


async def test_without_it_a_codec_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not read as noise."""
    monkeypatch.setattr("aiokafka.codec.cramjam", None)
    with pytest.raises(RuntimeError, match="zstd"):
        AIOKafkaProducer(compression_type="zstd")


async def test_gzip_needs_nothing(place: Place) -> None:
    """What ours may write."""
    await place.make_topics()
    async with place.producer(compression_type="gzip") as producer:
        await producer.send_and_wait(place.topic, b"text " * 1000, partition=0)
    async with place.consumer(place.topic) as reader:
        assert [record.value for record in await take(reader, 1)] == [b"text " * 1000]
