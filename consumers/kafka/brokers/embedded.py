"""Brokers for the demo and for tests. The embedded one is librdkafka's in-process cluster, which speaks Kafka over TCP.

It serves one member of a group. It has no transactions worth the name, keeps 5 MiB a partition and stamps every record
1234: for anything else use Apache Kafka.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from confluent_kafka import Producer

from consumers.kafka.brokers.apache_kafka import apache_kafka

FETCH_WAIT_MS = 5
"""It answers a fetch that found nothing only when the time is up, even if something comes meanwhile: so ask often."""


class EmbeddedBroker:
    """A broker that lives as long as this object; topics come into being when they are first asked for.

    Args:
        partitions: of each new topic.
    """

    def __init__(self, partitions: int = 4) -> None:
        # The producer is only the cluster's owner; its own lines about that are no news to anyone.
        self._owner: Producer | None = Producer(
            {
                "bootstrap.servers": "embedded",
                "test.mock.num.brokers": 1,
                "allow.auto.create.topics": True,
                "log_level": 3,
            }
        )
        broker = next(iter(self._owner.list_topics(timeout=10).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"

    def close(self) -> None:
        """Stop the cluster and forget all its records."""
        self._owner = None


class OwnBroker(Enum):
    """A broker that lives as long as the command."""

    EMBEDDED = "embedded broker"
    APACHE = "Apache Kafka of its own"


@asynccontextmanager
async def open_broker(which: str | OwnBroker) -> AsyncIterator[str]:
    """Give the address of a broker: an outside one's as it is, or that of one which ends with the context.

    Raises:
        OperationFailed: Apache Kafka cannot run here.
    """
    if isinstance(which, str):
        yield which
    elif which is OwnBroker.EMBEDDED:
        embedded = EmbeddedBroker()
        try:
            yield embedded.address
        finally:
            embedded.close()
    else:
        own = apache_kafka()
        broker = await asyncio.to_thread(own.__enter__)
        try:
            yield broker.address
        finally:
            await asyncio.to_thread(own.__exit__, None, None, None)
