"""Clients of a broker: made with the settings that at-least-once needs, started with patience."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from consumers.errors import BrokerUnreachable
from consumers.settings import ServiceSettings


class Client(Protocol):
    """A Kafka client, before and after its life."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect; also after a start that failed."""


C = TypeVar("C", bound=Client)


def make_producer(broker: str) -> AIOKafkaProducer:
    """A producer whose acknowledgement means that every in-sync replica has the record."""
    return AIOKafkaProducer(bootstrap_servers=broker, acks="all")


def make_consumer(settings: ServiceSettings) -> AIOKafkaConsumer:
    """A member of the group that commits only when told to."""
    return AIOKafkaConsumer(
        bootstrap_servers=settings.broker,
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=settings.fetch_wait_ms,
        # A rebalance waits for what is in flight, so the group must wait for us that long.
        rebalance_timeout_ms=int((settings.shutdown_seconds + 10) * 1000),
        metadata_max_age_ms=30_000,
    )


@dataclass(frozen=True, slots=True)
class Clients:
    """How a service comes by its two clients."""

    producer: Callable[[str], AIOKafkaProducer] = make_producer
    consumer: Callable[[ServiceSettings], AIOKafkaConsumer] = make_consumer


async def connect(make: Callable[[], C], broker: str, patience: float) -> C:
    """Make and start a client; a broker that does not answer yet is asked again until patience ends.

    Raises:
        BrokerUnreachable: it did not answer in time.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    pause = 0.2  # aiokafka logs every attempt that fails
    while True:
        client = make()  # a client that failed to start cannot be started again
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            await client.stop()
            if clock() + pause > deadline:
                raise BrokerUnreachable(f"no broker answers at {broker} (waited {patience:g} s): {error}") from error
        except BaseException:
            await client.stop()
            raise
        else:
            return client
        await asyncio.sleep(pause)
        pause = min(2 * pause, 2.0)
