"""The Kafka service: updates in, revisions out, at least once.

An offset is committed only after everything its message caused is acknowledged by the brokers. One task takes records,
one publishes what the engine's steps answer, one waits for acknowledgements in order, one commits.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, MessageSizeTooLargeError

from consumers.connection import Clients, connect
from consumers.dead_letter import DeadLetters
from consumers.errors import ServiceFailed
from consumers.intake import BadInput, check_key, decode_message
from consumers.ledger import Ledger, Record, Taken
from consumers.settings import ServiceSettings
from stream.errors import InputError
from stream.messages import End, Revision
from stream.worker import Batch, Worker

log = structlog.get_logger()

TOPIC_SECONDS = 5.0
"""How long to ask for a topic before going on without it."""

Ack = asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, and the records that are done once all of it is acknowledged."""

    acks: list[tuple[Ack, Taken | None]]
    done: list[Taken]


class Service:
    """One member of the consumer group.

    Args:
        settings: see there.
        worker: runs the engine; the service closes it.
        clients: a test may bring its own.
    """

    def __init__(self, settings: ServiceSettings, worker: Worker, clients: Clients | None = None) -> None:
        self._settings = settings
        self._clients = clients or Clients()
        self._worker = worker
        self._ledger = Ledger(settings.in_flight)
        self._sent: asyncio.Queue[Sent] = asyncio.Queue()
        self._taking = asyncio.Lock()
        self._committing = asyncio.Lock()
        self._committed: dict[TopicPartition, int] = {}
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()
        """Set when the group has given us partitions for the first time."""
        self.revisions = 0
        self.finished = 0
        """Records that are done: what they caused is acknowledged."""

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then finish what is in flight, commit and leave the group.

        Raises:
            BrokerUnreachable: no broker answered at the start.
            ServiceFailed: something broke on the way.
        """
        broker, patience = self._settings.broker, self._settings.connect_seconds
        try:
            self._producer: AIOKafkaProducer = await connect(partial(self._clients.producer, broker), broker, patience)
            self.dead_letters = DeadLetters(self._producer, self._settings.topics.dead_letter)
            try:
                make = partial(self._clients.consumer, self._settings)
                self._consumer: AIOKafkaConsumer = await connect(make, broker, patience)
                try:
                    await self._serve(stop)
                finally:
                    await self._consumer.stop()
            finally:
                await self._producer.stop()
        finally:
            await self._worker.close()

    async def _find_topics(self) -> None:
        """Ask for our topics: brokers that may make topics make them now, not when the first update comes.

        Otherwise the group would divide no partitions, and notice the topic only with the next look at the metadata.
        """
        topics = self._settings.topics
        for topic in (topics.input, topics.output, topics.dead_letter):
            try:
                async with asyncio.timeout(TOPIC_SECONDS):
                    await self._producer.partitions_for(topic)
            except (KafkaError, TimeoutError):
                log.warning("there is no such topic; make it, it is found within half a minute", topic=topic)

    async def _serve(self, stop: asyncio.Event) -> None:
        await self._find_topics()
        self._consumer.subscribe([self._settings.topics.input], listener=_Rebalance(self))
        log.info("serving", broker=self._settings.broker, topic=self._settings.topics.input, group=self._settings.group)
        jobs = [self._take(), self._publish(), self._acknowledge(), self._commit_often(), self._forget_idle()]
        tasks = [asyncio.create_task(job) for job in jobs]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            _raise_failure(tasks)
            if not stopping.done():
                raise ServiceFailed("the engine stopped")
            await self._wind_down(tasks)
            _raise_failure(tasks)
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(self._settings.shutdown_seconds):
                    await self._commit()
            log.info("stopped", revisions=self.revisions, dead_letters=dict(self.dead_letters.counts))

    async def _wind_down(self, tasks: list["asyncio.Task[None]"]) -> None:
        """Take nothing more, and let what is in flight become done."""
        self._stopping.set()
        taking, *others = tasks
        # The taker may wait for an assignment that never comes; nothing is lost when that wait is cut short.
        await asyncio.wait([taking], timeout=2.0)
        taking.cancel()
        calm = asyncio.create_task(self._settle())
        await asyncio.wait([calm, *others], return_when=asyncio.FIRST_COMPLETED)
        calm.cancel()

    async def _settle(self) -> None:
        """Wait until nothing is in flight, but not for ever: what is left then will be read again."""
        try:
            async with asyncio.timeout(self._settings.shutdown_seconds):
                await self._ledger.calm.wait()
        except TimeoutError:
            log.warning("gave up on work in flight; it will be read again")

    # Taking

    async def _take(self) -> None:
        while not self._stopping.is_set():
            throttled = await self._throttle()
            wait_ms = 0 if throttled else 200
            batches = await self._consumer.getmany(timeout_ms=wait_ms, max_records=max(1, self._ledger.room))
            async with self._taking:
                for partition, records in batches.items():
                    for record in records:
                        if self._stopping.is_set():
                            return  # what was not begun is not committed, and will be read again
                        await self._begin(partition, record)

    async def _throttle(self) -> bool:
        """Pause all partitions while there is no room; polling goes on, or the group would think us dead."""
        if self._ledger.room:
            self._consumer.resume(*self._consumer.paused())
            return False
        self._consumer.pause(*self._consumer.assignment())
        self._ledger.freed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._ledger.freed.wait()
        return True

    async def _begin(self, partition: TopicPartition, record: Record) -> None:
        taken = self._ledger.begin(partition, record)
        try:
            message = decode_message(record.value)
            check_key(record.key, message)
        except BadInput as error:
            await self._bury(error.reason, error.detail, taken)
            return
        self._ledger.expect(message.session, taken, time.monotonic())
        try:
            await self._worker.submit(message, record.offset)
        except InputError as error:
            self._ledger.release(message.session, record.offset)
            await self._bury(error.reason, error.detail, taken)
        else:
            if isinstance(message, End):
                self._ledger.forget(message.session)

    async def _bury(self, reason: str, detail: str, taken: Taken) -> None:
        ack = await self._dead_letter(reason, detail, taken)
        self._sent.put_nowait(Sent([(ack, None)], [taken]))

    async def _dead_letter(self, reason: str, detail: str, taken: Taken) -> Ack:
        record = taken.record
        log.warning("dead letter", reason=reason, partition=record.partition, offset=record.offset)
        return await self.dead_letters.send(reason, detail, record)

    # Publishing

    async def _publish(self) -> None:
        async for batch in self._worker.results():
            self._sent.put_nowait(await self._send(batch))

    async def _send(self, batch: Batch) -> Sent:
        acks: list[tuple[Ack, Taken | None]] = []
        for revision in batch.result.revisions:
            cause = self._ledger.waiting(revision.session, revision.offset)
            acks.append((await self._produce(revision), cause))
        for failure in batch.result.failures:
            log.error("labelling failed", offset=failure.offset, exc_info=failure.error)
            if taken := self._ledger.waiting(failure.session, failure.offset):
                acks.append((await self._dead_letter("labelling_failed", repr(failure.error), taken), None))
        done = [self._ledger.release(answer.session, answer.offset) for answer in batch.result.answered]
        return Sent(acks, [taken for taken in done if taken])

    async def _produce(self, revision: Revision) -> Ack:
        self.revisions += 1
        try:
            ack: Ack = await self._producer.send(
                self._settings.topics.output, msgspec.json.encode(revision), key=revision.session.encode()
            )
        except MessageSizeTooLargeError as error:
            ack = asyncio.get_running_loop().create_future()
            ack.set_exception(error)
        return ack

    async def _acknowledge(self) -> None:
        while True:
            sent = await self._sent.get()
            for ack, cause in sent.acks:
                try:
                    await ack
                except MessageSizeTooLargeError as error:
                    # Trying again would fail for ever, and everything behind it would wait.
                    await self._give_up(cause, error)
            for taken in sent.done:
                self._ledger.finish(taken)
            self.finished += len(sent.done)

    async def _give_up(self, cause: Taken | None, error: KafkaError) -> None:
        log.error("a revision is larger than the broker takes")
        if cause:
            await (await self._dead_letter("revision_too_large", str(error), cause))

    # Committing

    async def _commit_often(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_seconds)
            await self._commit()

    async def _commit(self) -> None:
        async with self._committing:
            ours = self._consumer.assignment()
            positions = {p: n for p, n in self._ledger.positions().items() if p in ours and self._committed.get(p) != n}
            if not positions:
                return
            try:
                await self._consumer.commit(positions)
            except (CommitFailedError, IllegalStateError):
                log.warning("a rebalance came before a commit; some records will be read again")
            else:
                self._committed.update(positions)

    # Sessions

    async def _forget_idle(self) -> None:
        """The engine closes sessions that hear nothing; their names need not stay here either."""
        idle = self._settings.idle_seconds
        while True:
            await asyncio.sleep(60.0)
            if idle is not None:
                self._ledger.forget_idle(time.monotonic() - 2 * idle)

    async def revoked(self) -> None:
        """The group divides its partitions anew: finish and commit, so that whoever gets them starts behind us."""
        async with self._taking:
            await self._settle()
            await self._commit()

    async def assigned(self, partitions: set[TopicPartition]) -> None:
        """Drop the sessions of partitions that are gone, or that another member had in the meantime."""
        async with self._taking:
            lost = self._ledger.partitions - partitions
            for partition, position in self._ledger.positions().items():
                if partition in partitions and await self._consumer.committed(partition) != position:
                    lost.add(partition)
            sessions = self._ledger.drop(lost)
            for partition in lost:
                self._committed.pop(partition, None)
            for session in sessions:
                self._worker.engine.drop(session)
            self.ready.set()
            log.info("assigned", partitions=sorted(p.partition for p in partitions), sessions_dropped=len(sessions))


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, service: Service) -> None:
        self._service = service

    async def on_partitions_revoked(self, revoked: object) -> None:
        await self._service.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._service.assigned(set(assigned))


def _raise_failure(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise ServiceFailed(f"{type(error).__name__}: {error}") from error
