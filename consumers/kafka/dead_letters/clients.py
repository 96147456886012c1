"""Clients of `hearken dlq`: reading, and sending of records together with the progress in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OffsetOutOfRangeError, ProducerFenced

from consumers.common.errors import OperationFailed
from consumers.kafka.client.clients import NULL_VALUE, C, connect, serialize
from consumers.kafka.client.diagnosis import AUTHORIZATION_ERRORS, explain_authorization
from consumers.kafka.client.security import aiokafka_options
from consumers.kafka.dead_letters.records import DeadLetter, DoneOffsets, TooScattered
from consumers.kafka.output.dead_letter import original_headers, read_replays
from consumers.kafka.topics.topics import is_embedded

BROKER_SECONDS = 30.0
"""Time limit of one transaction, or of reading the next records."""
MAX_REPLAY_REQUEST = 16 << 20
"""Limit of bytes of a sent record; brokers usually have a lower one."""


@dataclass(slots=True)
class FoundLetter:
    """A record of the dead-letter topic."""

    location: TopicPartition
    after: int
    """Offset after the previous record; no record lies between."""
    offset: int
    letter: DeadLetter | None
    """None if the service did not write the record."""


@asynccontextmanager
async def broker_deadline(what: str, group: str = "") -> AsyncIterator[None]:
    """Limit the time of broker calls in the block to `BROKER_SECONDS`; `group` holds the progress.

    Raises:
        NotAuthorised: a right is missing.
        OperationFailed: a call failed or took longer; `what` says what did not happen.
    """
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            yield
    except ProducerFenced as error:
        raise OperationFailed("another replay with this group has begun; let it finish") from error
    except TimeoutError as error:
        raise OperationFailed(f"{what} within {BROKER_SECONDS:g} s; run it again") from error
    except AUTHORIZATION_ERRORS as error:
        raise explain_authorization(error, group) from error
    except KafkaError as error:
        raise OperationFailed(f"{what}: {error}; run it again") from error


async def start_client(stack: AsyncExitStack, make: Callable[[], C], broker: str, patience: float) -> C:
    """Start a client; the stack stops it.

    Raises:
        BrokerUnreachable: no broker answered.
    """
    client = await connect(make, broker, patience)
    stack.push_async_callback(client.stop)
    return client


async def start_consumer(
    stack: AsyncExitStack, broker: str, patience: float, group: str | None = None
) -> AIOKafkaConsumer:
    """Start a reader of committed records with explicit positions; see `start_client`."""
    make = partial(
        AIOKafkaConsumer,
        bootstrap_servers=broker,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        **aiokafka_options(),
    )
    consumer: AIOKafkaConsumer = await start_client(stack, make, broker, patience)
    return consumer


async def read_progress(
    admin: AIOKafkaAdminClient, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, DoneOffsets]:
    """Read the progress that a group has committed.

    Raises:
        OperationFailed: the broker did not answer.
    """
    async with broker_deadline("the broker did not report the progress of the last replay", group):
        while True:
            try:
                kept = await admin.list_consumer_group_offsets(group, partitions=partitions)
            except KafkaError as error:
                if not error.retriable:
                    raise
            else:
                if all(at in kept for at in partitions):
                    return {at: DoneOffsets.parse(kept[at].offset, kept[at].metadata or "") for at in partitions}
            # The first group of a new cluster waits for its coordinator. That gives an error, or an answer without
            # partitions, whose error aiokafka ignores.
            await asyncio.sleep(0.1)


class ReplaySender:
    """Sends records again and commits the progress in the same transaction.

    Its start fences a running replay and aborts the transaction of a crashed one, so start it before reading progress.
    The embedded broker does not support transactions, so there each record is sent and committed separately.
    """

    def __init__(self, broker: str, group: str, patience: float, *, transactional: bool) -> None:
        self._broker = broker
        self._group = group
        self._patience = patience
        self._transactional = transactional
        self._producer: AIOKafkaProducer
        self._consumer: AIOKafkaConsumer

    @classmethod
    async def open(
        cls, stack: AsyncExitStack, admin: AIOKafkaAdminClient, broker: str, group: str, patience: float
    ) -> "ReplaySender":
        """Start a sender; see `start_client`."""
        async with broker_deadline("the broker did not describe itself"):
            embedded = await is_embedded(admin)
        sender = cls(broker, group, patience, transactional=not embedded)
        sender._producer = await sender._connect()
        stack.push_async_callback(sender.stop)
        sender._consumer = await start_consumer(stack, broker, patience, group)
        return sender

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def _connect(self) -> AIOKafkaProducer:
        make = partial(
            AIOKafkaProducer,
            bootstrap_servers=self._broker,
            enable_idempotence=True,
            transactional_id=self._group if self._transactional else None,
            transaction_timeout_ms=int((BROKER_SECONDS + 5) * 1000),
            max_request_size=MAX_REPLAY_REQUEST,
            value_serializer=serialize,
            **aiokafka_options(),
        )
        producer: AIOKafkaProducer = await connect(make, self._broker, self._patience)
        return producer

    async def send(self, location: TopicPartition, found: Sequence[FoundLetter], done: DoneOffsets) -> bool:
        """Send letters of one partition in order, and add them to `done`.

        Returns:
            False if nothing was sent, because a record is too large or the records must be sent one by one.

        Raises:
            OperationFailed: the broker did not accept them, or the progress cannot be committed.
        """
        if not self._transactional and len(found) > 1:
            return False
        after = done.copy()
        for one in found:
            after.add(one.after, one.offset + 1)
        try:
            position = {location: (after.position, after.metadata())}
        except TooScattered as error:
            raise OperationFailed(
                f"sent and unsent letters of partition {location.partition} alternate too often to commit the progress"
                f" ({error}); replay the others too (without --reason)"
            ) from error
        letters = [one.letter for one in found if one.letter]
        async with broker_deadline("the broker did not accept the records", self._group):
            if self._transactional:
                await self._producer.begin_transaction()
            if not await self._send_records(letters):
                return False
            if self._transactional:
                await self._producer.send_offsets_to_transaction(position, self._group)
                await self._producer.commit_transaction()
            else:
                await self._commit_progress(location, position)
        for one in found:
            done.add(one.after, one.offset + 1)
        return True

    async def _send_records(self, letters: Sequence[DeadLetter]) -> bool:
        acks: list[asyncio.Future[Any]] = []
        try:
            for x in letters:
                value = NULL_VALUE if x.key is None and x.value is None else x.value
                send = partial(self._producer.send, x.origin.topic, value, partition=x.origin.partition)
                acks.append(await send(key=x.key, headers=x.replay_headers()))
            await asyncio.gather(*acks)
        except MessageSizeTooLargeError:
            await asyncio.gather(*acks, return_exceptions=True)
            # The producer's sequence numbers no longer match the broker's, which would refuse its next record.
            # (The next producer with the transactional id aborts an open transaction.)
            await self._producer.stop()
            self._producer = await self._connect()
            return False
        return True

    async def _commit_progress(self, location: TopicPartition, position: dict[TopicPartition, tuple[int, str]]) -> None:
        if self._consumer.assignment() != {location}:
            self._consumer.assign([location])
            self._consumer.pause(location)
        await self._consumer.commit(position)


class OriginalRecords:
    """Reads the original records of dead letters from their topics."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self._admin = admin
        self._consumer = consumer
        self._partitions: dict[str, set[int]] = {}

    async def partition_exists(self, origin: TopicPartition) -> bool:
        """Whether a partition exists."""
        if origin.topic not in self._partitions:
            known = origin.topic in await self._admin.list_topics()
            described = await self._admin.describe_topics([origin.topic]) if known else []
            self._partitions[origin.topic] = {x["partition"] for topic in described for x in topic["partitions"]}
        return origin.partition in self._partitions[origin.topic]

    async def fetch(self, letter: DeadLetter) -> DeadLetter | None:
        """Return the letter with its complete key and value; None if the original record is gone or differs."""
        origin, offset = letter.origin, letter.origin_offset
        self._consumer.assign([origin])
        async with broker_deadline(f"{origin.topic} gave no record"):
            first = (await self._consumer.beginning_offsets([origin]))[origin]
            end = (await self._consumer.end_offsets([origin]))[origin]
            if not first <= offset < end:
                return None
            self._consumer.seek(origin, offset)
            records: list[ConsumerRecord[bytes, bytes]] = []
            try:
                while not records and await self._consumer.position(origin) < end:
                    records = (await self._consumer.getmany(origin, timeout_ms=200, max_records=1)).get(origin, [])
            except OffsetOutOfRangeError:
                return None
        if not records or records[0].offset != offset or not letter.begins(records[0].key, records[0].value):
            return None
        record = records[0]
        return replace(
            letter,
            key=record.key,
            value=record.value,
            size=len(record.value or b""),
            key_size=len(record.key or b""),
            headers=original_headers(record.headers),
            headers_left_out=False,
            replays=max(letter.replays, read_replays(record.headers)),
        )
