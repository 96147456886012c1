"""`hearken dlq` on the embedded broker: each letter once, back to where it came from, or left and said so."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from consumers.cli import dlq
from consumers.cli.main import main
from consumers.common.errors import OperationFailed
from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.brokers.embedded import FETCH_WAIT_MS, EmbeddedBroker
from consumers.kafka.dead_letters import clients as sender
from consumers.kafka.dead_letters.replay import LeftLetter, ReplayOutcome, ReplayRequest, replay_letters
from consumers.kafka.output.dead_letter import MAX_LETTER, copy_record
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine
from tests.waiting import PATIENCE

Record = ConsumerRecord[bytes, bytes]


@pytest.fixture
def broker() -> Iterator[str]:
    embedded = EmbeddedBroker()
    yield embedded.address
    embedded.close()


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """The command line sends logs to its standard error, which is gone after the test."""
    yield
    structlog.reset_defaults()
    logging.basicConfig(force=True)


@asynccontextmanager
async def producing(broker: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", max_request_size=8 << 20)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def records(broker: str, topic: str, least: int = 0) -> list[Record]:
    """All of a topic of four partitions, in order; waits until there are so many."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, fetch_max_wait_ms=FETCH_WAIT_MS)
    await consumer.start()
    try:
        partitions, found = [TopicPartition(topic, number) for number in range(4)], list[Record]()
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(PATIENCE):
            while len(found) < least or any([await consumer.position(at) < end for at, end in ends.items()]):
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    found += batch
        return sorted(found, key=lambda x: (x.partition, x.offset))
    finally:
        await consumer.stop()


async def bury(broker: str, *values: bytes, reason: str = "invalid_json", keep: bool = True, replays: int = 0) -> None:
    """Write records to `in`, keyed by their first byte, and dead letters of them to `dead`, as the service does."""
    async with producing(broker) as producer:
        for value in values:
            headers = [("replays", str(replays).encode())] if replays else []
            sent = await producer.send_and_wait("in", value if keep else b"other", key=value[:1], headers=headers)
            at = (sent.topic, sent.partition, sent.offset)
            original: Record = ConsumerRecord(*at, 0, 0, value[:1], value, None, 0, 0, headers)
            letter = copy_record(reason, "why", original)
            await producer.send_and_wait("dead", letter.value, key=letter.key, headers=letter.headers, partition=0)


async def replayed(broker: str, **wanted: object) -> tuple[ReplayOutcome, list[bytes]]:
    """Replay; gives what came of it, and what is new in `in`."""
    before = {(x.partition, x.offset) for x in await records(broker, "in")}
    outcome = await replay_letters(ReplayRequest(broker=broker, topic="dead", group="g.dlq", **wanted))  # type: ignore[arg-type]
    return outcome, [x.value or b"" for x in await records(broker, "in") if (x.partition, x.offset) not in before]


async def test_each_letter_goes_back_once_to_its_topic_partition_and_key(broker: str) -> None:
    await bury(broker, b"1", b"2", b"3")
    originals = await records(broker, "in")
    outcome, new = await replayed(broker)
    assert sorted(new) == [b"1", b"2", b"3"]
    assert (outcome.sent, outcome.left) == ({("invalid_json", "in"): 3}, [])
    again = [x for x in await records(broker, "in") if x.headers]
    assert sorted((x.partition, x.key, x.value) for x in again) == sorted(
        (x.partition, x.key, x.value) for x in originals
    )
    for one in again:
        headers = dict(one.headers)
        assert headers["replays"] == b"1"
        assert headers["reason"] == b"invalid_json"
        at = (headers["topic"].decode(), int(headers["partition"]), int(headers["offset"]))
        assert at in [(x.topic, x.partition, x.offset) for x in originals if x.value == one.value]
    outcome, new = await replayed(broker)
    assert (outcome.sent.total(), new) == (0, [])
    await bury(broker, b"4")
    assert (await replayed(broker))[1] == [b"4"]


