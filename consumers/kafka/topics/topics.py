"""Creation and checks of the four topics.

A wrong topic setting loses records silently, long after the start. Therefore the service checks its topics first.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    RequestTimedOutError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from consumers.common.errors import BrokerUnreachable, NotAuthorised, OperationFailed, ServiceFailed
from consumers.common.settings import ServiceSettings, Topics, suggest
from consumers.kafka.client.clients import admin_client
from consumers.kafka.client.diagnosis import explain_right
from consumers.kafka.topics.metadata import describe_topics, read_operations
from consumers.kafka.topics.rules import DEFAULT_PARTITIONS, WANTED, TopicRole, find_faults

log = structlog.get_logger()

ROLES: tuple[TopicRole, ...] = ("input", "output", "dead_letter", "state")
"""Those of every service; one that redacts has another (`roles_of`)."""

BROKER_AWAY_ERRORS = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)
NEEDED: dict[TopicRole, frozenset[str]] = {
    "input": frozenset(["Read"]),
    "output": frozenset(["Write"]),
    "dead_letter": frozenset(["Write"]),
    "state": frozenset(["Read", "Write"]),
    "redacted": frozenset(["Write"]),
}
"""Operations that the service performs on its topics."""

MISSING = "it does not exist; create it: hearken topics create"

RETRY_SECONDS = 1.0
APPEAR_SECONDS = 15.0
"""Time limit for the leaders of a new topic's partitions."""


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """A topic is missing or has a wrong setting.

    Attributes:
        detail: one line with the fault, its consequence and what to do.
        severity: a service does not start with an `error`; a `warning` is only logged.
    """

    topic: str
    detail: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"topic {self.topic}: {self.detail}"


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """An existing topic.

    Attributes:
        replication: smallest number of replicas of a partition.
        configs: settings including the broker's defaults; None if the broker does not report them.
    """

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str] | None = field(repr=False)
    operations: frozenset[str] | None = None
    """Operations that we may perform on it; None if the broker does not tell."""


def roles_of(names: Topics) -> tuple[TopicRole, ...]:
    """Return the roles of the topics that have a name."""
    return (*ROLES, "redacted") if names.redacted else ROLES


