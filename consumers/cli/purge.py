"""`hearken purge SESSION`: remove the stored state of a session at once, and say what remains where."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

import typer

from consumers.cli.flags import Select
from consumers.common.logs import configure_logging
from consumers.common.settings import ServiceSettings


@dataclass(frozen=True, kw_only=True)
class PurgeCommand:
    """Settings of `hearken purge`."""

    session: Annotated[str, typer.Argument(metavar="SESSION", help="Id of the session.")]
    service: Annotated[ServiceSettings, Select("broker input output dead_letter state redacted group connect_seconds")]


def purge(settings: PurgeCommand) -> int:
    """Remove the state of a session from the state topic, and list the records that still hold its texts.

    The workers of the group must be stopped: they keep the session in memory. While they run, send the session's end
    instead, which removes its state too.
    """
    from rich.table import Column, Table

    from consumers.common.console import console
    from consumers.kafka.client.security import check_cluster
    from consumers.kafka.state_purge import purge_state

    configure_logging("error")
    service = settings.service
    check_cluster(service.broker)
    report = asyncio.run(purge_state(service, settings.session))
    print(f"{report.removed} records of the state of this session are removed from {service.topics.state}")
    table = Table(Column("topic", overflow="fold"), "records of the session", "with its raw text", "gone after")
    for remains in report.remains:
        table.add_row(remains.topic, str(remains.records), remains.holds, remains.gone_after)
    console().print(table)
    return 0
