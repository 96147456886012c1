"""`hearken demo`: broker, service and a replayed live transcript in one process."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from consumers.cli.flags import Select
from consumers.cli.options import ApacheKafkaOption, HttpFlags, SpeedOption, parse_speed
from consumers.common.console import show_loading
from consumers.common.logs import configure_logging
from consumers.common.settings import EngineSettings, setting


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """Settings of `hearken demo`."""

    speed: SpeedOption = "10"
    file: Annotated[
        Path | None,
        setting(
            "Recorded stream to replay.",
            panel="Replay",
            variable=False,
            exists=True,
            dir_okay=False,
            metavar="FILE",
            show_default="the sample interview",
        ),
    ] = None
    broker: Annotated[
        str | None,
        setting(
            "Kafka brokers to use; topics hearken-demo-* stay there.",
            panel="Kafka",
            metavar="HOST:PORT",
            variable=False,
            show_default="an embedded one",
        ),
    ] = None
    apache_kafka: ApacheKafkaOption = False
    engine: Annotated[
        EngineSettings,
        Select(
            "tagger policy stability score_threshold settled_threshold publish_settled",
            idle_seconds=None,
            overload_seconds=0.0,
        ),
    ]
    http: Annotated[HttpFlags, Select("http_port")]


def demo(settings: DemoCommand) -> int:
    """Show a live transcript that is labelled while it arrives, through a broker."""
    configure_logging("info")
    from consumers.kafka.client.security import check_broker_choice
    from consumers.runtime.engine_factory import check_engine

    speed = parse_speed(settings.speed)
    check_broker_choice(settings.broker, own=settings.apache_kafka)
    check_engine(settings.engine)
    with show_loading("service"):
        from consumers.demo.demo import Demo
        from consumers.kafka.brokers.embedded import OwnBroker

    own = OwnBroker.APACHE if settings.apache_kafka else OwnBroker.EMBEDDED
    demo = Demo(
        engine=settings.engine,
        broker=settings.broker or own,
        speed=speed,
        file=settings.file,
        http=settings.http.read(),
    )
    return asyncio.run(demo.run())
