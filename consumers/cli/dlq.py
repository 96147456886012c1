"""`hearken dlq`: count, show and replay dead letters."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.cli.flags import Select
from consumers.common.console import console
from consumers.common.logs import configure_logging
from consumers.common.settings import ServiceSettings, check_choice, setting

if TYPE_CHECKING:
    from aiokafka import TopicPartition
    from rich.table import Table

    from consumers.kafka.dead_letters.records import DeadLetter
    from consumers.kafka.dead_letters.replay import ReplayOutcome

MAX_SHOWN = 20
"""Largest number of skipped letters that are listed one by one."""

_option = partial(setting, panel="Letters", variable=False)


@dataclass(frozen=True, kw_only=True)
class ListCommand:
    """Settings of `hearken dlq list`."""

    service: Annotated[ServiceSettings, Select("broker dead_letter connect_seconds")]
    show_values: Annotated[bool, _option("Also write each letter as a JSON line, with its text.", "--show-values")] = (
        False
    )


@dataclass(frozen=True, kw_only=True)
class DlqReplayCommand:
    """Settings of `hearken dlq replay`."""

    service: Annotated[ServiceSettings, Select("broker dead_letter group connect_seconds")]
    reason: Annotated[
        list[str] | None,
        _option(
            "Only letters with this reason; repeat it or separate reasons by commas.",
            metavar="REASON",
            show_default="all",
        ),
    ] = None
    limit: Annotated[int | None, _option("Largest number of letters to send.", min=1, show_default="all")] = None
    max_replays: Annotated[int, _option("Skip records that have been replayed this often.", min=1)] = 3
    dry_run: Annotated[bool, _option("Only show what would be sent.", "--dry-run")] = False


@dataclass(slots=True)
class ReasonCount:
    """Number and period of the dead letters with one reason from one partition."""

    letters: int = 0
    first: float = float("inf")
    last: float = 0.0
    """Seconds since 1970."""

    def add(self, time: float) -> None:
        """Count one more."""
        self.letters, self.first, self.last = self.letters + 1, min(self.first, time), max(self.last, time)


Tallies = dict[tuple[str, "TopicPartition | None"], ReasonCount]


def list_letters(settings: ListCommand) -> int:
    """Count dead letters by reason and by original partition."""
    configure_logging("warning")
    from consumers.kafka.client.security import check_cluster

    service = settings.service
    check_cluster(service.broker)
    topic = service.topics.dead_letter
    tallies = asyncio.run(_tally(service.broker, topic, service.connect_seconds, settings.show_values))
    console().print(letters_table(tallies, topic))
    return 0


def replay_dead_letters(settings: DlqReplayCommand) -> int:
    """Send dead letters back to their original partitions, each once; exit code 1 if one could not be sent.

    What was sent is recorded as the progress of the consumer group GROUP.dlq.
    """
    configure_logging("warning")
    from consumers.kafka.client.security import check_cluster
    from consumers.kafka.dead_letters.records import REASONS
    from consumers.kafka.dead_letters.replay import ReplayRequest, replay_letters

    service = settings.service
    check_cluster(service.broker)
    group = f"{service.group}.dlq"
    ServiceSettings(group=group)  # checks its length
    reasons = frozenset(name.strip() for names in settings.reason or [] for name in names.split(",") if name.strip())
    for reason in reasons:
        check_choice("reason", reason, REASONS)
    request = ReplayRequest(
        broker=service.broker,
        topic=service.topics.dead_letter,
        group=group,
        reasons=reasons,
        limit=settings.limit,
        max_replays=settings.max_replays,
        dry_run=settings.dry_run,
        patience=service.connect_seconds,
    )
    outcome = asyncio.run(replay_letters(request))
    _report(outcome, settings.dry_run)
    return 1 if outcome.left else 0


async def _tally(broker: str, topic: str, patience: float, show: bool) -> Tallies:
    from consumers.kafka.dead_letters.replay import read_letters

    tallies: Tallies = {}
    async for letter in read_letters(broker, topic, patience):
        kind = ("not written by the service", None) if letter is None else (letter.reason, letter.origin)
        tallies.setdefault(kind, ReasonCount()).add(letter.time if letter else float("inf"))
        if letter is not None and show:
            print(json.dumps(letter_fields(letter), ensure_ascii=False))
    return tallies


def letter_fields(letter: "DeadLetter") -> dict[str, object]:
    """All fields of a letter for JSON, with its text."""
    return {
        "partition": letter.location.partition,
        "offset": letter.offset,
        "time": _when(letter.time),
        "reason": letter.reason,
        "replays": letter.replays,
        "from": [letter.origin.topic, letter.origin.partition, letter.origin_offset],
        "bytes": letter.size,
        "key": None if letter.key is None else letter.key.decode("utf-8", "backslashreplace"),
        "value": None if letter.value is None else letter.value.decode("utf-8", "backslashreplace"),
        "headers": [[name, None if x is None else x.decode("utf-8", "backslashreplace")] for name, x in letter.headers],
    }


def letters_table(tallies: Tallies, topic: str) -> "Table":
    """Table of counts, the most frequent first."""
    from rich.table import Table

    from consumers.formats.decode import shorten

    table = Table(title=f"{topic}: {sum(tally.letters for tally in tallies.values()):,} dead letters")
    for head in ("reason", "topic", "partition", "letters", "first", "last"):
        table.add_column(head, justify="right" if head in ("partition", "letters") else "left", no_wrap=True)
    for (reason, origin), tally in sorted(tallies.items(), key=lambda item: (-item[1].letters, item[0][0])):
        place = ("", "") if origin is None else (origin.topic, str(origin.partition))
        times = ("", "") if origin is None else (_when(tally.first), _when(tally.last))
        table.add_row(shorten(reason, 40), *place, f"{tally.letters:,}", *times)
    return table


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")


def _report(outcome: "ReplayOutcome", dry_run: bool) -> None:
    from rich.table import Table

    from consumers.formats.decode import shorten

    table = Table(title="would be replayed" if dry_run else "replayed")
    for head in ("reason", "to", "letters"):
        table.add_column(head, justify="right" if head == "letters" else "left", no_wrap=True)
    for (reason, topic), count in outcome.sent.most_common():
        table.add_row(shorten(reason, 40), topic, f"{count:,}")
    console().print(table)
    for line in left_lines(outcome):
        typer.echo(line, err=True)


def left_lines(outcome: "ReplayOutcome") -> Iterable[str]:
    """Describe the letters that could not be sent: partition, offset and cause."""
    for why, location, offset in outcome.left[:MAX_SHOWN]:
        yield f"left: {location.topic} {location.partition}:{offset} {why}"
    if len(outcome.left) > MAX_SHOWN:
        yield f"left: {len(outcome.left) - MAX_SHOWN:,} more"
    if outcome.passed:
        yield f"{outcome.passed:,} letters were not asked for (--reason, --limit)"
