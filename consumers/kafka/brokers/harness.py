"""What a run needs that plays both sides: topics of its own, a producer of updates and a reader's consumer."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.brokers.embedded import FETCH_WAIT_MS
from consumers.kafka.client.clients import admin_client, connect, make_producer
from consumers.kafka.client.security import aiokafka_options
from consumers.kafka.topics.topics import create_topics

PATIENCE = 10.0
"""Seconds to wait for a broker."""


@dataclass(frozen=True, slots=True)
class KafkaHarness:
    """Started clients, and the settings of the service between them."""

    settings: ServiceSettings
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer


@asynccontextmanager
async def open_harness(name: str, broker: str) -> AsyncIterator[KafkaHarness]:
    """Make topics with a name of this run's own: an outside broker may still hold the records of earlier runs.

    Raises:
        BrokerUnreachable: no broker answered.
    """
    run = f"hearken-{name}-{uuid.uuid4().hex[:8]}"
    topics = Topics(
        input=f"{run}.updates", output=f"{run}.revisions", dead_letter=f"{run}.dead-letters", state=f"{run}.state"
    )
    settings = ServiceSettings(
        broker=broker, topics=topics, group=run, connect_seconds=PATIENCE, fetch_wait_ms=FETCH_WAIT_MS
    )
    async with admin_client(broker, PATIENCE) as admin:
        await create_topics(admin, topics)
    async with AsyncExitStack() as stack:
        producer = await connect(partial(make_producer, broker), broker, PATIENCE)
        stack.push_async_callback(producer.stop)
        make = partial(
            AIOKafkaConsumer,
            topics.output,
            bootstrap_servers=broker,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            **aiokafka_options(),
        )
        consumer: AIOKafkaConsumer = await connect(make, broker, PATIENCE)
        stack.push_async_callback(consumer.stop)
        yield KafkaHarness(settings, producer, consumer)
