"""Partition writers: write the output of steps in order, one group at a time, and mark its records as done.

At least once, a group is written in three stages, each acknowledged before the next: dead letters; states, with the
revisions that they led to in their outbox; then the revisions themselves. Offsets are committed after that. So after
any loss the next owner finds in the changelog either the state before a message, and labels it again, or the state
after it, and publishes again what may be missing, byte for byte: readers that drop repeats by (session, tagger, rev)
see one stream, although another owner may coalesce other updates. (The pattern is a transactional outbox.)
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import NULL_VALUE
from consumers.kafka.in_flight import InFlightRecord, OffsetTracker
from consumers.kafka.output.changelog import (
    KeyValue,
    StateLost,
    encode_entry,
    encode_partition_record,
)
from consumers.kafka.output.dead_letter import DeadLetterRecord, DeadLetterWriter
from consumers.kafka.output.encoded_output import (
    EncodedOutput,
    EncodedRevision,
    encode_with_outbox,
    find_gravestones,
)
from consumers.kafka.output.ownership import epoch_headers
from consumers.kafka.output.revision_headers import HeaderMaker
from stream.messages.types import Revision
from stream.redaction.messages import RedactedOutput
from stream.sessions.snapshot import Entry

log = structlog.get_logger()

Ack = asyncio.Future[Any]


class ChangelogConflict(Exception):
    """Another member has written to the partition's changelog: it is the new owner, or was the former one."""


CausedRevision = tuple[Revision, InFlightRecord | None]
"""A revision, and the record that caused it, if one did."""


@dataclass(slots=True)
class PartitionOutput:
    """What a step, or a record that cannot be used, adds to one partition's output."""

    entries: list[Entry] = field(default_factory=list)
    revisions: list[CausedRevision] = field(default_factory=list)
    redacted: list[tuple[RedactedOutput, InFlightRecord | None]] = field(default_factory=list)
    """Messages of the redacted stream, and the record that caused each, if one did."""
    letters: list[DeadLetterRecord] = field(default_factory=list)
    done: list[InFlightRecord] = field(default_factory=list)
    repairs: list[KeyValue] = field(default_factory=list)
    """Records of the changelog that are written again (exactly once only)."""


class WriteTimes(NamedTuple):
    """When a group was written, in seconds of a monotonic clock."""

    began: float
    states_written: float
    """When dead letters and states were acknowledged (at least once only)."""
    ended: float


NOTE_SECONDS = 10.0
"""Interval at which the changelog gets the committed offset."""

MIN_LIMIT = 256
"""Bytes of a revision that brokers must accept."""


@dataclass(slots=True)
class WriterContext:
    """What all writers of a service share."""

    settings: ServiceSettings
    dead_letters: DeadLetterWriter
    on_written: Callable[[Sequence[InFlightRecord], Sequence[InFlightRecord | None], WriteTimes], None]
    """Called with the records that are done, the record that caused each written revision, and the times."""
    limit: int = 0
    """Bytes of the largest revision that is written."""

    def __post_init__(self) -> None:
        self.limit = self.settings.max_revision_bytes

    def reduce_limit(self, revision: int, letter: int) -> bool:
        """Reduce a limit after brokers refused a group: that of the kind whose largest record is the largest.

        Args:
            revision: bytes of the group's largest revision.
            letter: bytes of its largest dead letter.

        Returns:
            False if brokers accept next to nothing.
        """
        limit = max(revision, letter) * 3 // 4
        if letter > revision:
            limit = self.dead_letters.limit = min(self.dead_letters.limit, limit)
        else:
            limit = self.limit = min(self.limit, limit)
        log.error("message_too_large_for_brokers", limit=limit, topics=self.settings.topics.all)
        return limit >= MIN_LIMIT


