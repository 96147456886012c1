"""The four topics: what they must be, what is wrong with those that are there, and making those that are not.

A service that works on a wrong topic loses something long after its start, in silence. So it is said before.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    RequestTimedOutError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from consumers.common.errors import BrokerUnreachable, OperationFailed, ServiceFailed
from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.client.clients import admin_client
from consumers.kafka.topics.rules import DEFAULT_PARTITIONS, WANTED, Role, find_faults

log = structlog.get_logger()

ROLES: tuple[Role, ...] = get_args(Role)

BROKER_AWAY_ERRORS = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)
RETRY_SECONDS = 1.0
APPEAR_SECONDS = 15.0
"""How long a new topic may take until all its partitions have leaders."""


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """Something about a topic that is not as it should be.

    Attributes:
        topic: its name.
        detail: one line: what is wrong, what it leads to, what to do.
        severity: a service refuses to work with an `error`; a `warning` it only tells.
    """

    topic: str
    detail: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"topic {self.topic}: {self.detail}"


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A topic that is there.

    Attributes:
        name: of the topic.
        partitions: how many.
        replication: the fewest replicas of a partition.
        configs: its settings with the broker's defaults; None if the broker does not tell them.
    """

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str] | None = field(repr=False)


async def prepare_topics(settings: ServiceSettings) -> None:
    """Create missing topics and check the others.

    A broker that goes away meanwhile is waited for, `connect_seconds` in all, as one that is not there yet.

    Raises:
        BrokerUnreachable: no broker answered.
        ServiceFailed: a topic is such that something would be lost on it, or cannot be made.
        OperationFailed: the brokers went away and did not come back, or refused.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.connect_seconds
    while True:
        try:
            return await _prepare_once(settings)
        except BrokerUnreachable:
            raise  # it was waited for already
        except OperationFailed as error:
            if not isinstance(error.__cause__, BROKER_AWAY_ERRORS) or clock() + RETRY_SECONDS > deadline:
                raise
            log.warning("broker_lost_at_start", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)


async def _prepare_once(settings: ServiceSettings) -> None:
    try:
        async with admin_client(settings.broker, settings.connect_seconds) as admin:
            if settings.guarantee == "exactly_once" and await is_embedded(admin):
                raise ServiceFailed("the embedded broker has no transactions worth the name; use Apache Kafka")
            if made := await create_topics(admin, settings.topics):
                log.info("topics_created", topics=made)
            problems = await check_topics(admin, settings.topics)
    except OperationFailed as error:
        if "Authorization" not in str(error):
            raise
        log.warning("topics_not_readable", error=str(error))
        return
    for problem in problems:
        if problem.severity == "warning":
            log.warning("topic_misconfigured", topic=problem.topic, detail=problem.detail)
    if errors := [str(problem) for problem in problems if problem.severity == "error"]:
        raise ServiceFailed("; ".join(errors))


async def check_topics(
    admin: AIOKafkaAdminClient, names: Topics, roles: Collection[Role] = ROLES
) -> list[TopicProblem]:
    """Say all that is wrong with the topics; nothing is changed.

    The embedded broker makes a topic when it is asked about, and tells no settings: there only partitions are checked.

    Args:
        admin: started.
        names: of the topics.
        roles: those to check. State is held against the input's partitions in any case.

    Raises:
        KafkaError: the broker does not answer, or does not let us look.
    """
    found = await find_topics(admin, names)
    problems = []
    for role in (role for role in ROLES if role in roles):
        name, topic = getattr(names, role), found.get(role)
        if topic is None:
            problems.append(TopicProblem(name, "it is not there; make it: hearken topics create"))
            continue
        if topic.configs is not None:
            faults = find_faults(role, topic.configs, topic.replication)
            problems += [TopicProblem(name, fault.detail, fault.severity) for fault in faults]
        if role == "state" and "input" in found and topic.partitions != found["input"].partitions:
            count, needed = topic.partitions, found["input"].partitions
            problems.append(
                TopicProblem(
                    name,
                    f"it has {count} partition{'s' * (count != 1)}, {names.input} has {needed}; the state of a session"
                    " must lie where its updates lie: name a new state topic, or make this one again",
                )
            )
    return problems


async def create_topics(
    admin: AIOKafkaAdminClient,
    names: Topics,
    *,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int | None = None,
    roles: Collection[Role] = ROLES,
) -> list[str]:
    """Make the topics that are not there, and wait until they can be used; those that are there stay as they are.

    Args:
        admin: started.
        names: of the topics.
        partitions: of each; but state always gets as many as an input that is there.
        replication: copies of each partition; None takes the broker's default, at most one for each broker, and for
            the state at least as many as there are of the input.
        roles: those to make.

    Returns:
        The names of the topics that were made by this call.

    Raises:
        OperationFailed: the broker refused; says why.
        KafkaError: the broker does not answer.
    """
    found = await find_topics(admin, names)
    copies = replication or await _default_replication(admin)
    new = []
    for role in (role for role in ROLES if role in roles and role not in found):
        follows = role == "state" and "input" in found
        count = found["input"].partitions if follows else partitions
        factor = max(copies, found["input"].replication) if follows and replication is None else copies
        # An acknowledged record must outlive a broker, and one broker's absence must not stop the writers.
        safety = {"min.insync.replicas": str(2 if factor > 2 else 1)}
        new.append(NewTopic(getattr(names, role), count, factor, topic_configs=dict(WANTED[role]) | safety))
    if not new:
        return []
    answer = await admin.create_topics(new)
    made = []
    for name, code, message in answer.topic_errors:
        if code == 0:
            made.append(name)
        elif code != TopicAlreadyExistsError.errno:  # another service of the group may have been faster
            raise OperationFailed(f"topic {name} was not made: {message or for_code(code).__name__}")
    await _wait_for_leaders(admin, [topic.name for topic in new])
    return made


async def find_topics(admin: AIOKafkaAdminClient, names: Topics) -> dict[Role, ExistingTopic]:
    """Look at the topics that are there.

    Raises:
        KafkaError: the broker does not answer, or does not let us look.
    """
    wanted: dict[str, Role] = {getattr(names, role): role for role in ROLES}
    # A topic that is asked for by name comes into being where brokers may make topics, and not as it should be. The
    # embedded broker knows no other way.
    asked = list(wanted) if await is_embedded(admin) else None
    described = [topic for topic in await admin.describe_topics(asked) if topic["topic"] in wanted and _exists(topic)]
    configs = await _read_configs(admin, [topic["topic"] for topic in described])
    return {
        wanted[topic["topic"]]: ExistingTopic(
            topic["topic"],
            len(topic["partitions"]),
            min((len(partition["replicas"]) for partition in topic["partitions"]), default=0),
            configs.get(topic["topic"]),
        )
        for topic in described
    }


async def is_embedded(admin: AIOKafkaAdminClient) -> bool:
    """Whether it is librdkafka's in-process cluster."""
    return str((await admin.describe_cluster()).get("cluster_id")).startswith("mockCluster")


