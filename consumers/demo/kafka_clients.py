"""Topics and clients of the demo, which plays both sides: a producer of updates and a consumer of revisions."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.brokers.embedded import FETCH_WAIT_MS
from consumers.kafka.client.clients import admin_client, connect, make_producer
from consumers.kafka.client.security import aiokafka_options
from consumers.kafka.topics.topics import create_topics

CONNECT_SECONDS = 10.0


class DemoClients(NamedTuple):
    """Started clients, and the settings of the service between them."""

    settings: ServiceSettings
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer


@asynccontextmanager
async def open_clients(broker: str) -> AsyncIterator[DemoClients]:
    """Create topics with names of this run, since an outside broker may still hold those of earlier runs.

    Raises:
        BrokerUnreachable: no broker answered.
    """
    run = f"hearken-demo-{uuid.uuid4().hex[:8]}"
    topics = Topics(
        input=f"{run}.updates", output=f"{run}.revisions", dead_letter=f"{run}.dead-letters", state=f"{run}.state"
    )
    settings = ServiceSettings(
        broker=broker, topics=topics, group=run, connect_seconds=CONNECT_SECONDS, fetch_wait_ms=FETCH_WAIT_MS
    )
    make_consumer = partial(
        AIOKafkaConsumer,
        topics.output,
        bootstrap_servers=broker,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        **aiokafka_options(),
    )
    async with admin_client(broker, CONNECT_SECONDS) as admin:
        await create_topics(admin, topics)
    async with AsyncExitStack() as stack:
        producer = await connect(partial(make_producer, broker), broker, CONNECT_SECONDS)
        stack.push_async_callback(producer.stop)
        consumer: AIOKafkaConsumer = await connect(make_consumer, broker, CONNECT_SECONDS)
        stack.push_async_callback(consumer.stop)
        yield DemoClients(settings, producer, consumer)
