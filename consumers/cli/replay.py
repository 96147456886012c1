"""`hearken replay`: a recorded stream to a topic."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.cli.flags import Select
from consumers.cli.options import FormatOption, LogLevelOption, SessionOption, SpeedOption, check_session, parse_speed
from consumers.common.logs import configure_logging
from consumers.common.settings import ServiceSettings, SettingError, setting

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from consumers.recordings.jsonl import RecordedMessage


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
    service: Annotated[ServiceSettings, Select("broker input output connect_seconds")]
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
    watched = sys.stdout.isatty()
    configure_logging("warning" if watched and settings.log_level == "info" else settings.log_level)
    from consumers.formats.readers import NORMAL, check_format
    from consumers.kafka.client.security import check_cluster
    from consumers.recordings.jsonl import read_recording
    from consumers.recordings.replay import replay_recording
    from consumers.recordings.vendor_file import VendorFile
    from encoder.progress import progress_bar

    service = settings.service
    check_cluster(service.broker)
    speed = parse_speed(settings.speed)
    check_format(settings.format)
    check_session(settings.session)
    if settings.session is not None and settings.format == NORMAL:
        raise SettingError("session", "messages in normal form name their session themselves; leave --session out")
    bad = 0

    def report(number: int, error: str) -> None:
        nonlocal bad
        bad += 1
        print(f"line {number}: {error}", file=sys.stderr, flush=True)

    bar = progress_bar(*_bar_columns())
    with nullcontext() if watched else bar:  # a view has the bar as its foot
        task = bar.add_task(settings.file.name, total=settings.file.stat().st_size or None)
        count = partial(bar.advance, task)
        if settings.format == NORMAL:
            recording = read_recording(settings.file, report, raw=settings.raw, on_line=count)
        else:
            recording = VendorFile(settings.file, settings.format, settings.session).read(settings.raw, report, count)
        if watched:
            sent = asyncio.run(_show_and_send(recording, service, speed, bar))
        else:
            patience = service.connect_seconds
            sent = asyncio.run(replay_recording(recording, service.broker, service.topics.input, speed, patience))
    if watched:
        print(f"{sent} messages were sent to {service.topics.input}")
    if bad:
        print(f"{bad} bad line{'s' if bad > 1 else ''}", file=sys.stderr)
    elif not sent:
        print(f"nothing was sent: no line of {settings.file} has a message of {settings.format}", file=sys.stderr)
    return 1 if bad or not sent else 0


def _bar_columns() -> "list[ProgressColumn]":
    """What the bar of progress shows: the share of the file, as lines are of different lengths."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()]


async def _show_and_send(
    recording: "Iterator[RecordedMessage]", service: ServiceSettings, speed: float | None, bar: "Progress"
) -> int:
    """Send the recording, and show its text with the labels that a service publishes."""
    from rich.console import Console

    from consumers.demo.live_text import LiveText
    from consumers.demo.replay_view import follow_revisions
    from consumers.recordings.replay import replay_recording

    with LiveText(Console(), foot=bar) as view:

        def show(recorded: "RecordedMessage", _: object) -> None:
            if recorded.message is not None:
                view.hear(recorded.message)
                view.write_closed()

        topics, patience = service.topics, service.connect_seconds
        async with follow_revisions(service.broker, topics.output, view, patience):
            return await replay_recording(recording, service.broker, topics.input, speed, patience, show)
