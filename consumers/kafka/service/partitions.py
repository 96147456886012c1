"""The partitions assigned to this member. Each is fenced, restored and sought before its first record is handled.

aiokafka's rebalances are eager (everything is revoked, then assigned again), it may return records while its listener
still runs, and it swallows what a listener raises. So the listener only starts tasks, every partition has its own gate
(`is_open`), and failures reach the service through a future.
"""

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnsupportedVersionError

from consumers.common.errors import OperationFailed, ServiceFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import connect, stop_client
from consumers.kafka.client.diagnosis import AUTHORIZATION_ERRORS, explain_authorization
from consumers.kafka.in_flight import InFlightRecords, OffsetTracker
from consumers.kafka.output.changelog import (
    ChangelogError,
    RestoredPartition,
    encode_entry,
    encode_partition_record,
    from_ranges,
)
from consumers.kafka.output.exactly_once import ExactlyOnce, TransactionPace
from consumers.kafka.output.partition_writer import (
    AtLeastOnce,
    ChangelogConflict,
    PartitionOutput,
    PartitionWriter,
    WriterContext,
)
from consumers.kafka.output.republishing import republish_missing
from consumers.kafka.service.membership import GroupMember, MembershipLost
from consumers.kafka.service.observer import ServiceObserver
from consumers.kafka.service.restore import ChangelogReader, find_start
from consumers.kafka.service.service_clients import ServiceClients
from consumers.kafka.service.state_history import StateHistory
from stream.engine.worker import Worker
from stream.sessions.snapshot import Entry, SavedSession

log = structlog.get_logger()

MAX_RESTORES = 4
"""Maximum number of partitions that are restored at the same time."""


@dataclass(eq=False, slots=True)
class Partition:
    """One assigned partition of the input."""

    topic_partition: TopicPartition
    is_open: bool = False
    """Whether it is restored, so that its records may be handled."""
    tracker: OffsetTracker = field(default_factory=OffsetTracker)
    writer: PartitionWriter | None = None
    task: "asyncio.Task[None] | None" = None
    """Opens it, then writes its output."""
    applied: dict[str, int] = field(default_factory=dict)
    """By restored session: the last input offset that its state contains."""
    last_applied: int = -1
    done_offsets: set[int] = field(default_factory=set)
    """Offsets at or after the start that a former owner finished."""
    last_timestamp: float | None = None
    """Timestamp of the last record that was taken, in seconds since 1970; None if it has none or a wrong one."""
    read_to_end_at: float | None = None
    """When the last record there was had been taken, in seconds since 1970."""

    def is_applied(self, session: str, offset: int) -> bool:
        """Whether the restored state of the session contains this message already."""
        return offset <= self.last_applied and offset <= self.applied.get(session, -1)


