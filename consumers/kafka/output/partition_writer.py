"""The way out of one partition: what its steps ask for is written in order, a group at a time, and only then done.

At least once, a group is written in three strides, each acknowledged before the next: dead letters; states, with the
revisions that they led to in their outbox; then the revisions themselves. Offsets are committed behind that. So,
whatever is lost on the way, the next owner finds in the changelog either the state before a message, and labels it
again, or the state behind it, and publishes again what may be missing, byte for byte: readers that drop repeats by
(session, tagger, rev) see one stream, although another owner may coalesce other updates. (The pattern is a
transactional outbox.)
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

import msgspec
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from consumers.common.settings import ServiceSettings
from consumers.kafka.in_flight import InFlightRecord, OffsetTracker
from consumers.kafka.output.changelog import Pair, encode_entry
from consumers.kafka.output.dead_letter import DeadLetterRecord, DeadLetterWriter
from stream.messages.types import Revision
from stream.sessions.snapshot import Entry, SessionState

log = structlog.get_logger()

Ack = asyncio.Future[Any]
Answered = tuple[Revision, InFlightRecord | None]
"""A revision, and the record that caused it if one did."""


@dataclass(slots=True)
class PartitionOutput:
    """What a step, or a bad record, asks of one partition."""

    entries: list[Entry] = field(default_factory=list)
    revisions: list[Answered] = field(default_factory=list)
    letters: list[DeadLetterRecord] = field(default_factory=list)
    done: list[InFlightRecord] = field(default_factory=list)


@dataclass(slots=True)
class EncodedOutput:
    """An output as it is written."""

    entries: list[Entry]
    letters: list[DeadLetterRecord]
    revisions: list[tuple[str, bytes]] = field(default_factory=list)
    """Session, and the revision in JSON."""
    causes: list[InFlightRecord | None] = field(default_factory=list)
    """Of each revision, the record that caused it if one did."""
    unasked: set[str] = field(default_factory=set)
    """Sessions of revisions that no record caused, so that none will bring them again."""


class WriteTimes(NamedTuple):
    """When a group was written, by the clock that rises."""

    began: float
    kept: float
    """Dead letters and states are acknowledged (at least once only)."""
    ended: float


LEAST_LIMIT = 256


@dataclass(slots=True)
class WriterContext:
    """What all lanes of a service share."""

    settings: ServiceSettings
    dead_letters: DeadLetterWriter
    delivered: Callable[[Sequence[InFlightRecord], Sequence[InFlightRecord | None], WriteTimes], None]
    """Told what is done, of each revision that was written for it the record that caused it, and when that was."""
    limit: int = 0
    """Bytes of a revision that the brokers take."""

    def __post_init__(self) -> None:
        self.limit = self.settings.max_revision_bytes

    def shrink(self, largest: int) -> bool:
        """The brokers refused something of at most so many bytes; False if they take next to nothing."""
        self.limit = min(self.limit, largest * 3 // 4)
        log.error(
            "the brokers refused a message as too large: raise max.message.bytes of our topics",
            limit=self.limit,
            topics=self.settings.topics.all,
        )
        return self.limit >= LEAST_LIMIT


class PartitionWriter(ABC):
    """One partition's way out.

    Args:
        partition: of the input.
        progress: its books.
        outbound: see there.
    """

    def __init__(self, partition: TopicPartition, progress: OffsetTracker, outbound: WriterContext) -> None:
        self.partition = partition
        self.progress = progress
        self._out = outbound
        self._settings = outbound.settings
        self._queue: list[PartitionOutput] = []
        self._wake = asyncio.Event()
        self.groups = 0
        """Groups written so far."""
        self.largest = 0
        """Bytes of the largest revision of the group that is being written."""

    def put(self, output: PartitionOutput) -> None:
        """Hand over what is to be written next."""
        self._queue.append(output)
        self._wake.set()

    def touch(self) -> None:
        """Records are done that left nothing to write."""
        self._wake.set()

    async def run(self) -> None:
        """Write what is put, for ever.

        Raises:
            KafkaError: a write failed; nothing behind it was written.
            TimeoutError: likewise.
        """
        while True:
            await self._wake.wait()
            await self.gather()
            self._wake.clear()
            group, self._queue = self._queue, []
            await self.deliver(group)
            self.groups += 1

    async def gather(self) -> None:  # noqa: B027  # most need not
        """Wait for more that goes into the same group."""

    @abstractmethod
    async def deliver(self, group: list[PartitionOutput]) -> None:
        """Write a group; what it holds is done then."""

    # Parts of a group

    def _encode(self, group: Iterable[PartitionOutput]) -> list["EncodedOutput"]:
        """Revisions as they are written; one that is larger than the brokers take becomes a dead letter."""
        outgoing = []
        self.largest = 0
        for output in group:
            one = EncodedOutput(output.entries, list(output.letters))
            for revision, cause in output.revisions:
                value = msgspec.json.encode(revision)
                if len(value) <= self._out.limit:
                    self.largest = max(self.largest, len(value))
                    one.revisions.append((revision.session, value))
                    one.causes.append(cause)
                    if cause is None:
                        one.unasked.add(revision.session)
                    continue
                detail = f"{len(value)} bytes; at most {self._out.limit} are written"
                at = {"session": revision.session, "partition": self.partition.partition, "offset": revision.offset}
                log.error("revision too large", **at, bytes=len(value))
                if cause:
                    one.letters.append(self._out.dead_letters.make("revision_too_large", detail, cause.record))
            outgoing.append(one)
        return outgoing

    def _finish(self, group: Iterable[PartitionOutput]) -> list[InFlightRecord]:
        done = [taken for output in group for taken in output.done]
        for taken in done:
            self.progress.finish(taken.record.offset)
        return done

    async def _write(
        self,
        producer: AIOKafkaProducer,
        letters: Iterable[DeadLetterRecord] = (),
        entries: Iterable[Pair] = (),
        revisions: Iterable[tuple[str, bytes]] = (),
    ) -> list[Ack]:
        topics, acks = self._settings.topics, list[Ack]()
        for letter in letters:
            acks.append(await producer.send(topics.dead_letter, letter.value, key=letter.key, headers=letter.headers))
        for key, value in entries:
            acks.append(await producer.send(topics.state, value, key=key, partition=self.partition.partition))
        for session, value in revisions:
            acks.append(await producer.send(topics.output, value, key=session.encode()))
        return acks


class AtLeastOnce(PartitionWriter):
    """States with an outbox, then revisions, then offsets.

    Args:
        partition: of the input.
        progress: its books.
        outbound: see `WriterContext`.
        producer: shared by all partitions.
        prove: makes sure that the group still counts us in, or raises.
    """

    def __init__(
        self,
        partition: TopicPartition,
        progress: OffsetTracker,
        outbound: WriterContext,
        producer: AIOKafkaProducer,
        prove: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(partition, progress, outbound)
        self._producer = producer
        self._prove = prove
        self._clean: list[Pair] = []
        self.end = 0
        """Offset behind our own last record in the changelog, as acknowledged."""

    async def deliver(self, group: list[PartitionOutput]) -> None:
        """Write a group in three strides; before each the group must count us in, for we may have stood still."""
        began = time.monotonic()
        await self._prove()
        outgoing = self._encode(group)
        entries = [*self._clean, *with_outbox(outgoing)]
        self._clean = [encode_entry(entry) for entry in gravestones(outgoing)]
        await self.bury([letter for one in outgoing for letter in one.letters])
        await self._prove()
        await self.keep(entries)
        kept = time.monotonic()
        revisions = [x for one in outgoing for x in one.revisions]
        await self._prove()
        await self.publish(revisions)
        wrote = WriteTimes(began, kept, time.monotonic())
        self._out.delivered(self._finish(group), [x for one in outgoing for x in one.causes], wrote)
        if self._clean:
            self.touch()  # its revisions are out: what it left needs no outbox any more

    async def keep(self, entries: Iterable[Pair]) -> None:
        """Write to the changelog, and know where its end is then."""
        for record in await self._acknowledge(await self._write(self._producer, entries=entries)):
            self.end = max(self.end, record.offset + 1)

    async def bury(self, letters: Iterable[DeadLetterRecord]) -> None:
        """Write dead letters."""
        await self._acknowledge(await self._write(self._producer, letters=letters))

    async def publish(self, revisions: Iterable[tuple[str, bytes]]) -> None:
        """Write revisions: session, and the revision as it is written."""
        await self._acknowledge(await self._write(self._producer, revisions=revisions))

    async def _acknowledge(self, acks: list[Ack]) -> list[Any]:
        if not acks:
            return []
        # A producer that is idempotent tries for ever; without a deadline nobody would learn of it.
        async with asyncio.timeout(self._settings.delivery_seconds):
            return await asyncio.gather(*acks)


def gravestones(group: Iterable[EncodedOutput]) -> list[Entry]:
    """What ended sessions leave, unless they have spoken again in the group or are forgotten by now."""
    last = {entry.session: entry for one in group for entry in one.entries if entry.segment is None or entry.value}
    return [entry for entry in last.values() if isinstance(entry.value, SessionState) and entry.value.ended]


def with_outbox(group: Iterable[EncodedOutput]) -> list[Pair]:
    """Records of a group's entries, each with all revisions of its session, by any tagger, that the group has by then.

    A segment's entry gives way to a newer one that follows it directly in its session. Others may not be left out: cut
    apart anywhere, a session must be as it was before or after some message.
    """
    outbox: dict[str, list[bytes]] = {}
    records: dict[int, Pair] = {}
    newest: dict[str, tuple[int, Entry]] = {}
    unasked: set[str] = set()
    numbers = count()
    for one in group:
        unasked |= one.unasked
        for session, value in one.revisions:
            outbox.setdefault(session, []).append(value)
        for entry in one.entries:
            before = newest.get(entry.session)
            if before and entry.segment is not None and before[1].segment == entry.segment:
                del records[before[0]]
            number = next(numbers)
            records[number] = encode_entry(entry, outbox.get(entry.session, ()), entry.session in unasked)
            newest[entry.session] = number, entry
    return list(records.values())


def newest(group: Iterable[EncodedOutput]) -> list[Pair]:
    """The newest record of each key, in order: enough where a group is written whole or not at all."""
    records: dict[tuple[str, str | None], Entry] = {}
    for one in group:
        for entry in one.entries:
            records.pop((entry.session, entry.segment), None)
            records[entry.session, entry.segment] = entry
    return [encode_entry(entry) for entry in records.values()]
