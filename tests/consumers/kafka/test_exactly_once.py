"""Exactly once on the broker in memory: transactions that fail, are in doubt, hang, or are somebody else's by now."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from random import Random
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from consumers.common.settings import ServiceSettings
from consumers.kafka.in_flight import InFlightRecord, OffsetTracker
from consumers.kafka.output import exactly_once
from consumers.kafka.output.changelog import PARTITION_KEY, read_changelog
from consumers.kafka.output.dead_letter import DeadLetterWriter
from consumers.kafka.output.exactly_once import ExactlyOnce, TransactionPace
from consumers.kafka.output.partition_writer import PartitionOutput, WriterContext
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeKafka, FakeProducer
from tests.consumers.fakes import fake_engine
from tests.waiting import PATIENCE

FIRST, CHANGES = TopicPartition(IN, 0), TopicPartition(STATE, 0)
NAME = f"hearken-{IN}-0"


def settings(**changes: object) -> ServiceSettings:
    fields = {"guarantee": "exactly_once", "commit_seconds": 0.01, "session_timeout_seconds": 0.1} | changes
    return ServiceSettings(broker="fake:1", **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(kafka: FakeKafka, **changes: object) -> AsyncIterator[Service]:
    stop = asyncio.Event()
    service = Service(settings(**changes), Worker(fake_engine(["ner"], "", coalesce=False)), kafka.clients())
    task = asyncio.create_task(service.run(stop))
    try:
        yield service
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


def update(text: str) -> bytes:
    return json.dumps({"type": "update", "session": "a", "segment": "s", "text": text}).encode()


def revs(kafka: FakeKafka) -> list[int]:
    return [json.loads(record.value or b"")["rev"] for record in kafka.records(OUT)]


async def test_revisions_states_letters_and_offsets_become_visible_together(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka, both = FakeKafka(), asyncio.Event()
    enqueue, commit, done = ExactlyOnce.enqueue, FakeProducer.commit_transaction, list[InFlightRecord]()

    def count(self: ExactlyOnce, output: PartitionOutput) -> None:
        enqueue(self, output)
        done.extend(output.done)
        if len(done) == 2:
            both.set()

    async def hold_first(self: FakeProducer) -> None:
        async with asyncio.timeout(PATIENCE):
            await both.wait()
        await commit(self)

    monkeypatch.setattr(ExactlyOnce, "enqueue", count)
    monkeypatch.setattr(FakeProducer, "commit_transaction", hold_first)
    await kafka.append(IN, update("anna"))
    await kafka.append(IN, b"{")
    async with serving(kafka, transaction_seconds=2 * PATIENCE):
        await kafka.until(lambda: kafka.transactions == 2)  # the first one only says whose the changelog is
        assert (revs(kafka), len(kafka.records(DEAD)), kafka.committed) == ([1], 1, {FIRST: 2})
        assert [record.key for record in kafka.records(STATE)] == [PARTITION_KEY, b'["a","s"]', PARTITION_KEY]
    assert kafka.transactions == 2


@pytest.mark.parametrize("happened", [True, False])
async def test_a_transaction_in_doubt_is_done_once(happened: bool) -> None:
    """Its commit was not answered: whether it happened is for the brokers to say, and nothing comes twice."""
    kafka = FakeKafka()
    kafka.fail_commit = [(KafkaTimeoutError(), happened)]
    async with serving(kafka):
        for text in ("anna", "anna met bob", "{", "anna met bob in rome"):
            await kafka.append(IN, b"{" if text == "{" else update(text))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 4)
    assert revs(kafka) == [1, 2, 3]
    assert len(kafka.records(DEAD)) == 1
    assert kafka.epochs[NAME] == 2  # the producer was replaced


async def test_a_transaction_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = FakeKafka()
    plain, hung = FakeProducer.commit_transaction, list[FakeProducer]()

    async def hang_once(self: FakeProducer) -> None:
        if not hung:
            hung.append(self)
            await asyncio.Event().wait()
        await plain(self)

    monkeypatch.setattr(FakeProducer, "commit_transaction", hang_once)
    async with serving(kafka, transaction_seconds=0.05):
        await kafka.append(IN, update("anna"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
    assert hung
    assert revs(kafka) == [1]


async def test_who_is_shut_out_writes_nothing_and_does_not_shut_out_the_owner() -> None:
    """Another service has the partition by now; the group tells us later."""
    kafka = FakeKafka()
    async with serving(kafka, session_timeout_seconds=3.0):
        await kafka.append(IN, update("anna"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        owner = FakeProducer(kafka, NAME)
        await owner.start()
        await kafka.append(IN, update("anna met bob"))
        assert kafka.consumer is not None
        while kafka.consumer.positions[FIRST] < 2:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)
        await kafka.consumer.rebalance([])
        await owner.begin_transaction()
        await owner.commit_transaction()  # it was not fenced
    assert revs(kafka) == [1]
    assert kafka.committed[FIRST] == 1


async def test_an_owner_that_was_shut_out_by_mistake_opens_it_anew() -> None:
    kafka = FakeKafka()
    async with serving(kafka):
        await kafka.append(IN, update("anna"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        await FakeProducer(kafka, NAME).start()
        await kafka.append(IN, update("anna met bob"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert revs(kafka) == [1, 2]


async def test_what_is_done_beyond_the_position_is_kept_and_not_done_again() -> None:
    """A dead letter behind a record that takes longer."""
    kafka = FakeKafka()
    for value in (update("anna"), b"{", update("anna met bob")):
        await kafka.append(IN, value)
    producer, tracker = FakeProducer(kafka, NAME), OffsetTracker()
    await producer.start()
    letters = DeadLetterWriter()
    context = WriterContext(settings(), letters, lambda done, revisions, wrote: None)
    writer = ExactlyOnce(FIRST, tracker, context, 0, producer, TransactionPace(100, 0.1))
    taken = []
    for record in kafka.records(IN):
        tracker.begin(record.offset)
        taken.append(InFlightRecord(tracker, record))
    await writer.write_group(
        [PartitionOutput(letters=[letters.make_letter("invalid_json", "x", taken[1].record)], done=[taken[1]])]
    )
    assert kafka.committed == {FIRST: 0}
    records = [(x.offset, (x.key or b"", x.value)) for x in kafka.records(STATE)]
    assert read_changelog(records, "hearken", IN, "state").done == ((1, 2),)
    async with serving(kafka):
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
    assert revs(kafka) == [1, 2]
    assert len(kafka.records(DEAD)) == 1


async def test_a_transaction_begins_when_the_last_one_has_ended_and_takes_all_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None waits for the interval, which is an hour; what comes while one is written goes into the next."""
    kafka, plain = FakeKafka(), FakeProducer.commit_transaction
    begun, ended = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def hold(self: FakeProducer) -> None:
        begun.release()
        await ended.acquire()
        await plain(self)

    monkeypatch.setattr(FakeProducer, "commit_transaction", hold)
    producer, letters = FakeProducer(kafka, NAME), DeadLetterWriter()
    await producer.start()
    context = WriterContext(settings(), letters, lambda done, revisions, wrote: None)
    writer = ExactlyOnce(FIRST, OffsetTracker(), context, 0, producer, TransactionPace(100, 3600.0))
    task = asyncio.create_task(writer.run())
    async with asyncio.timeout(PATIENCE):
        for count in (1, 3, 2):  # letters of one transaction each
            for _ in range(count):
                record = await kafka.append(IN, b"{")
                writer.enqueue(PartitionOutput(letters=[letters.make_letter("invalid_json", "x", record)]))
            if kafka.records(IN)[1:]:
                ended.release()  # of the transaction before
            await begun.acquire()
        assert (kafka.transactions, len(kafka.records(DEAD))) == (2, 4)
        ended.release()
        await kafka.until(lambda: kafka.transactions == 3)
    task.cancel()
    assert len(kafka.records(DEAD)) == 6