def _exists(topic: Mapping[str, Any]) -> bool:
    code = topic["error_code"]
    if code == UnknownTopicOrPartitionError.errno:
        return False
    if code not in (0, LeaderNotAvailableError.errno):  # a topic just made may still choose its leaders
        raise for_code(code)(topic["topic"])
    return True


async def _read_configs(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings of the topics; those that the broker does not tell are missing."""
    if not topics:
        return {}
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics])
    except IncompatibleBrokerVersion:  # the embedded broker
        return {}
    return {
        name: {key: value for key, value, *_ in entries}
        for answer in answers
        for code, _, _, name, entries in answer.resources
        if code == 0
    }


async def _default_replication(admin: AIOKafkaAdminClient) -> int:
    """The broker's default. The request that we can send has no word for it, so it is read."""
    brokers = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
    key = "default.replication.factor"
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, str(brokers[0]), {key: ""})])
    except IncompatibleBrokerVersion:
        return 1
    entries = [entry for answer in answers for resource in answer.resources for entry in resource[4]]
    default = next((int(value) for name, value, *_ in entries if name == key and value), 1)
    return max(1, min(default, len(brokers)))


async def _wait_for_leaders(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    try:
        async with asyncio.timeout(APPEAR_SECONDS):
            while True:
                found = await admin.describe_topics(list(names))
                partitions = [partition for topic in found for partition in topic["partitions"] or [{"leader": -1}]]
                if all(partition["leader"] >= 0 for partition in partitions):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise OperationFailed(f"{', '.join(names)}: made, but not usable within {APPEAR_SECONDS:g} s") from None