class PartitionWriter(ABC):
    """Writes the output of one partition.

    Args:
        partition: of the input.
        tracker: its offsets.
        context: shared by all writers.
        epoch: of this owner of the changelog partition (`ownership.py`).
    """

    def __init__(self, partition: TopicPartition, tracker: OffsetTracker, context: WriterContext, epoch: int) -> None:
        self.partition = partition
        self.tracker = tracker
        self._context = context
        self._settings = context.settings
        self._queue: list[PartitionOutput] = []
        self._wake = asyncio.Event()
        self._state_headers = epoch_headers(epoch)
        self._headers = HeaderMaker(self._settings.group, partition, self._settings.cloudevents)
        self.writing = False
        """Whether a group is being written."""
        self.groups_written = 0
        self.state_end = epoch
        """Offset after the last record of this writer in the changelog, as acknowledged."""
        self.largest = self.largest_letter = 0
        """Bytes of the largest revision and of the largest dead letter of the group that is being written."""

    def enqueue(self, output: PartitionOutput) -> None:
        """Add to what is written next."""
        self._queue.append(output)
        self._wake.set()

    def wake(self) -> None:
        """Start another group even if nothing is enqueued."""
        self._wake.set()

    async def run(self) -> None:
        """Write what is enqueued, without end.

        Raises:
            KafkaError: a write failed; nothing after it was written.
            TimeoutError: likewise.
            ChangelogConflict: another member has written to the changelog (at least once only).
        """
        while True:
            await self._wake.wait()
            await self.wait_for_group()
            self._wake.clear()
            group, self._queue = self._queue, []
            self.writing = True
            await self.write_group(group)
            self.writing = False
            self.groups_written += 1

    async def wait_for_group(self) -> None:  # noqa: B027  # most writers need not
        """Wait for more output that goes into the same group."""

    @abstractmethod
    async def write_group(self, group: list[PartitionOutput]) -> None:
        """Write a group; its records are done then."""

    # Parts of a group

    def _encode(self, group: Iterable[PartitionOutput]) -> list[EncodedOutput]:
        """Encode revisions; one that is larger than brokers accept becomes a dead letter."""
        encoded = []
        self.largest = self.largest_letter = 0
        for output in group:
            one = EncodedOutput(output.entries, list(output.letters))
            for revision, cause in output.revisions:
                value = msgspec.json.encode(revision)
                if len(value) <= self._context.limit:
                    self.largest = max(self.largest, len(value))
                    headers = self._headers.of_revision(revision, cause)
                    one.revisions.append(EncodedRevision(revision.session, value, headers))
                    one.causes.append(cause)
                    if cause is None:
                        one.unprompted.add(revision.session)
                    continue
                detail = f"{len(value)} bytes; at most {self._context.limit} are written"
                at = {"session": revision.session, "partition": self.partition.partition, "offset": revision.offset}
                log.error("revision_too_large", **at, bytes=len(value), limit=self._context.limit)
                if cause:
                    letter = self._context.dead_letters.make_letter("revision_too_large", detail, cause.record)
                    one.letters.append(letter)
            for output_message, cause in output.redacted:
                self._encode_redacted(output_message, cause, one)
            self.largest_letter = max(self.largest_letter, *(x.size for x in one.letters), 0)
            encoded.append(one)
        return encoded

    def _encode_redacted(self, output: RedactedOutput, cause: InFlightRecord | None, one: EncodedOutput) -> None:
        """Encode a message of the redacted stream; nothing is released by one that is too large."""
        value = msgspec.json.encode(output.message)
        if len(value) <= self._context.limit:
            self.largest = max(self.largest, len(value))
            headers = self._headers.of_redacted(output.message, cause)
            message = EncodedRevision(output.message.session, value, headers)
            one.redacted.append((output.session, message))
            if cause is None:
                one.unprompted.add(output.session)
            return
        at = {"partition": self.partition.partition, "offset": output.message.offset}
        log.error("redacted_update_too_large", **at, bytes=len(value), limit=self._context.limit)
        if cause:
            detail = f"{len(value)} bytes; at most {self._context.limit} are written"
            letter = self._context.dead_letters.make_letter("redacted_update_too_large", detail, cause.record)
            one.letters.append(letter)

    def _finish_offsets(self, group: Iterable[PartitionOutput]) -> list[InFlightRecord]:
        done = [taken for output in group for taken in output.done]
        for taken in done:
            self.tracker.finish(taken.record.offset)
        return done

    async def _send(
        self,
        producer: AIOKafkaProducer,
        letters: Iterable[DeadLetterRecord] = (),
        entries: Iterable[KeyValue] = (),
        revisions: Iterable[EncodedRevision] = (),
        redacted: Iterable[EncodedRevision] = (),
    ) -> list[Ack]:
        topics, acks = self._settings.topics, list[Ack]()
        for letter in letters:
            value = NULL_VALUE if letter.key is None and letter.value is None else letter.value
            acks.append(await producer.send(topics.dead_letter, value, key=letter.key, headers=letter.headers))
        for key, value in entries:
            at, headers = self.partition.partition, self._state_headers
            acks.append(await producer.send(topics.state, value, key=key, partition=at, headers=headers))
        for topic, messages in ((topics.output, revisions), (topics.redacted, redacted)):
            for session, encoded, own in messages:
                acks.append(await producer.send(topic, encoded, key=session.encode(), headers=own))
        return acks


