"""`hearken verify`: what came out of a service against what one process would have said to the same input."""

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from consumers.common.logs import configure_logging
from consumers.common.settings import (
    DEFAULT_POLICY,
    DEFAULT_STABILITY,
    TAGGER_HELP,
    ServiceSettings,
    SettingError,
    Topics,
    parse_taggers,
)
from consumers.kafka.client.security import check_cluster
from consumers.verify.topic_contents import Guarantee

if TYPE_CHECKING:
    from consumers.verify.report import VerifyReport
    from stream.engine.engine import Engine

SHOWN = 20
"""Problems shown."""


def verify(
    broker: Annotated[str, typer.Option(envvar="HEARKEN_BROKER", metavar="HOST:PORT", help="Kafka brokers.")] = (
        "localhost:9092"
    ),
    input_topic: Annotated[str, typer.Option(envvar="HEARKEN_INPUT_TOPIC", help="Topic of updates.")] = Topics.input,
    output_topic: Annotated[
        str, typer.Option(envvar="HEARKEN_OUTPUT_TOPIC", help="Topic of revisions.")
    ] = Topics.output,
    dead_letter_topic: Annotated[
        str, typer.Option(envvar="HEARKEN_DEAD_LETTER_TOPIC", help="Topic of dead letters.")
    ] = Topics.dead_letter,
    group: Annotated[str, typer.Option(envvar="HEARKEN_GROUP", help="Consumer group.")] = ServiceSettings.group,
    tagger: Annotated[list[str] | None, typer.Option(help="The service's taggers. " + TAGGER_HELP)] = None,
    policy: Annotated[str, typer.Option(envvar="HEARKEN_POLICY", help="The service's policy.")] = DEFAULT_POLICY,
    stability: Annotated[
        str, typer.Option(envvar="HEARKEN_STABILITY", help="The service's stability.")
    ] = DEFAULT_STABILITY,
    guarantee: Annotated[
        str, typer.Option(envvar="HEARKEN_GUARANTEE", help="at_least_once or exactly_once.")
    ] = "at_least_once",
    finals_only: Annotated[
        bool,
        typer.Option(
            "--finals-only",
            help="With the policy always: compare final labels only, not each revision byte for byte. For a service "
            "that coalesces or shortens restarts.",
        ),
    ] = False,
    until: Annotated[
        str, typer.Option(help="committed: what the group has committed; end: all of the input topic.")
    ] = "committed",
) -> int:
    """Compare all that a service said with a run of one process; 0 when nothing is wrong.

    Both topics must still have their beginning, and no session may have expired (--idle-seconds) in between.
    """
    from rich.console import Console

    from consumers.runtime.engine_factory import build_engine

    configure_logging("warning")
    check_cluster(broker)
    topics = Topics(input=input_topic, output=output_topic, dead_letter=dead_letter_topic)
    if until not in ("committed", "end"):
        raise SettingError("until", f"{until!r} is neither committed nor end")
    report = compare(
        broker,
        topics,
        build_engine(parse_taggers(tagger), policy, coalesce=False, stability=stability),
        guarantee=check_guarantee(guarantee),
        exact=policy == "always" and not finals_only,
        group=group if until == "committed" else None,
    )
    Console().print(report.table())
    for problem in report.problems[:SHOWN]:
        Console(stderr=True).print(str(problem), highlight=False, markup=False)
    return 0 if report.ok else 1


def check_guarantee(guarantee: str) -> Guarantee:
    """Check the name of a guarantee.

    Raises:
        SettingError: it is none.
    """
    for known in get_args(Guarantee):
        if guarantee == known:
            return cast(Guarantee, known)
    raise SettingError("guarantee", f"{guarantee!r} is neither at_least_once nor exactly_once")


def compare(
    broker: str, topics: Topics, engine: "Engine", *, guarantee: Guarantee, exact: bool, group: str | None
) -> "VerifyReport":
    """Read the topics and compare; blocks.

    Args:
        broker: where they are.
        topics: the service's.
        engine: a fresh one, not coalescing.
        guarantee, exact: see consumers.verify.
        group: compare the input as far as it has committed; None: to its end.

    Raises:
        OperationFailed: a topic cannot be read, or its beginning is gone.
    """
    from consumers.kafka.client.topic_reader import find_ends, read_topic
    from consumers.verify.oracle import RecordedTopics
    from consumers.verify.oracle import verify as verify_records

    ends = find_ends(broker, topics.input, group)
    said = RecordedTopics(
        inputs=read_topic(broker, topics.input),
        outputs=read_topic(broker, topics.output),
        letters=read_topic(broker, topics.dead_letter),
    )
    return verify_records(said, engine, topics.input, guarantee=guarantee, exact=exact, until=ends)
