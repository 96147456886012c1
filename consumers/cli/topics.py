"""`hearken topics create` and `hearken topics check` on the command line."""

import asyncio
from typing import Annotated

import typer

from consumers.common.logs import configure_logging
from consumers.common.settings import ServiceSettings, SettingError, Topics
from consumers.kafka.client.security import check_cluster
from consumers.kafka.topics.rules import DEFAULT_PARTITIONS

app = typer.Typer(name="topics", help="Make the topics, or say what is wrong with them.", no_args_is_help=True)

BrokerOption = Annotated[
    str, typer.Option(envvar="HEARKEN_BROKER", metavar="HOST:PORT", help="Kafka brokers, separated by commas.")
]
InputOption = Annotated[str, typer.Option(envvar="HEARKEN_INPUT_TOPIC", help="Topic of updates.")]
OutputOption = Annotated[str, typer.Option(envvar="HEARKEN_OUTPUT_TOPIC", help="Topic of revisions.")]
DeadOption = Annotated[
    str, typer.Option(envvar="HEARKEN_DEAD_LETTER_TOPIC", help="Topic of records that could not be used.")
]
StateOption = Annotated[
    str | None,
    typer.Option(envvar="HEARKEN_STATE_TOPIC", help="Topic of the sessions' state; by default GROUP.state."),
]
GroupOption = Annotated[str, typer.Option(envvar="HEARKEN_GROUP", help="Consumer group; names the state topic.")]
ConnectOption = Annotated[
    float, typer.Option(envvar="HEARKEN_CONNECT_SECONDS", help="How long to wait for a broker that does not answer.")
]


@app.command()
def check(
    broker: BrokerOption = "localhost:9092",
    input_topic: InputOption = Topics.input,
    output_topic: OutputOption = Topics.output,
    dead_letter_topic: DeadOption = Topics.dead_letter,
    state_topic: StateOption = None,
    group: GroupOption = ServiceSettings.group,
    connect_seconds: ConnectOption = 10.0,
) -> int:
    """Say what is wrong with the topics; nothing is changed. Exit code 1 if a service would lose something on them."""
    configure_logging("error")
    check_cluster(broker)
    names = _names(input_topic, output_topic, dead_letter_topic, state_topic, group)
    from consumers.cli.topic_report import check_and_tell

    return asyncio.run(check_and_tell(broker, connect_seconds, names))


@app.command()
def create(
    broker: BrokerOption = "localhost:9092",
    input_topic: InputOption = Topics.input,
    output_topic: OutputOption = Topics.output,
    dead_letter_topic: DeadOption = Topics.dead_letter,
    state_topic: StateOption = None,
    group: GroupOption = ServiceSettings.group,
    partitions: Annotated[
        int, typer.Option(min=1, help="Of each topic: the most workers that can ever share the work.")
    ] = DEFAULT_PARTITIONS,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, help="Copies of each partition; by default the cluster's own default.")
    ] = None,
    connect_seconds: ConnectOption = 10.0,
) -> int:
    """Make the topics that are not there, and say what is wrong with those that are."""
    configure_logging("error")
    check_cluster(broker)
    names = _names(input_topic, output_topic, dead_letter_topic, state_topic, group)
    from consumers.cli.topic_report import create_and_tell

    return asyncio.run(create_and_tell(broker, connect_seconds, names, partitions, replication_factor))


def _names(input_topic: str, output_topic: str, dead_letter_topic: str, state_topic: str | None, group: str) -> Topics:
    if not group:
        raise SettingError("group", "a consumer group's name has 1 to 249 characters")
    return Topics(
        input=input_topic, output=output_topic, dead_letter=dead_letter_topic, state=state_topic or f"{group}.state"
    )