async def test_what_a_filter_passes_over_is_there_for_the_next_run(broker: str) -> None:
    for number in range(3):
        await bury(broker, b"a%d" % number)
        await bury(broker, b"b%d" % number, reason="labelling_failed")
    outcome, new = await replayed(broker, reasons=frozenset(["labelling_failed", "unheard_of"]))
    assert sorted(new) == [b"b0", b"b1", b"b2"]
    assert outcome.passed == 3
    assert (await replayed(broker, reasons=frozenset(["labelling_failed"])))[1] == []
    assert sorted((await replayed(broker))[1]) == [b"a0", b"a1", b"a2"]
    assert (await replayed(broker))[1] == []


async def test_a_limit_is_kept_and_the_next_run_goes_on(broker: str) -> None:
    await bury(broker, b"1", b"2", b"3", b"4", b"5")
    assert sorted((await replayed(broker, limit=2))[1]) == [b"1", b"2"]
    assert sorted((await replayed(broker, limit=2))[1]) == [b"3", b"4"]
    assert sorted((await replayed(broker, limit=2))[1]) == [b"5"]


async def test_a_dry_run_sends_and_notes_nothing(broker: str) -> None:
    await bury(broker, b"1", b"2")
    outcome, new = await replayed(broker, dry_run=True)
    assert (outcome.sent.total(), new) == (2, [])
    assert len((await replayed(broker))[1]) == 2


async def test_a_record_that_was_replayed_often_enough_is_left(broker: str) -> None:
    await bury(broker, b"1", replays=2)
    await bury(broker, b"2", replays=3)
    outcome, new = await replayed(broker)
    assert new == [b"1"]
    assert [(x.location, x.offset) for x in outcome.left] == [(TopicPartition("dead", 0), 1)]
    assert "--max-replays 3" in outcome.left[0].why
    outcome, new = await replayed(broker, max_replays=9)
    assert (new, outcome.left) == ([b"2"], [])


async def test_a_cut_letter_is_read_again_where_it_was(broker: str) -> None:
    long = b"7" + b"x" * (2 * MAX_LETTER)
    await bury(broker, long, reason="too_large")
    outcome, new = await replayed(broker)
    assert new == [long]
    assert not outcome.left


async def test_a_cut_letter_whose_original_is_gone_is_left(broker: str) -> None:
    await bury(broker, b"7" + b"x" * (2 * MAX_LETTER), reason="too_large", keep=False)
    await bury(broker, b"8")
    outcome, new = await replayed(broker)
    assert new == [b"8"]
    assert [(x.offset, x.why) for x in outcome.left] == [(0, "was cut, and its original record is gone")]


async def test_a_letter_without_its_value_takes_the_count_of_its_record_too(broker: str) -> None:
    """The service does not always have the record at hand when it buries it."""
    async with producing(broker) as producer:
        for replays in (b"1", b"3"):
            at = await producer.send_and_wait("in", b"7" + replays, key=b"s", headers=[("replays", replays)])
            original: Record = ConsumerRecord(at.topic, at.partition, at.offset, 0, 0, b"s", None, None, 0, 0, [])
            headers = copy_record("revision_too_large", "why", original, at_hand=False).headers
            await producer.send_and_wait("dead", b"", key=b"s", headers=headers, partition=0)
    outcome, new = await replayed(broker)
    assert new == [b"71"]
    assert [x.why for x in outcome.left] == ["was replayed 3 times already (--max-replays 3)"]


