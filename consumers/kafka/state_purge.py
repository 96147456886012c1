"""Removal of a session's stored state, and a list of what other records there are of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from consumers.common.errors import OperationFailed
from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.client.clients import admin_client, make_producer
from consumers.kafka.client.topic_reader import read_topic
from consumers.kafka.topics.rules import TopicRole
from consumers.kafka.topics.topics import find_topics, roles_of

_KEY = msgspec.json.Decoder(tuple[str, ...])
_HOLDS: dict[TopicRole, str] = {
    "input": "yes",
    "output": "text of spans, unless the service redacts",
    "dead_letter": "yes",
    "state": "until compaction",
    "redacted": "no",
}


@dataclass(frozen=True, slots=True)
class RemainingRecords:
    """Records of a session that a topic still has."""

    topic: str
    records: int
    holds: str
    """Whether they hold raw text."""
    gone_after: str
    """When the brokers delete them."""


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What was removed of a session, and what remains."""

    removed: int
    remains: list[RemainingRecords]


async def purge_state(settings: ServiceSettings, session: str) -> PurgeReport:
    """Write a tombstone for each key of a session in the state topic.

    Raises:
        OperationFailed: the group has members, which would write the state again; or the brokers do not answer.
    """
    topics = settings.topics
    async with admin_client(settings.broker, settings.connect_seconds) as admin:
        await _check_stopped(admin, settings)
        found = await find_topics(admin, topics)
    keys = await asyncio.to_thread(_find_keys, settings.broker, topics.state, session)
    producer: AIOKafkaProducer = make_producer(settings.broker)
    await producer.start()
    try:
        for key, partition in keys:
            await producer.send_and_wait(topics.state, None, key=key, partition=partition)
    finally:
        await producer.stop()
    remains = []
    for role in roles_of(topics):
        if (topic := found.get(role)) is not None:
            count = await asyncio.to_thread(_count_records, settings.broker, topics, role, session)
            after = _gone_after(role, topic.configs or {})
            remains.append(RemainingRecords(topic.name, count, _HOLDS[role], after))
    return PurgeReport(len(keys), remains)


async def _check_stopped(admin: AIOKafkaAdminClient, settings: ServiceSettings) -> None:
    """Check that no worker holds the session in memory.

    Raises:
        OperationFailed: the group has members.
    """
    try:
        answers = await admin.describe_consumer_groups([settings.group])
    except (KafkaError, NotImplementedError):  # the embedded broker does not tell
        return
    members = sum(len(group[5]) for answer in answers for group in answer.groups if group[0] == 0)
    if members:
        raise OperationFailed(
            f"group {settings.group} has {members} member{'s' * (members > 1)}, which would write the state again: stop"
            f' them, or send the session\'s end to {settings.topics.input}: {{"type": "end", "session": ...}}'
        )


def _find_keys(broker: str, topic: str, session: str) -> list[tuple[bytes, int]]:
    """Return the keys of a session that have a value, with their partitions; the session's own comes last."""
    newest: dict[tuple[bytes, int], bool] = {}
    for record in read_topic(broker, topic):
        if record.key is not None and session in _names(record.key)[:1]:
            newest[record.key, record.partition] = record.value is not None
    return sorted((place for place, present in newest.items() if present), key=lambda x: -len(_names(x[0])))


def _names(key: bytes) -> tuple[str, ...]:
    try:
        return _KEY.decode(key)
    except msgspec.MsgspecError:
        return ()


def _count_records(broker: str, topics: Topics, role: TopicRole, session: str) -> int:
    """Count the records of a session in a topic, by their keys; those of the state with a value."""
    records = read_topic(broker, getattr(topics, role))
    if role == "state":
        return sum(1 for x in records if x.key and x.value is not None and session in _names(x.key)[:1])
    return sum(1 for x in records if x.key == session.encode("utf-8", "surrogatepass"))


def _gone_after(role: TopicRole, configs: Mapping[str, str]) -> str:
    if role == "state":
        return f"compaction, after {_days(configs.get('max.compaction.lag.ms'))} at the latest"
    return f"{_days(configs.get('retention.ms'))} (retention.ms)"


def _days(milliseconds: str | None) -> str:
    if milliseconds is None or not milliseconds.isdigit() or int(milliseconds) > 10**14:
        return "an unknown time" if milliseconds is None else "never"
    return f"{int(milliseconds) / 86_400_000:.3g} days"
