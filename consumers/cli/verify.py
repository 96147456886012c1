"""`hearken verify`: the output of a service compared with that of one process on the same input."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from consumers.cli.flags import Select
from consumers.common.logs import configure_logging
from consumers.common.redaction import RedactionSettings
from consumers.common.settings import OFFLINE, EngineSettings, ServiceSettings, setting

MAX_SHOWN = 20
"""Largest number of problems that are listed."""

_option = partial(setting, panel="Comparison", variable=False)


@dataclass(frozen=True, kw_only=True)
class VerifyCommand:
    """Settings of `hearken verify`: those of the service, and what is compared."""

    service: Annotated[ServiceSettings, Select("broker input output dead_letter group guarantee")]
    engine: Annotated[
        EngineSettings, Select("tagger policy stability score_threshold settled_threshold publish_settled", **OFFLINE)
    ]
    redaction: RedactionSettings
    """Revisions of a service that redacts have no text of spans."""
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

    Give the settings that the service has. The topics must still have their first records, and no session may have
    expired (--idle-seconds).
    """
    from rich.console import Console

    from consumers.kafka.client.security import check_cluster
    from consumers.runtime.engine_factory import build_engine, check_engine

    configure_logging("info")
    service = settings.service
    check_cluster(service.broker)
    check_engine(settings.engine)
    engine = build_engine(settings.engine, settings.redaction)
    from consumers.verify.topic_check import verify_topics

    configure_logging("warning")
    report = verify_topics(
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