class Partitions:
    """All assigned partitions of one service.

    Args:
        settings: of the service.
        clients: makes Kafka clients.
        worker: runs the engine.
        in_flight: the records in flight of the service.
        context: shared by all partition writers.
        group: this member of the group.
        observer: told when a partition was opened, and of dropped sessions.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        clients: ServiceClients,
        worker: Worker,
        in_flight: InFlightRecords,
        context: WriterContext,
        group: GroupMember,
        observer: ServiceObserver,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._worker = worker
        self._in_flight = in_flight
        self._context = context
        self._group = group
        self._observer = observer
        self._restores = asyncio.Semaphore(MAX_RESTORES)
        self._exactly_once = settings.guarantee == "exactly_once"
        self._pace = TransactionPace(settings.transactions_per_second, settings.commit_seconds)
        self.assigned: dict[TopicPartition, Partition] = {}
        self._history = StateHistory(settings)
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails when the service cannot go on."""
        self.ready = asyncio.Event()
        """Set while all assigned partitions are open."""

    def find_open(self, at: TopicPartition) -> Partition | None:
        """Find a partition that is assigned and open."""
        partition = self.assigned.get(at)
        return partition if partition and partition.is_open else None

    async def assign(self, given: set[TopicPartition]) -> None:
        """Apply an assignment: keep what this member had, close what is gone, open what is new."""
        consumer = self._group.consumer
        for at in given:
            # Positions that aiokafka found by itself may be stale; nothing is read before ours are set.
            consumer.pause(at)
            consumer.seek(at, self.assigned[at].tracker.next if at in self.assigned else 0)
        for at in self.assigned.keys() - given:
            await self.close(at)
        for at in given & self.assigned.keys():
            if not self._exactly_once and not await self._is_unchanged(self.assigned[at]):
                await self.close(at)
        opening = given - self.assigned.keys()
        for at in opening:
            self.assigned[at] = partition = Partition(at)
            partition.task = asyncio.create_task(self._run_partition(partition))
        consumer.resume(*(at for at in given if self.find_open(at)))
        self._update_ready()
        log.info(
            "assigned",
            partitions=sorted(at.partition for at in given),
            kept=sorted(at.partition for at in given - opening),
        )

    async def close(self, at: TopicPartition) -> None:
        """Close a partition that was lost: forget its sessions and write nothing more of it."""
        partition = self.assigned.pop(at)
        partition.is_open = False
        if partition.task is not None:
            partition.task.cancel()
            await asyncio.gather(partition.task, return_exceptions=True)
        self._reset(partition)

    async def close_all(self) -> None:
        """Close all partitions."""
        for at in list(self.assigned):
            await self.close(at)

    def fail(self, error: Exception) -> None:
        """Report an error that ends the service."""
        if not self.failure.done():
            self.failure.set_exception(error)

    # The task of one partition

    async def _run_partition(self, partition: Partition) -> None:
        attempt = 0
        while True:
            producer: AIOKafkaProducer | None = None
            try:
                if self._exactly_once:
                    producer = await self._start_producer(partition.topic_partition)
                await self._open_partition(partition, producer or self._group.producer)
                assert partition.writer is not None
                await partition.writer.run()
            except OperationFailed as error:
                return self.fail(error)
            except MessageSizeTooLargeError as error:
                writer = partition.writer
                if not self._context.reduce_limit(*((writer.largest, writer.largest_letter) if writer else (0, 0))):
                    return self.fail(ServiceFailed(f"the brokers take hardly any message: {error}"))
            except AUTHORIZATION_ERRORS as error:
                return self.fail(explain_authorization(error, self._settings.group))
            except UnsupportedVersionError as error:
                return self.fail(ServiceFailed(f"{type(error).__name__}: {error}"))
            except (KafkaError, TimeoutError, OSError, MembershipLost, ChangelogConflict) as error:
                log.warning(
                    "partition_reopening",
                    partition=partition.topic_partition.partition,
                    error=f"{type(error).__name__}: {error}",
                )
            except Exception as error:
                return self.fail(error)
            finally:
                if producer is not None:
                    await stop_client(producer)
            attempt = 1 if partition.writer and partition.writer.groups_written else attempt + 1
            self._reset(partition)
            # If the group expelled this member, heartbeats soon tell; fencing before that would shut out the owner.
            await asyncio.sleep(min(2 * self._settings.heartbeat_seconds * attempt, 10.0))

    async def _start_producer(self, at: TopicPartition) -> AIOKafkaProducer:
        """Start the partition's transactional producer, which fences former owners and completes their transactions."""
        transactional_id = f"{self._settings.group}-{at.topic}-{at.partition}"
        make = partial(self._clients.producer, self._settings, transactional_id)
        return await connect(make, self._settings.broker, self._settings.connect_seconds)

    async def _open_partition(self, partition: Partition, producer: AIOKafkaProducer) -> None:
        began, at, settings = time.monotonic(), partition.topic_partition, self._settings
        if at.partition not in await self._group.producer.partitions_for(settings.topics.state):
            raise ChangelogError(
                f"topic {settings.topics.state} has no partition {at.partition}: the input was given more partitions."
                " Sessions have moved between them; name a new state topic with --state-topic"
            )
        async with self._restores:
            await self._worker.wait_for_step()  # a running step may still work for a former assignment of the partition
            state = TopicPartition(settings.topics.state, at.partition)
            make = partial(self._clients.reader, settings)
            reader: AIOKafkaConsumer = await connect(make, settings.broker, settings.connect_seconds)
            try:
                await self._history.check_end(reader, state)
                changelog = ChangelogReader(reader, state, settings.group, at.topic)
                restored = await changelog.read()
                has_state = restored.has_owner or bool(restored.sessions)
                start = await find_start(self._group.consumer, at, restored, settings.on_lost_input)
                if self._exactly_once:
                    epoch = changelog.end  # the producer is fenced: no former owner writes any more
                else:
                    await self._group.commit({at: start.offset})  # proves that the partition is ours, before the claim
                    epoch = await self._claim(producer, at, restored, start.offset)
                    restored = await changelog.read(epoch + 1)
            finally:
                await stop_client(reader)
        repairs, forgotten = changelog.latest.repairs(), list[Entry]()
        if changelog.latest.stale:
            log.warning(
                "stale_states_found", partition=at.partition, count=changelog.latest.stale, rewritten=len(repairs)
            )
        if start.topic_recreated:
            forgotten = [x for name, saved in restored.sessions.items() for x in _tombstones(name, saved)]
            restored = RestoredPartition()
        self._history.add_opening(at.partition, changelog.end, start, has_state)
        partition.applied = {name: saved.offset for name, saved in restored.sessions.items()}
        partition.last_applied = max(partition.applied.values(), default=-1)
        partition.done_offsets = {offset for offset in from_ranges(restored.done) if offset >= start.offset}
        partition.tracker = tracker = OffsetTracker(start.offset, partition.done_offsets)
        self._restore_sessions(at, restored)
        if self._exactly_once:
            partition.writer = ExactlyOnce(at, tracker, self._context, epoch, producer, self._pace)
            partition.writer.enqueue(PartitionOutput(entries=forgotten, repairs=repairs))
            if start.reset_to is not None:
                partition.writer.wake()
        else:
            verify, committed = self._group.verify, partial(self._group.committed, at)
            partition.writer = writer = AtLeastOnce(
                at, tracker, self._context, epoch, changelog.end, producer, verify, committed
            )
            await writer.write_states([*repairs, *(encode_entry(entry) for entry in forgotten)])
            await republish_missing(writer, restored, start.offset, self._context)
        self._group.consumer.seek(at, start.offset)
        partition.is_open = True
        self._group.consumer.resume(at)
        self._update_ready()
        sessions = sum(not saved.ended for saved in restored.sessions.values())
        seconds = time.monotonic() - began
        log.info("restored", partition=at.partition, offset=start.offset, sessions=sessions, seconds=round(seconds, 3))
        self._observer.on_restored(sessions, seconds)

    async def check_states(self) -> None:
        """Check that the changelogs of idle partitions still have what was written; writers that are at work find out.

        Raises:
            StateLost: one has not.
            KafkaError: the brokers do not answer.
        """
        for at, partition in list(self.assigned.items()):
            if partition.is_open and partition.writer and not partition.writer.writing:
                self._history.add_end(at.partition, partition.writer.state_end)
                state = TopicPartition(self._settings.topics.state, at.partition)
                await self._history.check_end(self._group.consumer, state)

    async def write_positions(self) -> None:
        """Write the committed offsets to the changelog (at least once): this member ends in order."""
        writers = [partition.writer for partition in self.assigned.values() if partition.is_open]
        await asyncio.gather(*(x.write_position() for x in writers if isinstance(x, AtLeastOnce)))

    async def _claim(
        self, producer: AIOKafkaProducer, at: TopicPartition, restored: RestoredPartition, position: int
    ) -> int:
        """Claim the partition's changelog; returns the offset of the claim, from which on former owners are fenced."""
        topics, settings = self._settings.topics, self._settings
        key, value = encode_partition_record(settings.group, at.topic, restored.done, True, position)
        async with asyncio.timeout(settings.delivery_seconds):
            ack = await producer.send(topics.state, value, key=key, partition=at.partition)
            return int((await ack).offset)

    async def find_conflicts(self) -> None:
        """Find changelogs that other members have written to while their partitions were idle here.

        Those are opened again, which repairs them; a writer that is at work finds out by itself.

        Raises:
            KafkaError: the brokers do not answer.
        """
        idle: dict[TopicPartition, tuple[AtLeastOnce, int]] = {}
        for at, partition in self.assigned.items():
            writer = partition.writer
            if partition.is_open and isinstance(writer, AtLeastOnce) and not writer.writing:
                idle[TopicPartition(self._settings.topics.state, at.partition)] = writer, writer.state_end
        if not idle:
            return
        for state, end in (await self._group.consumer.end_offsets(list(idle))).items():
            writer, expected = idle[state]
            if end != expected == writer.state_end and not writer.writing:
                writer.report_state_end(end)

    def _restore_sessions(self, at: TopicPartition, restored: RestoredPartition) -> None:
        # The engine knows one session of a name; messages for one that lives in another partition become dead letters.
        ours = {
            name: saved for name, saved in restored.sessions.items() if self._in_flight.partition_of(name) in (None, at)
        }
        if strays := len(restored.sessions) - len(ours):
            log.warning("sessions_in_two_partitions", partition=at.partition, count=strays)
        for name, saved in ours.items():
            self._worker.engine.restore(saved, name, time.monotonic())
            self._in_flight.assign_session(name, at)

    async def _is_unchanged(self, partition: Partition) -> bool:
        """Whether no other member had the partition since the last write (at least once has no fences of the brokers).

        Its own task may give it up meanwhile, and open it again.
        """
        at, writer, consumer = partition.topic_partition, partition.writer, self._group.consumer
        if not partition.is_open or not isinstance(writer, AtLeastOnce):
            return False  # what it has read so far may be of an older generation
        if await consumer.committed(at) != partition.tracker.position or partition.tracker.unfinished:
            return False
        state = TopicPartition(self._settings.topics.state, at.partition)
        end = (await consumer.end_offsets([state]))[state]
        return bool(partition.is_open and partition.writer is writer and end == writer.state_end)

    def _reset(self, partition: Partition) -> None:
        """Close a partition and forget its sessions."""
        if partition.writer is not None:
            self._history.add_end(partition.topic_partition.partition, partition.writer.state_end)
        partition.is_open = False
        self.ready.clear()
        for session in self._in_flight.drop_partition(partition.topic_partition, partition.tracker):
            self._worker.engine.drop(session)
            self._observer.on_session_dropped(session)
        partition.writer, partition.last_timestamp, partition.last_applied = None, None, -1
        partition.read_to_end_at = None
        partition.applied, partition.done_offsets = {}, set()

    def _update_ready(self) -> None:
        if self.assigned and all(partition.is_open for partition in self.assigned.values()):
            self.ready.set()
            self._history.report()
        else:
            self.ready.clear()


def _tombstones(session: str, saved: SavedSession) -> list[Entry]:
    return [Entry(session, name, None) for name in (*saved.segments, None)]
