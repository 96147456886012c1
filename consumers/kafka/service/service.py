"""The Kafka service: updates in, revisions out.

One task takes records (`consume_loop.py`), one gives the results of the engine's steps to the writers of the partitions
(`../output/partition_writer.py`, `../output/exactly_once.py`), each partition has a task that opens it and then writes
(`partitions.py`), and one commits. An offset is committed only after everything its message caused is written, or in
the same transaction.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from consumers.common.errors import ServiceFailed, raise_failure
from consumers.common.settings import ServiceSettings
from consumers.formats.readers import MessageReader, NormalReader
from consumers.kafka.client.clients import connect, stop_client
from consumers.kafka.in_flight import InFlightRecord, InFlightRecords
from consumers.kafka.output.changelog import StateLost
from consumers.kafka.output.dead_letter import DeadLetterWriter
from consumers.kafka.output.partition_writer import ChangelogConflict, WriterContext, WriteTimes
from consumers.kafka.service.consume_loop import ConsumeLoop
from consumers.kafka.service.event_log import log_forced_closings, log_overload_change
from consumers.kafka.service.lag import PartitionLag, find_lags
from consumers.kafka.service.membership import GroupMember, MembershipLost, RebalanceListener
from consumers.kafka.service.observer import ServiceObserver
from consumers.kafka.service.partitions import Partitions
from consumers.kafka.service.routing import route_step
from consumers.kafka.service.service_clients import ServiceClients
from consumers.kafka.topics.topics import TopicProblem
from stream.engine.worker import Worker

log = structlog.get_logger()


NOTE_SECONDS = 2.0
"""Time for the last, dispensable write of a service that ends."""


class Service:
    """One member of the consumer group.

    Args:
        settings: of the service.
        worker: runs the engine; the service closes it.
        clients: makes the Kafka clients; tests give their own.
        reader: makes messages of records; by default records are in normal form.
        observer: told of messages, steps and writes.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        worker: Worker,
        clients: ServiceClients | None = None,
        reader: MessageReader | None = None,
        observer: ServiceObserver | None = None,
    ) -> None:
        self._settings = settings
        self._clients = clients or ServiceClients()
        self._worker = worker
        self._observer = observer or ServiceObserver()
        self._in_flight = InFlightRecords(settings.in_flight)
        self.dead_letters = DeadLetterWriter()
        context = WriterContext(settings, self.dead_letters, self._on_written)
        self._group = GroupMember(settings, self._positions)
        self._partitions = Partitions(
            settings, self._clients, worker, self._in_flight, context, self._group, self._observer
        )
        self._consume_loop = ConsumeLoop(
            settings,
            worker,
            reader or NormalReader(),
            self._in_flight,
            self._partitions,
            self._group,
            self.dead_letters,
            self._observer,
        )
        self._watch = self._clients.watch(settings)
        self._exactly_once = settings.guarantee == "exactly_once"
        self._left = False
        self.ready = self._partitions.ready
        """Set while all assigned partitions are open."""
        self.revisions = 0
        """Number of revisions written."""
        self.finished = 0
        """Number of records that are done: everything they caused is written."""

    @property
    def stopping(self) -> bool:
        """Whether it takes no more records."""
        return self._consume_loop.stopping.is_set()

    @property
    def partitions(self) -> tuple[int, int]:
        """Number of assigned partitions, and how many of them are open."""
        assigned = self._partitions.assigned.values()
        return len(assigned), sum(x.is_open for x in assigned)

    @property
    def stuck(self) -> tuple[float, float]:
        """Seconds without progress although records wait, and the longest time that this takes in regular operation.

        After that time, writes that brokers do not acknowledge are given up and repeated; then no record waits here.
        """
        return self._in_flight.stuck_seconds, max(self._settings.delivery_seconds, self._settings.transaction_seconds)

    @property
    def clock_faults(self) -> Mapping[str, int]:
        """Number of records whose timestamp says nothing about their latency, by reason."""
        return self._consume_loop.clock_faults

    @property
    def topic_problems(self) -> list[TopicProblem]:
        """What is wrong with the topics, as of the last look."""
        return self._watch.problems

    def lags(self) -> list[PartitionLag]:
        """Consumer lag of the open partitions."""
        if not self._partitions.assigned:
            return []  # there may be no consumer yet
        return find_lags(self._group.consumer, self._partitions.assigned.values(), time.time())

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then finish what is in flight, commit and leave the group.

        Raises:
            BrokerUnreachable: no broker answered at the start.
            ServiceFailed: an unexpected error.
            ChangelogError, LostInput: the records in the brokers do not allow to go on.
        """
        broker, patience = self._settings.broker, self._settings.connect_seconds
        try:
            await self._clients.prepare(self._settings)
            make_producer = partial(self._clients.producer, self._settings, None)
            producer: AIOKafkaProducer = await connect(make_producer, broker, patience)
            try:
                make_consumer = partial(self._clients.consumer, self._settings)
                consumer: AIOKafkaConsumer = await connect(make_consumer, broker, patience)
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
        watching = self._watch.run(self._partitions.check_states)
        jobs = [self._consume_loop.run(), self._publish(), self._commit_regularly(), watching]
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
            if not self._exactly_once:
                with suppress(KafkaError, TimeoutError, MembershipLost, ChangelogConflict, StateLost):
                    async with asyncio.timeout(settings.shutdown_seconds):
                        await self._group.commit_all()
                    async with asyncio.timeout(NOTE_SECONDS):
                        await self._partitions.write_positions()
            self._left = True
            await self._partitions.close_all()
            log.info("stopped", revisions=self.revisions, dead_letters=dict(self.dead_letters.counts))

    async def _wind_down(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Stop taking records, and wait for those in flight."""
        self._consume_loop.stopping.set()
        consuming, *others = tasks
        # The consume loop may wait for an assignment that never comes; cutting this wait short loses nothing.
        await asyncio.wait([consuming], timeout=2.0)
        consuming.cancel()
        draining = asyncio.create_task(self._drain())
        waited: list[asyncio.Future[Any]] = [draining, self._partitions.failure, *others]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()

    async def _drain(self) -> bool:
        """Wait until nothing is in flight, for at most `shutdown_seconds`; returns whether that succeeded."""
        try:
            async with asyncio.timeout(self._settings.shutdown_seconds):
                await self._in_flight.idle.wait()
        except TimeoutError:
            log.warning("drain_timed_out", seconds=self._settings.shutdown_seconds)
            return False
        return True

    # Results

    async def _publish(self) -> None:
        forced_closings = 0
        async for batch in self._worker.results():
            self._observer.on_step(batch)
            if batch.overload_change:
                log_overload_change(batch.overload_change)
            if new := batch.result.stats.forced_closings:
                forced_closings += new
                log_forced_closings(batch.result, forced_closings)
            for at, output in route_step(batch, self._in_flight, self._consume_loop.make_letter).items():
                opened = self._partitions.find_open(at)
                if opened and opened.writer:
                    opened.writer.enqueue(output)

    def _on_written(
        self, done: Sequence[InFlightRecord], causes: Sequence[InFlightRecord | None], wrote: WriteTimes
    ) -> None:
        self.revisions += len(causes)
        self._observer.on_published(causes)
        self._observer.on_records_done(done, wrote)
        self.finished += self._in_flight.mark_delivered(done)

    # Commits

    def _positions(self) -> dict[TopicPartition, int]:
        assigned = self._partitions.assigned.values()
        return {x.topic_partition: x.tracker.position for x in assigned if x.is_open}

    async def _commit_regularly(self) -> None:
        """At least once: commit new positions, and sometimes known ones again, as proof of membership."""
        renewed_at = time.monotonic()
        while not self._exactly_once:
            await asyncio.sleep(self._settings.commit_seconds)
            renew = time.monotonic() - renewed_at > self._settings.session_timeout_seconds / 4
            try:
                await self._group.commit_all(renew)
            except (MembershipLost, KafkaError, TimeoutError) as error:
                log.warning("commit_refused", error=type(error).__name__)
            else:
                if renew:
                    renewed_at = time.monotonic()
                    with suppress(KafkaError, TimeoutError):  # the next check will do
                        await self._partitions.find_conflicts()
        await asyncio.Event().wait()

    # Rebalances

    async def revoked(self) -> None:
        """Handle the begin of a rebalance.

        At least once: finish and commit, so that the next owner starts after this one. Exactly once: the fences are
        enough, and partitions that this member keeps are not interrupted.
        """
        if self._exactly_once:
            return
        async with self._consume_loop.lock:
            drained = await self._drain()
            with suppress(MembershipLost, KafkaError, TimeoutError):
                await self._group.commit_all()
            self._group.assignment_known.clear()
            if not drained:
                await self._partitions.close_all()

    async def assigned(self, partitions: set[TopicPartition]) -> None:
        """Handle the end of a rebalance."""
        async with self._consume_loop.lock:
            await self._partitions.assign(partitions)
            self._group.assignment_known.set()
        self._observer.on_assigned(sorted(at.partition for at in partitions))

    async def guard(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a listener's job; its error ends the service. A service that is leaving ignores rebalances."""
        if self._left:
            return
        try:
            await job()
        except Exception as error:
            self._partitions.fail(error)
