"""`hearken broker`: the embedded broker alone."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

import typer

from consumers.common.logs import configure_logging
from consumers.common.settings import setting

DEFAULT_BROKER_PORT = 9092


@dataclass(frozen=True, kw_only=True)
class BrokerCommand:
    """Settings of `hearken broker`."""

    port: Annotated[
        int,
        setting(
            "Port on this machine; 0 takes a free one.", panel="Kafka", min=0, max=65535, metavar="PORT", variable=False
        ),
    ] = DEFAULT_BROKER_PORT


def broker(settings: BrokerCommand) -> None:
    """Run the embedded broker for trials until Ctrl-C. It is in memory and keeps nothing.

    Topics are created on first use, with four partitions of 5 MiB at most. Only programs of this machine reach it. It
    serves one member of a consumer group and has no transactions (`--guarantee exactly_once`).
    """
    configure_logging("info")
    asyncio.run(_run(settings.port))


async def _run(port: int) -> None:
    from consumers.kafka.brokers.embedded import FETCH_WAIT_MS, OwnBroker, open_broker
    from consumers.kafka.brokers.local_port import forward_port
    from consumers.runtime.serve import stopped_by_signals

    with stopped_by_signals() as stop:
        async with open_broker(OwnBroker.EMBEDDED) as inner, forward_port(port, inner) as address:
            typer.echo(f"embedded broker at {address}, for trials: in memory, it keeps nothing when it ends (Ctrl-C)")
            flags = f"--broker {address} --fetch-wait-ms {FETCH_WAIT_MS}"
            typer.echo(f"hearken serve {flags} answers without delay: this broker waits out every fetch")
            await stop.wait()
    typer.echo("embedded broker ended; its topics and records are gone")
