"""The consume loop: takes records, reads them into messages and submits these to the engine.

Records that cannot be used become dead letters; records that a former owner finished are marked as done.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from consumers.common.redaction import hide_detail
from consumers.common.settings import ServiceSettings
from consumers.formats.decode import BadInput
from consumers.formats.readers import MessageReader
from consumers.kafka.client.diagnosis import AUTHORIZATION_ERRORS, explain_authorization
from consumers.kafka.in_flight import ConsumedRecord, InFlightRecord, InFlightRecords, OffsetTracker
from consumers.kafka.output.dead_letter import DeadLetterRecord, DeadLetterWriter
from consumers.kafka.output.partition_writer import PartitionOutput
from consumers.kafka.service.event_log import log_clock_fault, log_dead_letter, log_message
from consumers.kafka.service.lag import check_clock
from consumers.kafka.service.membership import GroupMember
from consumers.kafka.service.observer import ServiceObserver
from consumers.kafka.service.partitions import Partition, Partitions
from stream.engine.worker import Worker
from stream.messages.caller_id import CallerId
from stream.messages.errors import InputError
from stream.messages.types import Message

log = structlog.get_logger()

PAUSE_SECONDS = 0.02
"""The longest pause between two polls while a step runs."""


class ConsumeLoop:
    """Takes records of the open partitions until it is stopped.

    Args:
        settings: of the service.
        worker: runs the engine.
        reader: makes messages of records.
        in_flight: the records in flight of the service.
        partitions: the assigned partitions.
        group: this member of the group.
        dead_letters: makes dead letters.
        observer: told of each message that was submitted.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        worker: Worker,
        reader: MessageReader,
        in_flight: InFlightRecords,
        partitions: Partitions,
        group: GroupMember,
        dead_letters: DeadLetterWriter,
        observer: ServiceObserver,
    ) -> None:
        self._log_text = settings.log_text
        self._exactly_once = settings.guarantee == "exactly_once"
        self._worker = worker
        self._reader = reader
        self._in_flight = in_flight
        self._partitions = partitions
        self._group = group
        self._dead_letters = dead_letters
        self._observer = observer
        self.lock = asyncio.Lock()
        """Held while taken records are submitted, and while a rebalance changes the partitions."""
        self.stopping = asyncio.Event()
        """Set when no more records are to be taken."""
        self.clock_faults: Counter[str] = Counter()
        """Records whose timestamp says nothing about their latency, by reason."""

    async def run(self) -> None:
        """Take records until `stopping` is set.

        Raises:
            NotAuthorised: we may not read them, or not join the group.
        """
        consumer = self._group.consumer
        while not self.stopping.is_set():
            wait_ms = 0 if await self._wait_for_capacity() else 200
            try:
                batches = await consumer.getmany(timeout_ms=wait_ms, max_records=max(1, self._in_flight.capacity))
            except NoOffsetForPartitionError:
                await asyncio.sleep(0.05)  # its restore has not set the position yet
                continue
            except AUTHORIZATION_ERRORS as error:
                raise explain_authorization(error, self._group.name) from error
            except OffsetOutOfRangeError as error:
                await self._reopen(error.args[0])
                continue
            trackers = {at: opened.tracker for at in batches if (opened := self._partitions.find_open(at))}
            async with self.lock:
                try:
                    await self._handle_batches(batches, trackers)
                    self._pass_gaps()
                finally:
                    self._worker.wake()  # once, so that the next step finds all of them
            if rest := self._worker.pause_before_submit(PAUSE_SECONDS):
                await asyncio.sleep(rest)

    async def _handle_batches(
        self,
        batches: Mapping[TopicPartition, Sequence[ConsumedRecord]],
        trackers: Mapping[TopicPartition, OffsetTracker],
    ) -> None:
        for at, records in batches.items():
            for record in records:
                if self._worker.full:
                    await self._worker.wait_for_capacity()
                if self.stopping.is_set():
                    return  # records that were not begun are not committed, and will be read again
                # Records that were fetched before the partition was closed and opened again will be read again.
                if (partition := self._partitions.find_open(at)) and partition.tracker is trackers.get(at):
                    self._handle_record(partition, record)

    def _pass_gaps(self) -> None:
        """Move on over offsets without records, such as transaction markers: commits and lag count them."""
        if self.stopping.is_set() or not (self._exactly_once or self._group.assignment_known.is_set()):
            return  # records that were returned may not have begun
        consumer = self._group.consumer
        for at in consumer.assignment():
            partition, position = self._partitions.find_open(at), consumer.position_now(at)
            if partition is None or position is None:
                continue
            if partition.tracker.pass_gap(position) and self._exactly_once and partition.writer:
                partition.writer.wake()  # commits with a transaction
            if (end := consumer.readable_end(at)) is not None and partition.tracker.next >= end:
                polled = consumer.last_poll_timestamp(at)
                partition.read_to_end_at = None if polled is None else polled / 1000

    async def _wait_for_capacity(self) -> bool:
        """Pause all partitions while there is no capacity. Polling goes on, or the group would expel this member.

        Returns:
            Whether there was none.
        """
        consumer = self._group.consumer
        if self._in_flight.capacity:
            consumer.resume(*(at for at in consumer.paused() if self._partitions.find_open(at)))
            return False
        consumer.pause(*consumer.assignment())
        self._in_flight.capacity_available.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._in_flight.capacity_available.wait()
        return True

    async def _reopen(self, lost: Mapping[TopicPartition, int]) -> None:
        """Reopen partitions whose position retention has deleted; opening them decides how to go on."""
        log.warning("position_deleted", positions={at.partition: n for at, n in lost.items()})
        async with self.lock:
            assigned = self._group.consumer.assignment()
            for at in lost:
                if self._partitions.find_open(at):
                    await self._partitions.close(at)
            await self._partitions.assign(assigned)

    def _handle_record(self, partition: Partition, record: ConsumedRecord) -> None:
        if record.offset < partition.tracker.next or not (self._exactly_once or self._group.assignment_known.is_set()):
            return  # fetched before its partition was restored, or during a rebalance: it will be read again
        taken, now = self._in_flight.begin(partition.tracker, record), time.time()
        if fault := check_clock(record.timestamp, now, partition.read_to_end_at):
            partition.last_timestamp = None
            self.clock_faults[fault] += 1
            log_clock_fault(fault, record, now, self.clock_faults[fault])
        else:
            partition.last_timestamp = record.timestamp / 1000
            taken.broker_delay = max(0.0, now - partition.last_timestamp)
        if record.offset in partition.done_offsets:
            partition.done_offsets.discard(record.offset)
            return self._mark_done(partition, taken)
        try:
            messages = self._reader.read(record.value, record.key, record.offset)
            for message in messages:
                if self._in_flight.partition_of(message.session) not in (None, partition.topic_partition):
                    unkeyed = ", and its key is null" if record.key is None else ""
                    detail = f"its session lives in another partition{unkeyed}; key updates by session"
                    raise BadInput("wrong_partition", detail)
        except (BadInput, InputError) as error:
            return self._dead_letter(partition, error.reason, error.detail, taken)
        if not messages or all(partition.is_applied(x.session, record.offset) for x in messages):
            return self._mark_done(partition, taken)
        self._submit(partition, messages, taken)

    def _submit(self, partition: Partition, messages: Sequence[Message], taken: InFlightRecord) -> None:
        """Submit a record's messages. The record is done when all are answered; a refused one does not stop others."""
        taken.unanswered = len(messages)
        caller = CallerId(f"{taken.record.topic}/{taken.record.partition}")
        refused: InputError | None = None
        for message in messages:
            try:
                self._worker.enqueue(message, taken.record.offset, caller)
            except InputError as error:
                refused = refused or error
                last = taken.count_answer()
            else:
                self._in_flight.add_pending(message.session, taken)
                last = False
                self._observer.on_message(message)
                if self._log_text:
                    log_message(message, taken.record)
        if refused:
            letter = self.make_letter(refused.reason, refused.detail, taken)
            self._write(partition, PartitionOutput(letters=[letter], done=[taken] if last else []))

    def _mark_done(self, partition: Partition, taken: InFlightRecord) -> None:
        """Mark a record as done that a former owner has finished, or that asks for nothing."""
        self._write(partition, PartitionOutput(done=[taken]))

    def _dead_letter(self, partition: Partition, reason: str, detail: str, taken: InFlightRecord) -> None:
        self._write(partition, PartitionOutput(letters=[self.make_letter(reason, detail, taken)], done=[taken]))

    @staticmethod
    def _write(partition: Partition, output: PartitionOutput) -> None:
        assert partition.writer is not None, "an open partition has a writer"
        partition.writer.enqueue(output)

    def make_letter(self, reason: str, detail: str, taken: InFlightRecord) -> DeadLetterRecord:
        """Make and log the dead letter of a record."""
        if self._worker.engine.redactor is not None:
            detail = hide_detail(reason, detail)
        letter = self._dead_letters.make_letter(reason, detail, taken.record)
        log_dead_letter(reason, taken.record, self._dead_letters.counts[reason])
        return letter
