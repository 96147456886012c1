"""Clients of a broker: made with the settings that at-least-once needs, started with patience."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from consumers.common.errors import AccessRefused, BrokerUnreachable, OperationFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.client.diagnosis import find_refusal
from consumers.kafka.client.security import aiokafka_options, read_security

MAX_REQUEST = 8 << 20
"""Bytes of one request. States may be larger than a revision; their topic takes as much
(consumers/kafka/topics/topics.py).
"""

BATCH = 1 << 17
"""Bytes of a batch, which holds what goes to one partition. A partition has one on its way at a time, so what a step
says of it should fit: at aiokafka's 16 KiB a step of a hundred updates takes several turns."""

REFUSED_SECONDS = 3.0
"""How long a broker is asked again that answers and does not let us in."""


class Client(Protocol):
    """A Kafka client, before and after its life."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect; also after a start that failed."""


C = TypeVar("C", bound=Client)


def make_producer(broker: str) -> AIOKafkaProducer:
    """A producer whose acknowledgement means that every in-sync replica has the record."""
    return AIOKafkaProducer(bootstrap_servers=broker, acks="all", **aiokafka_options())


def make_service_producer(settings: ServiceSettings, transactional_id: str | None) -> AIOKafkaProducer:
    """The service's producer: shared (None), or of one partition's transactions.

    A transactional id fences whoever had it before. The brokers abort a transaction that its owner leaves open a little
    after we have given it up ourselves.
    """
    if transactional_id is None:
        return AIOKafkaProducer(
            bootstrap_servers=settings.broker,
            acks="all",
            max_request_size=MAX_REQUEST,
            max_batch_size=BATCH,
            **aiokafka_options(),
        )
    return AIOKafkaProducer(
        bootstrap_servers=settings.broker,
        transactional_id=transactional_id,
        retry_backoff_ms=10,
        transaction_timeout_ms=int((settings.transaction_seconds + 5) * 1000),
        max_request_size=MAX_REQUEST,
        max_batch_size=BATCH,
        **aiokafka_options(),
    )


def make_consumer(settings: ServiceSettings) -> AIOKafkaConsumer:
    """A member of the group that commits only when told to, and never resets a position by itself."""
    return AIOKafkaConsumer(
        bootstrap_servers=settings.broker,
        group_id=settings.group,
        group_instance_id=settings.instance_id,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=settings.fetch_wait_ms,
        session_timeout_ms=int(settings.session_timeout_seconds * 1000),
        heartbeat_interval_ms=int(settings.heartbeat_seconds * 1000),
        # A rebalance waits for what is in flight, so the group must wait for us that long.
        rebalance_timeout_ms=int((settings.shutdown_seconds + 10) * 1000),
        # Partitions stay where they are as far as possible: what moves must be restored.
        # (A class of its own, because the assignor remembers in its class what its member had.)
        partition_assignment_strategy=(type("Sticky", (StickyPartitionAssignor,), {}),),
        metadata_max_age_ms=30_000,
        **aiokafka_options(),
    )


def make_reader(settings: ServiceSettings) -> AIOKafkaConsumer:
    """A reader of the changelog."""
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
    """Stop a client that may be fenced, or whose broker may not answer: what it says in parting is not worth a wait."""
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        with suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(patience):
                await client.stop()
    finally:  # a stop that failed or was cut short has not closed the connections, nor ended the metadata task
        inner = getattr(client, "client", None) or getattr(client, "_client", None)
        if inner is not None:
            await inner.close()
    if task and task.cancelling() > cancelled:
        raise asyncio.CancelledError  # aiokafka's close takes a cancellation for that of its own task


async def connect(make: Callable[[], C], broker: str, patience: float) -> C:
    """Make and start a client; a broker that does not answer yet is asked again until patience ends.

    One that answers and does not let us in is asked for a moment only: it may have just started.

    Raises:
        BrokerUnreachable: it did not answer in time.
        NotLetIn: it refused; the message names the variable that is to blame.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    deadline = started + patience
    pause = 0.2  # aiokafka logs every attempt that fails
    while True:
        client = make()  # a client that failed to start cannot be started again
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            await stop_client(client)
            refusal = await find_refusal(broker)
            if refusal and clock() + pause > min(deadline, started + REFUSED_SECONDS):
                raise AccessRefused(f"{broker}: {refusal}") from error
            if clock() + pause > deadline:
                spoken = f"we speak {read_security().security_protocol} (HEARKEN_SECURITY_PROTOCOL)"
                waited = f"no broker answers at {broker} (waited {patience:g} s; {spoken}): {error}"
                raise BrokerUnreachable(waited) from error
        except BaseException:
            await stop_client(client)
            raise
        else:
            return client
        await asyncio.sleep(pause)
        pause = min(2 * pause, 2.0)


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]
    """An admin client that stops as other clients do."""

    def __init__(self, broker: str) -> None:
        super().__init__(bootstrap_servers=broker, **aiokafka_options())

    async def stop(self) -> None:
        """Disconnect; also after a start that failed."""
        await self.close()


@asynccontextmanager
async def admin_client(broker: str, patience: float) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client.

    Raises:
        BrokerUnreachable: no broker answered in so many seconds.
        OperationFailed: in place of a KafkaError inside.
    """
    admin: Admin = await connect(partial(Admin, broker), broker, patience)
    try:
        yield admin
    except KafkaError as error:
        raise OperationFailed(f"{broker}: {type(error).__name__}: {error}") from error
    finally:
        await admin.stop()
