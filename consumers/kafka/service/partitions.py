"""The partitions that the group gave us: each is fenced, restored and sought before its first record is looked at.

aiokafka's rebalances are eager (everything is revoked, then given anew), it may hand out records while its listener
still runs, and it swallows what a listener raises. So the listener only starts things, every partition has a gate of
its own, and what fails is told to the service by a future.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnsupportedVersionError,
)

from consumers.common.errors import OperationFailed, ServiceFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import Clients, connect, stop_client
from consumers.kafka.in_flight import InFlightRecords, OffsetTracker
from consumers.kafka.output.changelog import (
    ChangelogError,
    RestoredPartition,
    encode_entry,
    encode_partition,
    from_ranges,
)
from consumers.kafka.output.dead_letter import DeadLetterRecord
from consumers.kafka.output.exactly_once import ExactlyOnce
from consumers.kafka.output.partition_writer import AtLeastOnce, PartitionOutput, PartitionWriter, WriterContext
from consumers.kafka.service.membership import GroupMember, MembershipLost
from consumers.kafka.service.observer import ServiceObserver
from consumers.kafka.service.restore import find_start, read_kept
from stream.engine.worker import Worker
from stream.sessions.snapshot import Entry, SavedSession, SessionState

log = structlog.get_logger()

RESTORES = 4
"""Partitions restored at the same time."""

HOPELESS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    UnsupportedVersionError,
)
"""Errors that trying again cannot cure."""


@dataclass(eq=False, slots=True)
class Partition:
    """One partition of the input while it is ours."""

    at: TopicPartition
    is_open: bool = False
    progress: OffsetTracker = field(default_factory=OffsetTracker)
    lane: PartitionWriter | None = None
    job: "asyncio.Task[None] | None" = None
    """Opens it, then writes what it has to say."""
    applied: dict[str, int] = field(default_factory=dict)
    """Of restored sessions: the last input offset that their state holds."""
    last_applied: int = -1
    done: set[int] = field(default_factory=set)
    """Offsets at or behind the start that were done before us."""
    produced: float | None = None
    """When the last record that was taken was produced, in seconds since 1970."""

    def is_done(self, session: str, offset: int) -> bool:
        """Whether a former owner has done this message already."""
        return offset <= self.last_applied and offset <= self.applied.get(session, -1)


class Partitions:
    """What the group has given us.

    Args:
        settings: see there.
        clients: makes Kafka clients.
        worker: runs the engine.
        ledger: the service's books.
        outbound: what lanes share.
        group: the service's place in the group.
        tap: told when a partition is open again, and of sessions that go.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        clients: Clients,
        worker: Worker,
        ledger: InFlightRecords,
        outbound: WriterContext,
        group: GroupMember,
        tap: ServiceObserver,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._worker = worker
        self._ledger = ledger
        self._outbound = outbound
        self._group = group
        self._tap = tap
        self._restores = asyncio.Semaphore(RESTORES)
        self._exactly = settings.guarantee == "exactly_once"
        self.held: dict[TopicPartition, Partition] = {}
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails when the service cannot go on."""
        self.ready = asyncio.Event()
        """Set once all partitions that the group has given us are open."""

    def opened(self, at: TopicPartition) -> Partition | None:
        """The partition, if it is ours and its state is back."""
        held = self.held.get(at)
        return held if held and held.is_open else None

    async def assign(self, given: set[TopicPartition]) -> None:
        """The group has decided: keep what we had, close what is gone, open what is new."""
        consumer = self._group.consumer
        for at in given:
            # Positions that aiokafka found by itself may be stale; nothing is read before ours are set.
            consumer.pause(at)
            consumer.seek(at, self.held[at].progress.next if at in self.held else 0)
        for at in self.held.keys() - given:
            await self.close(at)
        for at in given & self.held.keys():
            if not self._exactly and not await self._is_unchanged(self.held[at]):
                await self.close(at)
        opening = given - self.held.keys()
        for at in opening:
            self.held[at] = held = Partition(at)
            held.job = asyncio.create_task(self._live(held))
        consumer.resume(*(at for at in given if self.opened(at)))
        self._check_ready()
        log.info(
            "assigned",
            partitions=sorted(at.partition for at in given),
            kept=sorted(at.partition for at in given - opening),
        )

    async def close(self, at: TopicPartition) -> None:
        """It is not ours any more: forget it, and write nothing more of it."""
        held = self.held.pop(at)
        held.is_open = False
        if held.job is not None:
            held.job.cancel()
            await asyncio.gather(held.job, return_exceptions=True)
        self._empty(held)

    async def close_all(self) -> None:
        """Let everything go."""
        for at in list(self.held):
            await self.close(at)

    # The life of one partition

    async def _live(self, held: Partition) -> None:
        attempt = 0
        while True:
            producer: AIOKafkaProducer | None = None
            try:
                if self._exactly:
                    producer = await self._fence(held.at)
                await self._open(held, producer or self._group.producer)
                assert held.lane is not None
                await held.lane.run()
            except OperationFailed as error:
                return self.fail(error)
            except MessageSizeTooLargeError as error:
                if not self._outbound.shrink(held.lane.largest if held.lane else 0):
                    return self.fail(ServiceFailed(f"the brokers take hardly any message: {error}"))
            except HOPELESS as error:
                return self.fail(ServiceFailed(f"{type(error).__name__}: {error}"))
            except (KafkaError, TimeoutError, OSError, MembershipLost) as error:
                log.warning(
                    "partition in doubt; it is opened anew from what the brokers hold",
                    partition=held.at.partition,
                    error=f"{type(error).__name__}: {error}",
                )
            except Exception as error:
                return self.fail(error)
            finally:
                if producer is not None:
                    await stop_client(producer)
            attempt = 1 if held.lane and held.lane.groups else attempt + 1
            self._empty(held)
            # If we were expelled from the group, heartbeats soon tell; to fence before that would shut out the owner.
            await asyncio.sleep(min(2 * self._settings.heartbeat_seconds * attempt, 10.0))

    def fail(self, error: Exception) -> None:
        """The service cannot go on."""
        if not self.failure.done():
            self.failure.set_exception(error)

    async def _fence(self, at: TopicPartition) -> AIOKafkaProducer:
        """Start the partition's producer: from now on no former owner can write, and what it left is complete."""
        name = f"{self._settings.group}-{at.topic}-{at.partition}"
        make = partial(self._clients.producer, self._settings, name)
        return await connect(make, self._settings.broker, self._settings.connect_seconds)

    async def _open(self, held: Partition, producer: AIOKafkaProducer) -> None:
        began, at, settings = time.monotonic(), held.at, self._settings
        if at.partition not in await self._group.producer.partitions_for(settings.topics.state):
            raise ChangelogError(
                f"topic {settings.topics.state} has no partition {at.partition}: the input was given more partitions."
                " Sessions have moved between them; name a new state topic with --state-topic"
            )
        async with self._restores:
            await self._worker.step_over()  # what the engine still does for it was asked before it was lost
            state = TopicPartition(settings.topics.state, at.partition)
            make = partial(self._clients.reader, settings)
            reader: AIOKafkaConsumer = await connect(make, settings.broker, settings.connect_seconds)
            try:
                kept, end = await read_kept(reader, state, settings.group, at.topic)
            finally:
                await stop_client(reader)
            start = await find_start(self._group.consumer, at, kept, settings.on_lost_input)
        forgotten = [x for name, saved in kept.sessions.items() for x in _tombstones(name, saved)] if start.anew else []
        if start.anew:
            kept = RestoredPartition(owned=kept.owned)
        held.applied = {name: saved.offset for name, saved in kept.sessions.items()}
        held.last_applied = max(held.applied.values(), default=-1)
        held.done = {offset for offset in from_ranges(kept.done) if offset >= start.offset}
        held.progress = OffsetTracker(start.offset, held.done)
        # The engine knows one session of a name; what comes here for one that lives elsewhere becomes dead letters.
        ours = {name: saved for name, saved in kept.sessions.items() if self._ledger.home(name) in (None, at)}
        if strays := len(kept.sessions) - len(ours):
            log.warning("sessions lie in two partitions; key updates by session", partition=at.partition, count=strays)
        for name, saved in ours.items():
            self._worker.engine.restore(saved, name, time.monotonic())
            self._ledger.live_at(name, at)
        if self._exactly:
            held.lane = ExactlyOnce(at, held.progress, self._outbound, producer)
            held.lane.put(PartitionOutput(entries=forgotten))
        else:
            held.lane = lane = AtLeastOnce(at, held.progress, self._outbound, producer, self._group.prove)
            lane.end = end
            await self._group.commit({at: start.offset})
            await self._mend(lane, kept, forgotten, start.offset)
        self._group.consumer.seek(at, start.offset)
        held.is_open = True
        self._group.consumer.resume(at)
        self._check_ready()
        sessions, seconds = sum(not saved.ended for saved in kept.sessions.values()), time.monotonic() - began
        log.info("restored", partition=at.partition, offset=start.offset, sessions=sessions, seconds=round(seconds, 3))
        self._tap.restored(sessions, seconds)

    async def _mend(self, lane: AtLeastOnce, kept: RestoredPartition, forgotten: list[Entry], position: int) -> None:
        """Write what a former owner may not have come to write: revisions above all."""
        settings = self._settings
        own = [] if kept.owned else [encode_partition(settings.group, lane.partition.topic)]
        await lane.keep([*own, *(encode_entry(entry) for entry in forgotten)])
        ended = [name for name in kept.outbox if kept.sessions[name].ended]
        missing = [
            (name, value)
            for name, outbox in kept.outbox.items()
            for value in outbox
            if name in ended or name in kept.unasked or _OFFSET.decode(value).offset >= position
        ]
        await lane.bury(
            [self._too_large(lane.partition, *pair) for pair in missing if len(pair[1]) > self._outbound.limit]
        )
        await lane.publish([pair for pair in missing if len(pair[1]) <= self._outbound.limit])
        await lane.keep([encode_entry(_gravestone(name, kept.sessions[name])) for name in ended])

    def _too_large(self, at: TopicPartition, session: str, value: bytes) -> DeadLetterRecord:
        """The brokers refused it when a state already told of it; the message that caused it is not at hand."""
        cause = _Cause(at.topic, at.partition, _OFFSET.decode(value).offset, session.encode(), None)
        detail = f"{len(value)} bytes; the brokers took no more than {self._outbound.limit}"
        return self._outbound.dead_letters.make("revision_too_large", detail, cause)

    async def _is_unchanged(self, held: Partition) -> bool:
        """Whether nobody else had the partition since we wrote last (at least once has no fences)."""
        if not held.is_open:
            return False  # what it has read so far may be of a generation that is over
        assert isinstance(held.lane, AtLeastOnce)
        consumer, state = self._group.consumer, TopicPartition(self._settings.topics.state, held.at.partition)
        if await consumer.committed(held.at) != held.progress.position or held.progress.unfinished:
            return False
        return bool((await consumer.end_offsets([state]))[state] == held.lane.end)

    def _empty(self, held: Partition) -> None:
        """Forget its sessions."""
        held.is_open = False
        self.ready.clear()
        for session in self._ledger.drop(held.at, held.progress):
            self._worker.engine.drop(session)
            self._tap.dropped(session)
        held.lane, held.applied, held.done, held.last_applied, held.produced = None, {}, set(), -1, None

    def _check_ready(self) -> None:
        if self.held and all(held.is_open for held in self.held.values()):
            self.ready.set()
        else:
            self.ready.clear()


def _tombstones(session: str, saved: SavedSession) -> list[Entry]:
    return [Entry(session, name, None) for name in (*saved.segments, None)]


def _gravestone(session: str, saved: SavedSession) -> Entry:
    head = SessionState(
        seq=saved.seq,
        numbers=saved.numbers,
        offset=saved.offset,
        ended=True,
        begun=saved.begun,
        reset=saved.reset,
    )
    return Entry(session, None, head)


@dataclass(slots=True)
class _Cause:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = -1


class _Offset(msgspec.Struct):
    offset: int


_OFFSET = msgspec.json.Decoder(_Offset)
