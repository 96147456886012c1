"""Replay of dead letters to the topics that they came from.

The progress is the committed offsets of a consumer group of its own; the commits' metadata holds the replayed offsets
beyond them. Records and progress are written in one transaction, so a second run sends nothing twice and an interrupted
run leaves nothing half sent. (The embedded broker has no transactions: there the next run may repeat a crashed one.)
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from consumers.common.errors import OperationFailed
from consumers.common.settings import suggest
from consumers.kafka.client.clients import admin_client
from consumers.kafka.dead_letters.clients import (
    FoundLetter,
    OriginalRecords,
    ReplaySender,
    broker_deadline,
    read_progress,
    start_consumer,
)
from consumers.kafka.dead_letters.records import DeadLetter, DoneOffsets, read_letter

MAX_REPLAYS = 3
BATCH = 100
"""Limit of letters in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """Selection of dead letters to replay.

    Args:
        broker: addresses.
        topic: of dead letters.
        group: the consumer group that holds the progress.
        reasons: replay only letters with one of these reasons; all if empty.
        limit: number of letters at most.
        max_replays: leave records that have been replayed this often.
        dry_run: send nothing.
        patience: seconds to wait for a broker that does not answer.
    """

    broker: str
    topic: str
    group: str
    reasons: frozenset[str] = frozenset()
    limit: int | None = None
    max_replays: int = MAX_REPLAYS
    dry_run: bool = False
    patience: float = 60.0


class LeftLetter(NamedTuple):
    """A requested letter that could not be sent."""

    why: str
    location: TopicPartition
    offset: int


@dataclass(slots=True)
class ReplayOutcome:
    """Result of a replay."""

    chosen: int = 0
    """Letters selected for sending."""
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Letters sent (in a dry run: that would be sent) by reason and topic."""
    left: list[LeftLetter] = field(default_factory=list)
    passed: int = 0
    """Letters of other reasons, or beyond the limit."""


async def read_letters(broker: str, topic: str, patience: float) -> AsyncIterator[DeadLetter | None]:
    """Yield all committed letters of a dead-letter topic; None for a record that the service did not write.

    Raises:
        OperationFailed: no broker answered, or there is no such topic.
    """
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(admin_client(broker, patience))
        consumer = await start_consumer(stack, broker, patience)
        for location in await _find_partitions(admin, topic, broker):
            async for found in _read_partition(consumer, location, 0):
                for one in found:
                    yield one.letter


async def replay_letters(wanted: ReplayRequest) -> ReplayOutcome:
    """Replay dead letters.

    Raises:
        OperationFailed: no broker answered, there is no such topic, or a transaction failed; letters sent before are
            committed and not sent again.
    """
    broker, patience = wanted.broker, wanted.patience
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(admin_client(broker, patience))
        locations = await _find_partitions(admin, wanted.topic, broker)
        sender = (
            None if wanted.dry_run else await ReplaySender.open(stack, admin, broker, wanted.group, patience)
        )  # before the offsets are read
        consumer = await start_consumer(stack, broker, patience)
        originals = await start_consumer(stack, broker, patience)
        run = _ReplayRun(wanted, sender, OriginalRecords(admin, originals))
        for location, done in (await read_progress(admin, wanted.group, locations)).items():
            await run.replay_partition(consumer, location, done)
        return run.outcome


class _ReplayRun:
    """One replay; a dry run if there is no sender."""

    def __init__(self, wanted: ReplayRequest, sender: ReplaySender | None, originals: OriginalRecords) -> None:
        self._wanted = wanted
        self._sender = sender
        self._originals = originals
        self.outcome = ReplayOutcome()

    async def replay_partition(self, consumer: AIOKafkaConsumer, location: TopicPartition, done: DoneOffsets) -> None:
        """Replay the present letters of a partition; later ones wait for the next run."""
        async for found in _read_partition(consumer, location, done.position):
            chosen = [one for one in found if one.offset not in done and await self._should_send(one)]
            if chosen:
                await self._send(location, chosen, done)

    async def _should_send(self, one: FoundLetter) -> bool:
        """Whether to send a letter; a requested letter that cannot be sent is reported as left."""
        wanted, letter, outcome = self._wanted, one.letter, self.outcome
        if wanted.reasons and (letter is None or letter.reason not in wanted.reasons):
            outcome.passed += 1
            return False
        why = self._refusal(letter) or await self._restore_original(one)
        if why is None and wanted.limit is not None and outcome.chosen >= wanted.limit:
            outcome.passed += 1
            return False
        if why is not None:
            outcome.left.append(LeftLetter(why, one.location, one.offset))
        outcome.chosen += why is None
        return why is None

    def _refusal(self, letter: DeadLetter | None) -> str | None:
        if letter is None:
            return "is no dead letter of the service"
        if letter.origin.topic == self._wanted.topic:
            return "comes from the dead-letter topic itself"
        if letter.replays >= self._wanted.max_replays:
            return f"was replayed {letter.replays} times already (--max-replays {self._wanted.max_replays})"
        return None

    async def _restore_original(self, one: FoundLetter) -> str | None:
        """Check that the letter's origin exists, and complete a cut letter from its original record."""
        assert one.letter is not None
        if not await self._originals.partition_exists(one.letter.origin):
            return "its topic or partition does not exist any more"
        if one.letter.is_cut:
            whole = await self._originals.fetch(one.letter)
            if whole is None:
                return "was cut, and its original record is gone"
            one.letter = whole
            return self._refusal(whole)
        return None

    async def _send(self, location: TopicPartition, chosen: list[FoundLetter], done: DoneOffsets) -> None:
        """Send letters of a partition together, or else one by one; those too large for the broker are left."""
        if self._sender is None or await self._sender.send(location, chosen, done):
            self.outcome.sent.update((x.letter.reason, x.letter.origin.topic) for x in chosen if x.letter)
        elif len(chosen) > 1:
            for one in chosen:
                await self._send(location, [one], done)
        else:
            self.outcome.chosen -= 1
            self.outcome.left.append(LeftLetter("is larger than the broker accepts", location, chosen[0].offset))


async def _read_partition(
    consumer: AIOKafkaConsumer, location: TopicPartition, position: int
) -> AsyncIterator[list[FoundLetter]]:
    """Yield the letters of a partition from a position to its present end, in batches."""
    consumer.assign([location])
    first = (await consumer.beginning_offsets([location]))[location]
    end = (await consumer.end_offsets([location]))[location]  # of committed records
    at = max(first, position)
    consumer.seek(location, at)
    while at < end:
        async with broker_deadline(f"{location.topic} gave no records"):
            records: list[ConsumerRecord[bytes, bytes]] = []
            while not records and await consumer.position(location) < end:
                records = (await consumer.getmany(location, timeout_ms=200, max_records=BATCH)).get(location, [])
        found = []
        for record in records:
            if record.offset < end:
                found.append(FoundLetter(location, at, record.offset, read_letter(record)))
            at = record.offset + 1
        if not records:
            return
        yield found


async def _find_partitions(admin: AIOKafkaAdminClient, topic: str, broker: str) -> list[TopicPartition]:
    known = await admin.list_topics()
    if topic not in known:
        hint = suggest(topic, known) or "; name it with --dead-letter-topic"
        raise OperationFailed(f"there is no topic {topic} at {broker}{hint}")
    [described] = await admin.describe_topics([topic])
    return [TopicPartition(topic, number) for number in sorted(x["partition"] for x in described["partitions"])]
