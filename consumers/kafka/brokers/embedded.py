"""Brokers for the demo and for tests. The embedded broker is librdkafka's in-process cluster, reachable over TCP.

It serves one member of a group, does not support transactions, keeps 5 MiB for each partition and sets every timestamp
to 1234: for anything else use Apache Kafka.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from confluent_kafka import Producer

from consumers.kafka.brokers.apache_kafka import apache_kafka

FETCH_WAIT_MS = 5
"""Fetch wait for the embedded broker, which answers an empty fetch only after it, even if records arrive meanwhile."""


class EmbeddedBroker:
    """A broker that lives as long as this object; it creates topics on first use.

    Args:
        partitions: partitions of each topic.
    """

    def __init__(self, partitions: int = 4) -> None:
        # The producer only owns the cluster; its log lines about that are noise.
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
        """Stop the cluster; all its records are lost."""
        self._owner = None


class OwnBroker(Enum):
    """Kind of a broker that lives as long as the command."""

    EMBEDDED = "embedded broker"
    APACHE = "Apache Kafka of its own"


@asynccontextmanager
async def open_broker(which: str | OwnBroker) -> AsyncIterator[str]:
    """Yield the address of a broker: the given one, or that of a broker which runs for the block.

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