async def prepare_topics(settings: ServiceSettings) -> None:
    """Create missing topics and check all.

    If the brokers go away meanwhile, it retries for `connect_seconds` in all.

    Raises:
        BrokerUnreachable: no broker answered.
        ServiceFailed: a topic has a setting that loses records, or cannot be created.
        NotAuthorised: we may not describe or create a topic.
        OperationFailed: the brokers went away and did not come back, or refused.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.connect_seconds
    while True:
        try:
            return await _prepare_once(settings)
        except BrokerUnreachable:
            raise  # it has been retried already
        except OperationFailed as error:
            if not isinstance(error.__cause__, BROKER_AWAY_ERRORS) or clock() + RETRY_SECONDS > deadline:
                raise
            log.warning("broker_lost_at_start", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)


async def _prepare_once(settings: ServiceSettings) -> None:
    try:
        async with admin_client(settings.broker, settings.connect_seconds) as admin:
            if settings.guarantee == "exactly_once" and await is_embedded(admin):
                raise ServiceFailed("the embedded broker does not support transactions; use Apache Kafka")
            if made := await create_topics(admin, settings.topics):
                log.info("topics_created", topics=made)
            problems = await check_topics(admin, settings.topics, rights=True)
    except NotAuthorised:
        raise
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
    admin: AIOKafkaAdminClient, names: Topics, roles: Collection[TopicRole] | None = None, *, rights: bool = False
) -> list[TopicProblem]:
    """Return all faults of the topics; changes nothing.

    The embedded broker creates a topic when it is described and reports no settings: only partitions are checked there.

    Args:
        roles: topics to check; None: all. The state topic is always compared with the input's partitions.
        rights: whether we are the service, which must be allowed to read and write them.

    Raises:
        NotAuthorised: we may not describe a topic.
        KafkaError: the broker does not answer, or refuses access.
    """
    found = await find_topics(admin, names)
    problems = []
    for role in (role for role in roles_of(names) if roles is None or role in roles):
        name, topic = getattr(names, role), found.get(role)
        if topic is None:
            problems.append(TopicProblem(name, MISSING))
            continue
        if rights and topic.operations is not None and (missing := NEEDED[role] - topic.operations):
            problems.append(TopicProblem(name, explain_right(" and ".join(sorted(missing)), f"topic {name}")))
        if topic.operations is not None and "DescribeConfigs" not in topic.operations:
            detail = f"its settings are not checked; {explain_right('DescribeConfigs', f'topic {name}')}"
            problems.append(TopicProblem(name, detail, "warning"))
        elif topic.configs is not None:
            faults = find_faults(role, topic.configs, topic.replication)
            problems += [TopicProblem(name, fault.detail, fault.severity) for fault in faults]
        if role == "state" and "input" in found and topic.partitions != found["input"].partitions:
            count, needed = topic.partitions, found["input"].partitions
            problems.append(
                TopicProblem(
                    name,
                    f"it has {count} partition{'s' * (count != 1)}, {names.input} has {needed}; the state of a session"
                    " must be in the partition of its updates: name a new state topic, or create this one again",
                )
            )
    return problems


async def create_topics(
    admin: AIOKafkaAdminClient,
    names: Topics,
    *,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int | None = None,
    roles: Collection[TopicRole] | None = None,
) -> list[str]:
    """Create missing topics and wait until they can be used; existing topics are not changed.

    Args:
        partitions: of each; the state topic always gets as many as an existing input topic.
        replication: replicas of each partition; None for the broker's default, at most one on each broker, and for the
            state topic at least as many as the input topic has.
        roles: topics to create; None: all.

    Returns:
        The names of the topics created by this call.

    Raises:
        OperationFailed: the broker refused.
        KafkaError: the broker does not answer.
    """
    found = await find_topics(admin, names)
    copies = replication or await _default_replication(admin)
    new = []
    for role in (role for role in roles_of(names) if role not in found and (roles is None or role in roles)):
        follows = role == "state" and "input" in found
        count = found["input"].partitions if follows else partitions
        factor = max(copies, found["input"].replication) if follows and replication is None else copies
        # An acknowledged record must survive the loss of a broker, and one missing broker must not stop the writers.
        safety = {"min.insync.replicas": str(2 if factor > 2 else 1)}
        new.append(NewTopic(getattr(names, role), count, factor, topic_configs=dict(WANTED[role]) | safety))
    if not new:
        return []
    answer = await admin.create_topics(new)
    made, refused = [], []
    for name, code, message in answer.topic_errors:
        if code == 0:
            made.append(name)
        elif code in (TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno):
            refused.append(name)
        elif code != TopicAlreadyExistsError.errno:  # another member may have created it first
            raise OperationFailed(f"topic {name} was not created: {message or for_code(code).__name__}")
    if refused:
        topics = ", ".join(sorted(refused))
        right = explain_right("Create", f"topic {topics} (or on the cluster)")
        raise NotAuthorised(
            f"topic {topics} does not exist, and was not created: {right}, or somebody with more rights creates it:"
            " hearken topics create"
        )
    await _wait_for_leaders(admin, [topic.name for topic in new])
    return made


async def find_topics(admin: AIOKafkaAdminClient, names: Topics) -> dict[TopicRole, ExistingTopic]:
    """Describe the existing topics.

    Raises:
        NotAuthorised: we may not even know whether a topic exists.
        KafkaError: the broker does not answer.
    """
    wanted: dict[str, TopicRole] = {getattr(names, role): role for role in roles_of(names)}
    # Describing a topic by name creates it, with wrong settings, if brokers may create topics. The embedded broker
    # offers no other way.
    embedded = await is_embedded(admin)
    described = await (admin.describe_topics(list(wanted)) if embedded else describe_topics(admin, list(wanted)))
    _check_describe(described)
    described = [topic for topic in described if _exists(topic)]
    configs = await _read_configs(admin, [topic["topic"] for topic in described])
    return {
        wanted[topic["topic"]]: ExistingTopic(
            topic["topic"],
            len(topic["partitions"]),
            min((len(partition["replicas"]) for partition in topic["partitions"]), default=0),
            configs.get(topic["topic"]),
            read_operations(topic),
        )
        for topic in described
    }


def _check_describe(described: Sequence[Mapping[str, Any]]) -> None:
    """Check that we may describe the topics.

    Raises:
        NotAuthorised: we may not.
    """
    hidden = [x["topic"] for x in described if x["error_code"] == TopicAuthorizationFailedError.errno]
    if hidden:
        detail = explain_right("Describe (which Read and Write imply)", f"topic {', '.join(hidden)}")
        raise NotAuthorised(f"{detail}. Whether it exists, the broker does not say")


async def check_topic(admin: AIOKafkaAdminClient, topic: str) -> None:
    """Check that a topic exists and that we may write to it; creates none, except on the embedded broker.

    Raises:
        NotAuthorised: we may not describe or write it.
        OperationFailed: there is no such topic.
        KafkaError: the broker does not answer.
    """
    if await is_embedded(admin):
        return
    described = await describe_topics(admin, [topic])
    _check_describe(described)
    if not all(_exists(x) for x in described):
        hint = suggest(topic, await admin.list_topics())
        raise OperationFailed(
            f"there is no topic {topic}{hint}; create it: hearken topics create --input-topic {topic}"
        )
    operations = read_operations(described[0])
    if operations is not None and "Write" not in operations:
        raise NotAuthorised(explain_right("Write", f"topic {topic}"))


async def is_embedded(admin: AIOKafkaAdminClient) -> bool:
    """Whether the broker is librdkafka's in-process cluster."""
    return str((await admin.describe_cluster()).get("cluster_id")).startswith("mockCluster")


def _exists(topic: Mapping[str, Any]) -> bool:
    code = topic["error_code"]
    if code == UnknownTopicOrPartitionError.errno:
        return False
    if code not in (0, LeaderNotAvailableError.errno):  # a new topic may still elect its leaders
        raise for_code(code)(topic["topic"])
    return True


async def _read_configs(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the settings of the topics, as far as the broker reports them."""
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
    """Return the broker's default, which the create request of aiokafka cannot express."""
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
                _check_describe(found)
                partitions = [partition for topic in found for partition in topic["partitions"] or [{"leader": -1}]]
                if all(partition["leader"] >= 0 for partition in partitions):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise OperationFailed(f"{', '.join(names)}: created, but not usable within {APPEAR_SECONDS:g} s") from None
