"""`hearken replay`: a recorded stream to a topic."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from consumers.cli.flags import Select
from consumers.cli.options import FormatOption, LogLevelOption, SessionOption, SpeedOption
from consumers.common.logs import configure_logging
from consumers.common.settings import ServiceSettings, parse_speed, setting


@dataclass(frozen=True, kw_only=True)
class ReplayCommand:
    """Settings of `hearken replay`."""

    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Recorded stream: timed messages in normal form or a vendor's.",
        ),
    ]
    service: Annotated[ServiceSettings, Select("broker input connect_seconds")]
    speed: SpeedOption = "1"
    format: FormatOption = "normal"
    session: SessionOption = None
    raw: Annotated[
        bool,
        setting(
            "Send every line unchanged, for `hearken serve --format`.",
            "--raw",
            panel="Messages",
            variable=False,
        ),
    ] = False
    log_level: LogLevelOption = "info"


def replay(settings: ReplayCommand) -> int:
    """Send a recorded stream to a Kafka topic; exit code 1 if a line was bad, or nothing was sent."""
    configure_logging(settings.log_level)
    from consumers.formats.readers import NORMAL, check_format
    from consumers.kafka.client.security import check_cluster
    from consumers.recordings.jsonl import read_recording
    from consumers.recordings.replay import replay_recording
    from consumers.recordings.vendor_file import VendorFile

    service = settings.service
    check_cluster(service.broker)
    speed = parse_speed(settings.speed)
    check_format(settings.format)
    bad = 0

    def report(number: int, error: str) -> None:
        nonlocal bad
        bad += 1
        print(f"line {number}: {error}", file=sys.stderr, flush=True)

    if settings.format == NORMAL:
        recording = read_recording(settings.file, report, raw=settings.raw)
    else:
        recording = VendorFile(settings.file, settings.format, settings.session).read(settings.raw, report)
    topic = service.topics.input
    sent = asyncio.run(replay_recording(recording, service.broker, topic, speed, service.connect_seconds))
    if bad:
        print(f"{bad} bad line{'s' if bad > 1 else ''}", file=sys.stderr)
    elif not sent:
        print(f"nothing was sent: no line of {settings.file} has a message of {settings.format}", file=sys.stderr)
    return 1 if bad or not sent else 0
