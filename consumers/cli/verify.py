"""`hearken verify`: the output of a service compared with that of one process on the same input."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from consumers.cli.flags import Select
from consumers.common.logs import configure_logging
from consumers.common.settings import OFFLINE, EngineSettings, Guarantee, ServiceSettings, Topics, setting

if TYPE_CHECKING:
    from consumers.verify.report import VerifyReport
    from stream.engine.engine import Engine

MAX_SHOWN = 20
"""Largest number of problems that are listed."""

_option = partial(setting, panel="Comparison", variable=False)


@dataclass(frozen=True, kw_only=True)
class VerifyCommand:
    """Settings of `hearken verify`: those of the service, and what is compared."""

    service: Annotated[ServiceSettings, Select("broker input output dead_letter group guarantee")]
    engine: Annotated[EngineSettings, Select("tagger policy stability", **OFFLINE)]
    finals_only: Annotated[
        bool,
        _option(
            "With the policy always: compare only final labels, not each revision byte for byte. For a service that "
            "coalesces updates or shortens restarts.",
            "--finals-only",
        ),
    ] = False
    until: Annotated[
        Literal["committed", "end"],
        _option("Compare the input up to the offsets that the group has committed, or all of it."),
    ] = "committed"


def verify(settings: VerifyCommand) -> int:
    """Compare a service's whole output with a run of one process; exit code 0 if nothing is wrong.

    The topics must still have their first records, and no session may have expired (--idle-seconds).
    """
    from rich.console import Console

    from consumers.kafka.client.security import check_cluster
    from consumers.runtime.engine_factory import build_engine, check_engine

    configure_logging("info")
    service = settings.service
    check_cluster(service.broker)
    check_engine(settings.engine)
    engine = build_engine(settings.engine)
    configure_logging("warning")
    report = compare(
        service.broker,
        service.topics,
        engine,
        guarantee=service.guarantee,
        exact=settings.engine.policy == "always" and not settings.finals_only,
        group=service.group if settings.until == "committed" else None,
    )
    Console().print(report.table())
    for problem in report.problems[:MAX_SHOWN]:
        Console(stderr=True).print(str(problem), highlight=False, markup=False)
    return 0 if report.ok else 1


def compare(
    broker: str, topics: Topics, engine: "Engine", *, guarantee: Guarantee, exact: bool, group: str | None
) -> "VerifyReport":
    """Read the topics and compare; blocks.

    Args:
        broker: addresses of the brokers.
        topics: topics of the service.
        engine: a new engine that does not coalesce.
        guarantee: delivery guarantee of the service (consumers/verify/oracle.py).
        exact: compare each revision byte for byte.
        group: compare the input up to its committed offsets; None: all of the input.

    Raises:
        OperationFailed: a topic cannot be read, or its first records were deleted.
    """
    from consumers.kafka.client.topic_reader import find_ends, read_topic
    from consumers.verify.oracle import RecordedTopics
    from consumers.verify.oracle import verify as verify_records

    ends = find_ends(broker, topics.input, group)
    recorded = RecordedTopics(
        inputs=read_topic(broker, topics.input),
        outputs=read_topic(broker, topics.output),
        letters=read_topic(broker, topics.dead_letter),
    )
    return verify_records(recorded, engine, topics.input, guarantee=guarantee, exact=exact, until=ends)
