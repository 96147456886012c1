"""A broker in memory, for what an embedded one cannot show: acknowledgements that wait or fail, rebalances,
transactions and fences. Clients have the few methods that the service uses; several services may share it.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    OffsetOutOfRangeError,
    ProducerFenced,
)

from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import serialize
from consumers.kafka.service.service_clients import ServiceClients
from consumers.kafka.topics.watch import TopicWatch
from tests.waiting import PATIENCE

IN, OUT, DEAD, STATE = "hearken.updates", "hearken.revisions", "hearken.dead-letters", "hearken.state"


class IdleWatch(TopicWatch):
    """Topics in memory have no settings."""

    async def run(self, on_look: Callable[[], Awaitable[None]]) -> None:
        await asyncio.Event().wait()


@dataclass
class FakeRecord:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    timestamp: int = -1


class FakeKafka:
    def __init__(self, partitions: int = 1, alone: bool = True) -> None:
        self.partitions = partitions
        self.alone = alone
        """Whether a member gets all partitions when it joins."""
        self.logs: dict[TopicPartition, list[FakeRecord]] = defaultdict(list)
        self.first: dict[TopicPartition, int] = defaultdict(int)
        """Where each log begins: records before it are gone."""
        self.kept: dict[TopicPartition, set[int]] = {}
        """Of logs that were compacted: the offsets that are left, of those there were."""
        self.compacted_to: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.unacknowledged: list[_Ack] = []
        self.hold = False
        """Whether acknowledgements wait until `acknowledge`."""
        self.held_topics: set[str] = {IN, OUT, DEAD, STATE}
        """Topics that `hold` is about."""
        self.now = -1
        """Milliseconds since 1970, for what is produced next."""
        self.prepared = 0
        self.consumer: FakeConsumer | None = None
        """The member that came last."""
        self.members: list[FakeConsumer] = []
        self.producers: list[FakeProducer] = []
        self.before_claim: Callable[[], Awaitable[None]] | None = None
        """Awaited before the next record of a partition itself is written."""
        self.epochs: dict[str, int] = defaultdict(int)
        self.transactions = 0
        """Transactions committed."""
        self.fail_commit: list[tuple[BaseException, bool]] = []
        """For the next commits of transactions: what they raise, and whether they happened all the same."""
        self.life = 0
        """Clients of earlier lives are dead: nothing that they do reaches us."""
        self.moved = asyncio.Condition()

    def clients(self) -> ServiceClients:
        return ServiceClients(
            producer=lambda settings, name: FakeProducer(self, name),
            consumer=lambda settings: FakeConsumer(self, settings),
            reader=lambda settings: FakeReader(self),
            prepare=self.prepare,
            watch=IdleWatch,
        )

    async def prepare(self, settings: ServiceSettings) -> None:
        self.prepared += 1

    async def append(
        self, topic: str, value: bytes | None, key: bytes | None = None, partition: int = 0, headers: Any = ()
    ) -> FakeRecord:
        record = self.put(topic, value, key, partition, headers)
        await self.wake()
        return record

    def put(
        self, topic: str, value: bytes | None, key: bytes | None = None, partition: int = 0, headers: Any = ()
    ) -> FakeRecord:
        log = self.logs[TopicPartition(topic, partition)]
        log.append(FakeRecord(topic, partition, len(log), key, value, list(headers), self.now))
        return log[-1]

    def kill(self) -> None:
        """As SIGKILL to all clients there are: they write nothing any more, not even a last commit."""
        self.life += 1

    def check_alive(self, life: int) -> None:
        if life != self.life:
            raise KafkaConnectionError("dead")

    async def acknowledge(self) -> None:
        self.release()

    def release(self) -> None:
        """What waits for an acknowledgement has it, and what comes too."""
        self.hold = False
        for future in self.unacknowledged:
            if not future.done():
                future.set_result(future.record)
        self.unacknowledged.clear()

    def compact(self, topic: str) -> None:
        """Keep the last record of each key, as brokers do with what is older than the topic's compaction lag."""
        for tp, log in self.logs.items():
            if tp.topic == topic:
                last = {record.key: record.offset for record in log}
                self.compacted_to[tp] = len(log)
                self.kept[tp] = {record.offset for record in log if last[record.key] == record.offset}

    def records(self, topic: str) -> list[FakeRecord]:
        return [record for tp, log in self.logs.items() if tp.topic == topic for record in log]

    async def until(self, condition: Any) -> None:
        """Wait until the condition holds; it is looked at whenever something moves."""
        async with asyncio.timeout(PATIENCE), self.moved:
            await self.moved.wait_for(condition)

    async def wake(self) -> None:
        async with self.moved:
            self.moved.notify_all()


class _Ack(asyncio.Future):  # type: ignore[type-arg]
    record: FakeRecord


