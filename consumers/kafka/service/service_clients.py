"""Kafka clients of a service, and the preparation of its topics: what tests replace by stand-ins."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import make_changelog_reader, make_consumer, make_service_producer
from consumers.kafka.topics.topics import prepare_topics
from consumers.kafka.topics.watch import TopicWatch


@dataclass(frozen=True, slots=True)
class ServiceClients:
    """Factories of a service's clients and of the watch over its topics; `prepare` is awaited before it joins its
    group.
    """

    producer: Callable[[ServiceSettings, str | None], AIOKafkaProducer] = make_service_producer
    consumer: Callable[[ServiceSettings], AIOKafkaConsumer] = make_consumer
    reader: Callable[[ServiceSettings], AIOKafkaConsumer] = make_changelog_reader
    prepare: Callable[[ServiceSettings], Awaitable[None]] = prepare_topics
    watch: Callable[[ServiceSettings], TopicWatch] = TopicWatch