@given(
    rate=st.integers(1, 1000),
    longest=st.floats(0.001, 2.0),
    pauses=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=200),
)
def test_places_keep_to_the_rate_and_nobody_waits_longer_than_told(
    rate: int, longest: float, pauses: list[float]
) -> None:
    pace, now, begun = TransactionPace(rate, longest), 100.0, list[float]()
    last, exceeded = -math.inf, False
    for pause in pauses:
        now = max(now + pause, last)  # one partition: it asks when its transaction has begun
        wait = pace.reserve(now, last)
        assert 0.0 <= wait <= max(0.0, last + longest - now)
        exceeded |= now + wait == last + longest
        last = now + wait
        begun.append(last)
    if not exceeded:
        for i, first in enumerate(begun):
            for count, at in enumerate(begun[i:], 1):
                assert count <= (at - first + longest) * rate + 1 + 1e-6
    assert pace.reserve(last + 3 * longest + 1 / rate, last) == 0.0, "no burst is paid for later"


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only while nothing is left to do, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def skip(timeout: float | None) -> object:
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = skip  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


def simulate(monkeypatch: pytest.MonkeyPatch, a_second: float, transaction: float, partitions: int) -> list[float]:
    """Seconds from a record's output to the end of its transaction, of Poisson arrivals in five seconds, ascending."""
    loop, delays = _VirtualLoop(), list[float]()
    monkeypatch.setattr(exactly_once, "time", SimpleNamespace(monotonic=loop.time))

    commit = FakeProducer.commit_transaction

    async def commit_slowly(self: FakeProducer) -> None:
        await asyncio.sleep(transaction)
        await commit(self)

    monkeypatch.setattr(FakeProducer, "commit_transaction", commit_slowly)

    async def run() -> None:
        random, kafka, letters = Random(7), FakeKafka(partitions), DeadLetterWriter()
        given = settings(commit_seconds=0.1)
        pace = TransactionPace(given.transactions_per_second, given.commit_seconds)

        def written(done: Sequence[InFlightRecord], causes: object, wrote: object) -> None:
            delays.extend(loop.now - record.record.timestamp / 1000 for record in done)

        writers = []
        for number in range(partitions):
            producer = FakeProducer(kafka, f"p{number}")
            await producer.start()
            context = WriterContext(given, letters, written)
            writers.append(ExactlyOnce(TopicPartition(IN, number), OffsetTracker(), context, 0, producer, pace))
        tasks = [asyncio.create_task(writer.run()) for writer in writers]
        sent = 0
        while loop.now < 5.0:
            await asyncio.sleep(random.expovariate(a_second))
            writer = random.choice(writers)
            kafka.now = 1000 * loop.now  # type: ignore[assignment]
            record = kafka.put(IN, b"{", partition=writer.partition.partition)
            writer.tracker.begin(record.offset)
            taken = InFlightRecord(writer.tracker, record)
            letter = letters.make_letter("invalid_json", "x", record)
            writer.enqueue(PartitionOutput(letters=[letter], done=[taken]))
            sent += 1
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
        assert len(delays) == sent

    with closing(loop):
        loop.run_until_complete(run())
    return sorted(delays)