class AtLeastOnce(PartitionWriter):
    """Writes states with an outbox, then revisions; offsets are committed after that.

    Args:
        partition: of the input.
        tracker: its offsets.
        context: shared by all writers.
        epoch: offset of this owner's claim in the changelog partition.
        state_end: end of that partition: everything before it is known.
        producer: shared by all partitions.
        verify: verifies that this member still owns its partitions, or raises.
        committed: returns the offset that was committed last.
    """

    def __init__(
        self,
        partition: TopicPartition,
        tracker: OffsetTracker,
        context: WriterContext,
        epoch: int,
        state_end: int,
        producer: AIOKafkaProducer,
        verify: Callable[[], Awaitable[None]],
        committed: Callable[[], int],
    ) -> None:
        super().__init__(partition, tracker, context, epoch)
        self._producer = producer
        self._verify = verify
        self._gravestones: list[KeyValue] = []
        """To be written with the next group, when the outbox of their sessions is published."""
        self.state_end = state_end
        self._read_committed = committed
        self._noted, self._noted_at = tracker.position, time.monotonic()
        """Committed offset that the changelog has, and when it was written."""
        self._conflict: ChangelogConflict | None = None

    async def write_group(self, group: list[PartitionOutput]) -> None:
        """Write a group in three stages. Ownership is verified before each: the process may have been stopped."""
        began = time.monotonic()
        if self._conflict:
            raise self._conflict
        await self._verify()
        encoded = self._encode(group)
        entries = [*self._gravestones, *encode_with_outbox(encoded), *self._note_position()]
        self._gravestones = [encode_entry(entry) for entry in find_gravestones(encoded)]
        await self.write_dead_letters([letter for one in encoded for letter in one.letters])
        await self._verify()
        await self.write_states(entries)
        states_written = time.monotonic()
        revisions = [x for one in encoded for x in one.revisions]
        await self._verify()
        await self.write_revisions(revisions, [message for one in encoded for _, message in one.redacted])
        wrote = WriteTimes(began, states_written, time.monotonic())
        self._context.on_written(self._finish_offsets(group), [x for one in encoded for x in one.causes], wrote)
        if self._gravestones:
            self.wake()  # the revisions of ended sessions are published, so they need no outbox any more

    async def write_position(self) -> None:
        """Write the committed offset to the changelog, if it is new there: this owner ends in order.

        Raises:
            KafkaError, TimeoutError, ChangelogConflict, StateLost: it was not written.
        """
        if not (self.writing or self._conflict):
            self._noted_at = -NOTE_SECONDS
            await self.write_states(self._note_position())

    def _note_position(self) -> list[KeyValue]:
        """The partition's own record with the committed offset, once in a while: a later owner knows from it what was
        done, even if somebody resets the offsets of the group.
        """
        position = self._read_committed()
        if position <= self._noted or time.monotonic() - self._noted_at < NOTE_SECONDS:
            return []
        self._noted, self._noted_at = position, time.monotonic()
        return [encode_partition_record(self._settings.group, self.partition.topic, position=position)]

    async def write_states(self, entries: Iterable[KeyValue]) -> None:
        """Write to the changelog, and note its end.

        Raises:
            ChangelogConflict: the offsets have a gap, so another member has written in between. Nothing that follows
                from these states may be written: they may be stale.
            StateLost: the offsets have fallen: the topic is another one, or has lost records.
        """
        for record in await self._wait_for_acks(await self._send(self._producer, entries=entries)):
            if record.offset < self.state_end:
                raise StateLost(record.topic, record.partition, record.offset, self.state_end)
            if record.offset != self.state_end:
                raise ChangelogConflict(f"own state at offset {record.offset}, expected at {self.state_end}")
            self.state_end += 1

    def report_state_end(self, end: int) -> None:
        """Report that the changelog ends elsewhere than expected while nothing is being written."""
        self._conflict = ChangelogConflict(f"the changelog ends at offset {end}, expected at {self.state_end}")
        self.wake()

    async def write_dead_letters(self, letters: Iterable[DeadLetterRecord]) -> None:
        """Write dead letters."""
        await self._wait_for_acks(await self._send(self._producer, letters=letters))

    async def write_revisions(
        self, revisions: Iterable[EncodedRevision], redacted: Iterable[EncodedRevision] = ()
    ) -> None:
        """Write revisions, and messages of the redacted stream."""
        await self._wait_for_acks(await self._send(self._producer, revisions=revisions, redacted=redacted))

    async def _wait_for_acks(self, acks: list[Ack]) -> list[Any]:
        if not acks:
            return []
        # An idempotent producer tries without end; without a deadline its failure would stay unknown.
        async with asyncio.timeout(self._settings.delivery_seconds):
            return await asyncio.gather(*acks)
