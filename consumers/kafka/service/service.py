"""The Kafka service: updates in, revisions out.

One task takes records, one hands what the engine's steps answer to the partitions' lanes
(consumers/kafka/output/partition_writer.py, consumers/kafka/output/exactly_once.py), each partition has a task that
opens it and then writes (consumers/kafka/service/partitions.py), and one commits. An offset is committed only after
everything its message caused is delivered, or together with it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from consumers.common.errors import ServiceFailed, raise_failure
from consumers.common.settings import ServiceSettings
from consumers.formats.decode import BadInput
from consumers.formats.reader import MessageReader, NormalReader
from consumers.kafka.client.clients import Clients, connect, stop_client
from consumers.kafka.in_flight import ConsumedRecord, InFlightRecord, InFlightRecords, OffsetTracker
from consumers.kafka.output.dead_letter import DeadLetterRecord, DeadLetterWriter
from consumers.kafka.output.partition_writer import PartitionOutput, WriterContext, WriteTimes
from consumers.kafka.service.event_log import tell_heard, tell_letter, tell_shift
from consumers.kafka.service.lag import PartitionLag, find_lags
from consumers.kafka.service.membership import GroupMember, MembershipLost
from consumers.kafka.service.observer import ServiceObserver
from consumers.kafka.service.partitions import Partition, Partitions
from consumers.kafka.service.rebalance import RebalanceListener
from consumers.kafka.service.routing import sort_out
from stream.engine.worker import Worker
from stream.messages.errors import InputError
from stream.messages.types import Message

log = structlog.get_logger()

PAUSE_SECONDS = 0.02
"""The longest that the taker rests while a step runs."""


class Service:
    """One member of the consumer group.

    Args:
        settings: see there.
        worker: runs the engine; the service closes it.
        clients: a test may bring its own.
        reader: makes messages of records; by default records are in normal form.
        tap: looks on.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        worker: Worker,
        clients: Clients | None = None,
        reader: MessageReader | None = None,
        tap: ServiceObserver | None = None,
    ) -> None:
        self._settings = settings
        self._clients = clients or Clients()
        self._worker = worker
        self._reader = reader or NormalReader()
        self._tap = tap or ServiceObserver()
        self._ledger = InFlightRecords(settings.in_flight)
        self.dead_letters = DeadLetterWriter()
        outbound = WriterContext(settings, self.dead_letters, self._delivered)
        self._group = GroupMember(settings, self._positions)
        self._partitions = Partitions(settings, self._clients, worker, self._ledger, outbound, self._group, self._tap)
        self._exactly = settings.guarantee == "exactly_once"
        self._taking = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._left = False
        self.ready = self._partitions.ready
        """Set while all partitions that the group has given us are open."""
        self.revisions = 0
        """Revisions delivered."""
        self.finished = 0
        """Records that are done: what they caused is delivered."""

    @property
    def stopping(self) -> bool:
        """Whether it takes nothing more."""
        return self._stopping.is_set()

    @property
    def partitions(self) -> tuple[int, int]:
        """How many partitions the group has given us, and how many of them are open."""
        held = self._partitions.held.values()
        return len(held), sum(x.is_open for x in held)

    @property
    def stuck(self) -> tuple[float, float]:
        """Seconds for which nothing was delivered although it waits, and after how many that is not to be expected.

        Brokers that do not answer are given up after that time, and asked again; then nothing waits here.
        """
        return self._ledger.stuck, max(self._settings.delivery_seconds, self._settings.transaction_seconds)

    def lags(self) -> list[PartitionLag]:
        """How far behind the partitions are that are open."""
        if not self._partitions.held:
            return []  # there may be no consumer yet
        return find_lags(self._group.consumer, self._partitions.held.values(), time.time())

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then finish what is in flight, commit and leave the group.

        Raises:
            BrokerUnreachable: no broker answered at the start.
            ServiceFailed: something broke on the way.
            ChangelogError, LostInput: what the brokers hold cannot be gone on with.
        """
        broker, patience = self._settings.broker, self._settings.connect_seconds
        try:
            await self._clients.prepare(self._settings)
            make_producer = partial(self._clients.producer, self._settings, None)
            producer: AIOKafkaProducer = await connect(make_producer, broker, patience)
            try:
                make = partial(self._clients.consumer, self._settings)
                consumer: AIOKafkaConsumer = await connect(make, broker, patience)
                self._group.producer, self._group.consumer = producer, consumer
                try:
                    await self._serve(stop)
                finally:
                    await stop_client(consumer)
            finally:
                await stop_client(producer)
        finally:
            await self._worker.close()

    async def _serve(self, stop: asyncio.Event) -> None:
        settings = self._settings
        self._group.consumer.subscribe(
            [settings.topics.input], listener=RebalanceListener(self.guard, self.revoked, self.assigned)
        )
        log.info(
            "serving",
            broker=settings.broker,
            topic=settings.topics.input,
            group=settings.group,
            guarantee=settings.guarantee,
        )
        jobs = [self._take(), self._publish(), self._commit_often()]
        tasks = [asyncio.create_task(job) for job in jobs]
        stopping = asyncio.create_task(stop.wait())
        failure: asyncio.Future[None] = self._partitions.failure
        waited: list[asyncio.Future[Any]] = [stopping, failure, *tasks]
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            raise_failure([failure, *tasks])
            if not stopping.done():
                raise ServiceFailed("the engine stopped")
            await self._wind_down(tasks)
            raise_failure([failure, *tasks])
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)
            if not self._exactly:
                with suppress(KafkaError, TimeoutError, MembershipLost):
                    async with asyncio.timeout(settings.shutdown_seconds):
                        await self._group.commit_all()
            self._left = True
            await self._partitions.close_all()
            log.info("stopped", revisions=self.revisions, dead_letters=dict(self.dead_letters.counts))

    async def _wind_down(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Take nothing more, and let what is in flight become done."""
        self._stopping.set()
        taking, *others = tasks
        # The taker may wait for an assignment that never comes; nothing is lost when that wait is cut short.
        await asyncio.wait([taking], timeout=2.0)
        taking.cancel()
        calm = asyncio.create_task(self._settle())
        waited: list[asyncio.Future[Any]] = [calm, self._partitions.failure, *others]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        calm.cancel()

    async def _settle(self) -> bool:
        """Wait until nothing is in flight, but not for ever: what is left then will be read again."""
        try:
            async with asyncio.timeout(self._settings.shutdown_seconds):
                await self._ledger.calm.wait()
        except TimeoutError:
            log.warning("gave up on work in flight; it will be read again")
            return False
        return True

    # Taking

    async def _take(self) -> None:
        consumer = self._group.consumer
        while not self._stopping.is_set():
            wait_ms = 0 if await self._throttle() else 200
            try:
                batches = await consumer.getmany(timeout_ms=wait_ms, max_records=max(1, self._ledger.room))
            except NoOffsetForPartitionError:
                await asyncio.sleep(0.05)  # not sought yet: its restore will
                continue
            except OffsetOutOfRangeError as error:
                await self._reopen(error.args[0])
                continue
            lives = {at: held.progress for at in batches if (held := self._partitions.opened(at))}
            async with self._taking:
                try:
                    await self._begin_all(batches, lives)
                finally:
                    self._worker.wake()  # once: the step is to find all of them
            if rest := self._worker.rest(PAUSE_SECONDS):
                await asyncio.sleep(rest)

    async def _begin_all(
        self, batches: Mapping[TopicPartition, Sequence[ConsumedRecord]], lives: Mapping[TopicPartition, OffsetTracker]
    ) -> None:
        for at, records in batches.items():
            for record in records:
                if self._worker.full:
                    await self._worker.room()
                if self._stopping.is_set():
                    return  # what was not begun is not committed, and will be read again
                # What was handed out before its partition was given up and opened again is read again.
                if (held := self._partitions.opened(at)) and held.progress is lives.get(at):
                    self._begin(held, record)

    async def _throttle(self) -> bool:
        """Pause all partitions while there is no room; polling goes on, or the group would think us dead."""
        consumer = self._group.consumer
        if self._ledger.room:
            consumer.resume(*(at for at in consumer.paused() if self._partitions.opened(at)))
            return False
        consumer.pause(*consumer.assignment())
        self._ledger.freed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._ledger.freed.wait()
        return True

    async def _reopen(self, lost: Mapping[TopicPartition, int]) -> None:
        """Retention has overtaken us: open these again, which finds out and decides what becomes of it."""
        log.warning("records were deleted before they were read", positions={at.partition: n for at, n in lost.items()})
        async with self._taking:
            given = self._group.consumer.assignment()
            for at in lost:
                if self._partitions.opened(at):
                    await self._partitions.close(at)
            await self._partitions.assign(given)

    def _begin(self, held: Partition, record: ConsumedRecord) -> None:
        if record.offset < held.progress.next or not (self._exactly or self._group.counted.is_set()):
            return  # handed out before its state was back, or while the group divides anew: it is read again
        assert held.lane is not None
        taken = self._ledger.begin(held.progress, record)
        if record.timestamp >= 0:
            held.produced = record.timestamp / 1000
            taken.late = max(0.0, time.time() - held.produced)
        else:
            held.produced = None
        if record.offset in held.done:
            held.done.discard(record.offset)
            return self._skip(held, taken)
        try:
            messages = self._reader.read(record.value, record.key, record.offset)
            for message in messages:
                if self._ledger.home(message.session) not in (None, held.at):
                    raise BadInput("wrong_partition", "its session lives in another partition; key updates by session")
        except (BadInput, InputError) as error:
            return self._bury(held, error.reason, error.detail, taken)
        if not messages or all(held.is_done(x.session, record.offset) for x in messages):
            return self._skip(held, taken)
        self._submit(held, messages, taken)

    def _submit(self, held: Partition, messages: Sequence[Message], taken: InFlightRecord) -> None:
        """Hand a record's messages to the engine. It is done when all of them are; what is refused spoils no other."""
        taken.parts = len(messages)
        refused: InputError | None = None
        for message in messages:
            try:
                self._worker.put(message, taken.record.offset)
            except InputError as error:
                refused = refused or error
                last = taken.settle()
            else:
                self._ledger.expect(message.session, taken)
                last = False
                self._tap.heard(message)
                if self._settings.log_text:
                    tell_heard(message, taken.record)
        if refused:
            assert held.lane is not None
            letter = self._letter(refused.reason, refused.detail, taken)
            held.lane.put(PartitionOutput(letters=[letter], done=[taken] if last else []))

    def _skip(self, held: Partition, taken: InFlightRecord) -> None:
        """A former owner has done it."""
        assert held.lane is not None
        held.lane.put(PartitionOutput(done=[taken]))

    def _bury(self, held: Partition, reason: str, detail: str, taken: InFlightRecord) -> None:
        assert held.lane is not None
        held.lane.put(PartitionOutput(letters=[self._letter(reason, detail, taken)], done=[taken]))

    def _letter(self, reason: str, detail: str, taken: InFlightRecord) -> DeadLetterRecord:
        letter = self.dead_letters.make(reason, detail, taken.record)
        tell_letter(reason, taken.record, self.dead_letters.counts[reason])
        return letter

    # Handing over to the lanes

    async def _publish(self) -> None:
        async for batch in self._worker.results():
            self._tap.stepped(batch)
            if batch.shift:
                tell_shift(batch.shift)
            for at, output in sort_out(batch, self._ledger, self._letter).items():
                held = self._partitions.opened(at)
                if held and held.lane:
                    held.lane.put(output)

    def _delivered(
        self, done: Sequence[InFlightRecord], causes: Sequence[InFlightRecord | None], wrote: WriteTimes
    ) -> None:
        self.revisions += len(causes)
        self._tap.delivered(causes)
        self._tap.done(done, wrote)
        self.finished += self._ledger.deliver_all(done)

    # Committing

    def _positions(self) -> dict[TopicPartition, int]:
        held = self._partitions.held.values()
        return {x.at: x.progress.position for x in held if x.is_open}

    async def _commit_often(self) -> None:
        """At least once: commit what is done, and now and then what is already, to prove that we are counted in."""
        renewed = time.monotonic()
        while not self._exactly:
            await asyncio.sleep(self._settings.commit_seconds)
            renew = time.monotonic() - renewed > self._settings.session_timeout_seconds / 4
            try:
                await self._group.commit_all(renew)
            except (MembershipLost, KafkaError, TimeoutError) as error:
                log.warning("a commit was not taken; some records may be read again", error=type(error).__name__)
            else:
                renewed = time.monotonic() if renew else renewed
        await asyncio.Event().wait()

    # Rebalances

    async def revoked(self) -> None:
        """The group divides its partitions anew.

        At least once: finish and commit, so that whoever gets them starts behind us. Exactly once, the fences see to
        that, and what we keep does not even pause.
        """
        if self._exactly:
            return
        async with self._taking:
            calm = await self._settle()
            with suppress(MembershipLost, KafkaError, TimeoutError):
                await self._group.commit_all()
            self._group.counted.clear()
            if not calm:
                await self._partitions.close_all()

    async def assigned(self, given: set[TopicPartition]) -> None:
        """The group has decided."""
        async with self._taking:
            await self._partitions.assign(given)
            self._group.counted.set()
        self._tap.assigned(sorted(at.partition for at in given))

    async def guard(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a listener's job; what it raises ends the service. Who leaves takes no part in rebalances any more."""
        if self._left:
            return
        try:
            await job()
        except Exception as error:
            self._partitions.fail(error)