@pytest.mark.parametrize(("a_second", "partitions"), [(3.0, 4), (50.0, 4), (800.0, 4), (300.0, 16), (300.0, 64)])
def test_what_waits_does_so_for_two_transactions_while_the_rate_suffices(
    a_second: float, partitions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an interval of 100 ms, 99 of 100 waited up to that and a transaction; simulated, with 7 ms a transaction."""
    delays = simulate(monkeypatch, a_second, 0.007, partitions)
    p99 = delays[int(0.99 * len(delays))]
    assert delays[0] >= 0.007 - 1e-6
    assert p99 <= 2 * 0.007 + (min(0.1, partitions / 100) if a_second > 100 else 0.0) + 1e-6
    assert delays[-1] <= 0.1 + 2 * 0.007 + 1e-6


async def test_a_kept_partition_goes_on_through_a_rebalance() -> None:
    """Fences make a pause unnecessary: what is in flight is written, whatever the group is about."""
    kafka = FakeKafka(partitions=2)
    async with serving(kafka):
        await kafka.append(IN, update("anna"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        assert kafka.consumer is not None
        await kafka.consumer.rebalance([0])
        await kafka.append(IN, update("anna met bob"))
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    assert revs(kafka) == [1, 2]
    assert kafka.epochs[NAME] == 1  # neither fenced nor restored
