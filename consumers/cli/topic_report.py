"""What `hearken topics` does and shows."""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from rich.table import Column, Table

from consumers.common.settings import Topics
from consumers.kafka.client.clients import administering
from consumers.kafka.topics.topics import ROLES, TopicProblem, check_topics, create_topics, find_topics


async def check_and_tell(broker: str, patience: float, names: Topics) -> int:
    """Show the topics and what is wrong with them; returns the exit code.

    Raises:
        OperationFailed: the broker did not answer, or did not let us look.
    """
    async with administering(broker, patience) as admin:
        return await _tell(admin, names, [])


async def create_and_tell(broker: str, patience: float, names: Topics, partitions: int, replication: int | None) -> int:
    """Make the missing topics, then as `check_and_tell`.

    Raises:
        OperationFailed: the broker did not answer, or refused.
    """
    async with administering(broker, patience) as admin:
        made = await create_topics(admin, names, partitions=partitions, replication=replication)
        return await _tell(admin, names, made)


async def _tell(admin: AIOKafkaAdminClient, names: Topics, made: Sequence[str]) -> int:
    """Draw a table of the topics, then all that is wrong; returns the exit code."""
    found = await find_topics(admin, names)
    problems = await check_topics(admin, names)
    table = Table(Column("topic", overflow="fold"), "for", "partitions", "replicas", "state of it")
    for role in ROLES:
        name, topic = getattr(names, role), found.get(role)
        figures = (str(topic.partitions), str(topic.replication)) if topic else ("-", "-")
        table.add_row(name, role.replace("_", " "), *figures, _verdict(name, problems, made))
    console = Console()
    console.print(table)
    for problem in problems:
        console.print(f"{problem.severity}: {problem}", highlight=False, markup=False, soft_wrap=True)
    return int(any(problem.severity == "error" for problem in problems))


def _verdict(name: str, problems: Sequence[TopicProblem], made: Sequence[str]) -> str:
    own = [problem.severity for problem in problems if problem.topic == name]
    if "error" in own:
        return "[red]wrong[/]"
    return "[yellow]could be better[/]" if own else "[green]made[/]" if name in made else "[green]good[/]"