async def test_one_that_is_too_large_does_not_hold_back_the_others(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MAX_REPLAY_REQUEST", 5000)
    await bury(broker, b"1", b"2" * 6000, b"3")
    outcome, new = await replayed(broker)
    assert sorted(new) == [b"1", b"3"]
    assert [(x.offset, x.why) for x in outcome.left] == [(1, "is larger than the broker accepts")]


async def test_what_has_no_place_to_go_is_left(broker: str) -> None:
    async with producing(broker) as producer:
        for topic, partition in (("nowhere", 0), ("dead", 0), ("in", 99)):
            headers = [("reason", b"empty"), ("topic", topic.encode()), ("partition", b"%d" % partition)]
            await producer.send_and_wait("dead", b"", headers=[*headers, ("offset", b"0")], partition=0)
        await producer.send_and_wait("dead", b"foreign", partition=0)
        await producer.send_and_wait("in", b"so that there is one")
    outcome, new = await replayed(broker)
    assert new == []
    assert [x.why for x in outcome.left] == [
        "its topic or partition does not exist any more",
        "comes from the dead-letter topic itself",
        "its topic or partition does not exist any more",
        "is no dead letter of the service",
    ]


async def test_a_topic_that_is_not_there_is_named(broker: str) -> None:
    with pytest.raises(OperationFailed, match="no topic dead at"):
        await replay_letters(ReplayRequest(broker=broker, topic="dead", group="g.dlq"))


async def command(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["dlq", *arguments])


async def test_list_counts_and_shows_text_only_if_asked(broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    await bury(broker, b"1 secret", b"1 secret too")
    await bury(broker, b"2 secret", reason="labelling_failed")
    where: Sequence[str] = ("--broker", broker, "--dead-letter-topic", "dead")
    assert await command("list", *where) == 0
    out = capsys.readouterr().out
    assert "3 dead letters" in out
    assert "secret" not in out
    rows = [line.split("│")[1:5] for line in out.splitlines() if line.startswith("│")]
    assert [(row[0].strip(), row[3].strip()) for row in rows] == [("invalid_json", "2"), ("labelling_failed", "1")]
    assert await command("list", *where, "--show-values") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["value"] for line in lines] == ["1 secret", "1 secret too", "2 secret"]


async def test_the_command_says_what_it_sent_and_what_it_left(broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    await bury(broker, b"1")
    await bury(broker, b"2", replays=3)
    where: Sequence[str] = ("--broker", broker, "--dead-letter-topic", "dead", "--group", "g")
    assert await command("replay", *where, "--dry-run") == 1
    assert "would be replayed" in capsys.readouterr().out
    assert await command("replay", *where, "--reason", "invalid_json,empty") == 1
    said = capsys.readouterr()
    assert "invalid_json" in said.out
    assert said.err == "left: dead 0:1 was replayed 3 times already (--max-replays 3)\n"
    assert await command("replay", *where, "--max-replays", "4") == 0
    assert await command("replay", "--broker", broker, "--dead-letter-topic", "nothing") == 1
    assert capsys.readouterr().err.startswith("hearken: there is no topic nothing at")
    assert await command("list", "--broker", broker, "--dead-letter-topic", "deda") == 1
    assert capsys.readouterr().err.endswith("; did you mean 'dead'?\n")
    assert await command("replay", "--broker", "x") == 2


def test_many_that_were_left_are_not_all_named() -> None:
    outcome = ReplayOutcome(left=[LeftLetter("is lost", TopicPartition("dead", 0), i) for i in range(25)], passed=2)
    lines = list(dlq.left_lines(outcome))
    assert lines[19:] == [
        "left: dead 0:19 is lost",
        "left: 5 more",
        "2 letters were not asked for (--reason, --limit)",
    ]


async def test_round_and_round_until_it_is_left(broker: str) -> None:
    """The service buries it, it is replayed, the service buries it again: the count goes up until it is left."""
    topics = Topics(input="in", output="out", dead_letter="dead")
    settings = ServiceSettings(
        broker=broker, topics=topics, group="g", commit_seconds=0.01, fetch_wait_ms=FETCH_WAIT_MS
    )
    service, stop = Service(settings, Worker(fake_engine(["ner"], "", coalesce=False))), asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with producing(broker) as producer:
        await producer.send_and_wait("in", b"not json", key=b"s")
    try:
        for replays in range(3):
            await records(broker, "dead", replays + 1)
            outcome, _ = await replayed(broker, max_replays=2)
            assert outcome.sent.total() == (replays < 2)
    finally:
        stop.set()
        await running
    letters = [dict(x.headers) for x in await records(broker, "dead")]
    assert [x.get("replays") for x in letters] == [None, b"1", b"2"]
    assert len(outcome.left) == 1
