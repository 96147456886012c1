"""`hearken topics`: create and check the service's topics."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from consumers.cli.flags import Select
from consumers.common.logs import configure_logging
from consumers.common.settings import ServiceSettings, setting
from consumers.kafka.topics.rules import DEFAULT_PARTITIONS

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from consumers.kafka.topics.topics import TopicProblem

Cluster = Annotated[
    ServiceSettings,
    Select("broker input output dead_letter state redacted group connect_seconds", connect_seconds=10.0),
]


@dataclass(frozen=True, kw_only=True)
class CheckCommand:
    """Settings of `hearken topics check`."""

    service: Cluster


@dataclass(frozen=True, kw_only=True)
class CreateCommand:
    """Settings of `hearken topics create`."""

    service: Cluster
    partitions: Annotated[
        int,
        setting(
            "Number of partitions of each topic, which is the largest number of workers that can ever share the work.",
            panel="Topics",
            min=1,
            variable=False,
        ),
    ] = DEFAULT_PARTITIONS
    replication_factor: Annotated[
        int | None,
        setting(
            "Number of replicas of each partition.",
            panel="Topics",
            min=1,
            variable=False,
            show_default="the cluster's default",
        ),
    ] = None


def check(settings: CheckCommand) -> int:
    """Report problems of the topics and change nothing; exit code 1 if a service would lose data on them."""
    return _run(settings.service)


def create(settings: CreateCommand) -> int:
    """Create the missing topics, and report problems of the existing ones."""
    return _run(settings.service, settings.partitions, settings.replication_factor)


def _run(service: ServiceSettings, partitions: int | None = None, replication: int | None = None) -> int:
    """Create missing topics if a number of partitions is given, then report; returns the exit code.

    Raises:
        OperationFailed: the broker did not answer, or refused.
    """
    configure_logging("error")
    from consumers.kafka.client.clients import admin_client
    from consumers.kafka.client.security import check_cluster
    from consumers.kafka.topics.topics import create_topics

    async def run() -> int:
        async with admin_client(service.broker, service.connect_seconds) as admin:
            created: Sequence[str] = []
            if partitions is not None:
                created = await create_topics(admin, service.topics, partitions=partitions, replication=replication)
            return await _report(admin, service, created)

    check_cluster(service.broker)
    return asyncio.run(run())


async def _report(admin: "AIOKafkaAdminClient", service: ServiceSettings, created: Sequence[str]) -> int:
    from rich.console import Console
    from rich.table import Column, Table

    from consumers.kafka.topics.topics import check_topics, find_topics, roles_of

    found = await find_topics(admin, service.topics)
    problems = await check_topics(admin, service.topics)
    table = Table(Column("topic", overflow="fold"), "for", "partitions", "replicas", "state of it")
    for role in roles_of(service.topics):
        name, topic = getattr(service.topics, role), found.get(role)
        figures = (str(topic.partitions), str(topic.replication)) if topic else ("-", "-")
        table.add_row(name, role.replace("_", " "), *figures, _verdict(name, problems, created))
    console = Console()
    console.print(table)
    for problem in problems:
        console.print(f"{problem.severity}: {problem}", highlight=False, markup=False, soft_wrap=True)
    return int(any(problem.severity == "error" for problem in problems))


def _verdict(name: str, problems: "Sequence[TopicProblem]", created: Sequence[str]) -> str:
    own = [problem.severity for problem in problems if problem.topic == name]
    if "error" in own:
        return "[red]wrong[/]"
    return "[yellow]could be better[/]" if own else "[green]created[/]" if name in created else "[green]good[/]"
