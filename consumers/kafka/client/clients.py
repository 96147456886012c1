"""Kafka clients with the settings that at-least-once delivery needs, and their start with retries."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from consumers.common.errors import AccessRefused, BrokerUnreachable, OperationFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.client.diagnosis import AUTHORIZATION_ERRORS, explain_authorization, find_refusal
from consumers.kafka.client.security import aiokafka_options, read_security

MAX_REQUEST = 8 << 20
"""Limit of bytes of one request. States may be larger than revisions; their topic allows as much
(consumers/kafka/topics/rules.py).
"""

BATCH_BYTES = 1 << 17
"""Bytes of a batch, which holds records of one partition. Each partition has one batch in flight, so the records of a
step should fit in it: with aiokafka's 16 KiB a step of a hundred updates takes several round trips."""

REFUSED_SECONDS = 3.0
"""Time for which a connection that a broker refuses is retried."""


class NullValue(bytes):
    """A null value for `send`, which refuses a record with neither key nor value, although Kafka takes one."""


NULL_VALUE = NullValue()


def serialize(value: bytes | None) -> bytes | None:
    """Serializer of values of our producers; see `NullValue`."""
    return None if isinstance(value, NullValue) else value


class Client(Protocol):
    """A Kafka client that can be started and stopped."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect; allowed after a failed start."""


C = TypeVar("C", bound=Client)


def make_producer(broker: str) -> AIOKafkaProducer:
    """Make a producer whose acknowledgement means that every in-sync replica has the record."""
    return AIOKafkaProducer(bootstrap_servers=broker, acks="all", **aiokafka_options())


def make_service_producer(settings: ServiceSettings, transactional_id: str | None) -> AIOKafkaProducer:
    """Make the service's producer: the shared one (None), or one for the transactions of a partition.

    A transactional id fences its previous owner. Brokers abort an open transaction shortly after the service itself has
    given it up.
    """
    options: dict[str, Any] = {"acks": "all"}
    if transactional_id is not None:
        options = {
            "transactional_id": transactional_id,
            "retry_backoff_ms": 10,
            "transaction_timeout_ms": int((settings.transaction_seconds + 5) * 1000),
        }
    return AIOKafkaProducer(
        bootstrap_servers=settings.broker,
        max_request_size=MAX_REQUEST,
        max_batch_size=BATCH_BYTES,
        value_serializer=serialize,
        **options,
        **aiokafka_options(),
    )


class GroupConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Consumer of the group, with questions that need no waiting."""

    def position_now(self, partition: TopicPartition) -> int | None:
        """Offset that is read next: after the last record returned, and after what is no record.

        None while there is none: `position` would wait for it, and so for a rebalance that may wait for the caller.
        """
        assignment = self._subscription.subscription and self._subscription.subscription.assignment
        if assignment is None or partition not in assignment.tps:
            return None
        state = assignment.state_value(partition)
        return int(state.position) if state.has_valid_position else None

    def readable_end(self, partition: TopicPartition) -> int | None:
        """End of what committed transactions let us read, as of the last fetch; None before it."""
        stable = self.last_stable_offset(partition)
        end = self.highwater(partition) if stable is None or stable < 0 else stable
        return None if end is None else int(end)


def make_consumer(settings: ServiceSettings) -> GroupConsumer:
    """Make the consumer of the group; it never commits or resets a position by itself."""
    return GroupConsumer(
        bootstrap_servers=settings.broker,
        group_id=settings.group,
        group_instance_id=settings.instance_id,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=settings.fetch_wait_ms,
        session_timeout_ms=int(settings.session_timeout_seconds * 1000),
        heartbeat_interval_ms=int(settings.heartbeat_seconds * 1000),
        # A rebalance waits for records in flight, so the group must wait that long for this member.
        rebalance_timeout_ms=int((settings.shutdown_seconds + 10) * 1000),
        # Partitions stay with their members if possible, because moved ones must be restored.
        # (A new subclass, because the assignor stores its member's assignment in its class.)
        partition_assignment_strategy=(type("Sticky", (StickyPartitionAssignor,), {}),),
        metadata_max_age_ms=30_000,
        **aiokafka_options(),
    )


def make_changelog_reader(settings: ServiceSettings) -> AIOKafkaConsumer:
    """Make the reader of the changelog."""
    return AIOKafkaConsumer(
        bootstrap_servers=settings.broker,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=min(50, settings.fetch_wait_ms),
        max_partition_fetch_bytes=MAX_REQUEST,
        fetch_max_bytes=4 * MAX_REQUEST,
        **aiokafka_options(),
    )


async def stop_client(client: Client, patience: float = 5.0) -> None:
    """Stop a client that may be fenced or whose broker may not answer, within `patience` seconds."""
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        with suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(patience):
                await client.stop()
    finally:  # a stop that failed or timed out has closed neither the connections nor the metadata task
        inner = getattr(client, "client", None) or getattr(client, "_client", None)
        if inner is not None:
            await inner.close()
    if task and task.cancelling() > cancelled:
        raise asyncio.CancelledError  # aiokafka's close swallows the cancellation


async def connect(make: Callable[[], C], broker: str, patience: float) -> C:
    """Make and start a client; retry for `patience` seconds while no broker answers.

    A refused connection is retried for `REFUSED_SECONDS` only, because the broker may have just started.

    Raises:
        BrokerUnreachable: no broker answered in time.
        AccessRefused: the broker refused the connection; the message names the variable to correct.
        NotAuthorised: the broker knows us and does not allow it.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    deadline = started + patience
    pause = 0.2  # aiokafka logs every failed attempt
    while True:
        client = make()  # a client cannot be started again after a failure
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            await stop_client(client)
            if isinstance(error, AUTHORIZATION_ERRORS):
                transactions = getattr(client, "_txn_manager", None)
                raise explain_authorization(error, getattr(transactions, "transactional_id", None) or "") from error
            refusal = await find_refusal(broker)
            if refusal and clock() + pause > min(deadline, started + REFUSED_SECONDS):
                raise AccessRefused(f"{broker}: {refusal}") from error
            if clock() + pause > deadline:
                protocol = f"we speak {read_security().security_protocol} (HEARKEN_SECURITY_PROTOCOL)"
                detail = f"no broker answers at {broker} (waited {patience:g} s; {protocol}): {error}"
                raise BrokerUnreachable(detail) from error
        except BaseException:
            await stop_client(client)
            raise
        else:
            return client
        await asyncio.sleep(pause)
        pause = min(2 * pause, 2.0)


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]
    """Admin client with the `stop` of other clients."""

    def __init__(self, broker: str) -> None:
        super().__init__(bootstrap_servers=broker, **aiokafka_options())

    async def stop(self) -> None:
        """Disconnect; allowed after a failed start."""
        await self.close()


@asynccontextmanager
async def admin_client(broker: str, patience: float) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client for the block.

    Raises:
        BrokerUnreachable: no broker answered within `patience` seconds.
        OperationFailed: replaces a KafkaError of the block.
    """
    admin: Admin = await connect(partial(Admin, broker), broker, patience)
    try:
        yield admin
    except AUTHORIZATION_ERRORS as error:
        raise explain_authorization(error) from error
    except KafkaError as error:
        raise OperationFailed(f"{broker}: {type(error).__name__}: {error}") from error
    finally:
        await admin.stop()