class FakeProducer:
    def __init__(self, kafka: FakeKafka, name: str | None = None) -> None:
        self.kafka = kafka
        self.life = kafka.life
        self.name = name
        kafka.producers.append(self)
        self.stalled: list[tuple[_Ack, Any]] | None = None
        """What the network holds of it; None: it holds nothing."""
        self.epoch = 0
        self.open: list[Any] | None = None
        self.offsets: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        self.kafka.check_alive(self.life)
        if self.name:
            self.kafka.epochs[self.name] += 1
            self.epoch = self.kafka.epochs[self.name]

    async def stop(self) -> None:
        pass

    @property
    def client(self) -> "FakeProducer":
        return self

    async def close(self) -> None:
        """As its client's: what a stop that fails leaves open."""

    def _check_fence(self) -> None:
        self.kafka.check_alive(self.life)
        if self.name and self.kafka.epochs[self.name] != self.epoch:
            raise ProducerFenced

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self.kafka.partitions))

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Any = (),
    ) -> asyncio.Future[Any]:
        self._check_fence()
        assert (value, key) != (None, None), "as aiokafka"
        value = serialize(value)
        future = _Ack(loop=asyncio.get_running_loop())
        if self.name:
            assert self.open is not None, "a transactional producer sends in transactions"
            put = partial(self.kafka.put, topic, value, key, partition or 0, headers)
            end = len(self.kafka.logs[TopicPartition(topic, partition or 0)])
            before = sum(x.args[0] == topic and x.args[3] == partition for x in self.open)
            self.open.append(put)
            future.set_result(FakeRecord(topic, partition or 0, end + before, key, value))
            return future
        if self.stalled is not None:
            self.stalled.append((future, partial(self.kafka.append, topic, value, key, partition or 0, headers)))
            await self.kafka.wake()
            return future
        if self.kafka.before_claim and (topic, key) == (STATE, b"[]"):
            meanwhile, self.kafka.before_claim = self.kafka.before_claim, None
            await meanwhile()
        future.record = await self.kafka.append(topic, value, key, partition or 0, headers)
        if self.kafka.hold and topic in self.kafka.held_topics:
            self.kafka.unacknowledged.append(future)
            await self.kafka.wake()
        else:
            future.set_result(future.record)
        return future

    async def arrive(self) -> None:
        """What the network has held of it arrives, and is acknowledged."""
        held, self.stalled = self.stalled or [], None
        for future, append in held:
            future.record = await append()
            if not future.done():
                future.set_result(future.record)

    async def begin_transaction(self) -> None:
        assert self.open is None
        self.open, self.offsets = [], {}

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, int], group: str) -> None:
        self._check_fence()
        self.offsets = offsets

    async def commit_transaction(self) -> None:
        self._check_fence()
        error, happened = self.kafka.fail_commit.pop(0) if self.kafka.fail_commit else (None, True)
        if happened:
            assert self.open is not None
            for put in self.open:
                put()
            self.kafka.committed.update(self.offsets)
            self.kafka.transactions += 1
            await self.kafka.wake()
        if error:
            raise error
        self.open = None


class FakeReader:
    """Reads without a group."""

    def __init__(self, kafka: FakeKafka) -> None:
        self.kafka = kafka
        self.life = kafka.life
        self.positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self.stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.positions = dict.fromkeys(partitions, 0)

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        for tp in partitions:
            self.positions[tp] = self.kafka.first[tp]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self.positions:
            raise IllegalStateError("not assigned")
        self.positions[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        return self.positions[partition]

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.kafka.first[tp] for tp in partitions}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: max(self.kafka.first[tp], len(self.kafka.logs[tp])) for tp in partitions}

    def _fetch(self, limit: int, wanted: set[TopicPartition]) -> dict[TopicPartition, list[FakeRecord]]:
        found = {}
        for tp, position in self.positions.items():
            if tp in self._paused or (wanted and tp not in wanted):
                continue
            if position < self.kafka.first[tp]:
                raise OffsetOutOfRangeError({tp: position})
            records = self.kafka.logs[tp][position : position + limit]
            if records:
                self.positions[tp] = records[-1].offset + 1
                if tp in self.kafka.kept:
                    kept, end = self.kafka.kept[tp], self.kafka.compacted_to[tp]
                    records = [record for record in records if record.offset >= end or record.offset in kept]
                found[tp] = records
                limit -= len(records)
            if limit <= 0:
                break
        return found

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int = 500
    ) -> dict[TopicPartition, list[FakeRecord]]:
        if not (found := self._fetch(max_records, set(partitions))) and timeout_ms:
            try:
                async with asyncio.timeout(timeout_ms / 1000), self.kafka.moved:
                    await self.kafka.moved.wait()
            except TimeoutError:
                return {}
            found = self._fetch(max_records, set(partitions))
        return found


class FakeConsumer(FakeReader):
    def __init__(self, kafka: FakeKafka, settings: ServiceSettings) -> None:
        super().__init__(kafka)
        self.pauses = 0
        self.expelled = False
        """Whether the group has gone on without it: its commits are refused."""
        kafka.consumer = self
        kafka.members.append(self)

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.topic, self.listener = topics[0], listener
        if not self.kafka.alone:
            self._joining = asyncio.create_task(self.kafka.wake())
            return
        self._joining = asyncio.create_task(self.rebalance(range(self.kafka.partitions)))

    async def rebalance(self, partitions: Any) -> None:
        """As aiokafka: all partitions are revoked, then the new ones assigned at what is committed."""
        await self.listener.on_partitions_revoked(set(self.positions))
        assigned = {TopicPartition(self.topic, number) for number in partitions}
        self.hold(assigned)
        await self.listener.on_partitions_assigned(assigned)
        await self.kafka.wake()

    def hold(self, partitions: set[TopicPartition]) -> None:
        self.positions = {tp: self.kafka.committed.get(tp, 0) for tp in partitions}
        self._paused.clear()
        self.expelled = False

    def readable_end(self, partition: TopicPartition) -> int | None:
        return len(self.kafka.logs[partition])

    def last_poll_timestamp(self, partition: TopicPartition) -> int:
        return int(time.time() * 1000)

    def position_now(self, partition: TopicPartition) -> int | None:
        return self.positions.get(partition)

    def assignment(self) -> set[TopicPartition]:
        return set(self.positions)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def pause(self, *partitions: TopicPartition) -> None:
        self.pauses += 1
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused.difference_update(partitions)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.kafka.check_alive(self.life)
        if self.expelled or not offsets.keys() <= self.positions.keys():
            raise IllegalStateError("not assigned")
        async with self.kafka.moved:
            self.kafka.committed.update(offsets)
            self.kafka.moved.notify_all()

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.kafka.committed.get(partition)
