"""`hearken dlq`: what the service could not use, counted, shown, and sent back to where it came from."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from aiokafka import TopicPartition
from rich.table import Table

from consumers.common.console import console
from consumers.common.logs import configure_logging
from consumers.common.settings import ServiceSettings, Topics
from consumers.formats.decode import shorten
from consumers.kafka.client.security import check_cluster
from consumers.kafka.dead_letters.records import DeadLetter
from consumers.kafka.dead_letters.replay import MAX_REPLAYS, ReplayOutcome, ReplayRequest, read_letters
from consumers.kafka.dead_letters.replay import replay as replay_letters

MOST_SHOWN = 20
"""Letters that were left and are named one by one."""

dlq = typer.Typer(
    name="dlq", help="Look at dead letters, and replay them.", no_args_is_help=True, pretty_exceptions_enable=False
)

BrokerOption = Annotated[
    str, typer.Option(envvar="HEARKEN_BROKER", metavar="HOST:PORT", help="Kafka brokers, separated by commas.")
]
TopicOption = Annotated[str, typer.Option(envvar="HEARKEN_DEAD_LETTER_TOPIC", help="Topic of dead letters.")]
ConnectOption = Annotated[
    float, typer.Option(envvar="HEARKEN_CONNECT_SECONDS", help="How long to wait for a broker that does not answer.")
]


@dataclass(slots=True)
class ReasonCount:
    """Dead letters of one reason from one partition."""

    letters: int = 0
    first: float = float("inf")
    last: float = 0.0
    """Seconds since 1970."""

    def add(self, time: float) -> None:
        """Count one more."""
        self.letters, self.first, self.last = self.letters + 1, min(self.first, time), max(self.last, time)


Tallies = dict[tuple[str, TopicPartition | None], ReasonCount]


@dlq.command("list")
def list_letters(
    broker: BrokerOption = "localhost:9092",
    dead_letter_topic: TopicOption = Topics.dead_letter,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Write each letter as a JSON line too, with its text.")
    ] = False,
    connect_seconds: ConnectOption = ServiceSettings.connect_seconds,
) -> int:
    """Count dead letters by reason and by the partition they come from."""
    configure_logging("warning")
    check_cluster(broker)
    Topics(dead_letter=dead_letter_topic)
    tallies = asyncio.run(_tally(broker, dead_letter_topic, connect_seconds, show_values))
    console().print(letters_table(tallies, dead_letter_topic))
    return 0


@dlq.command()
def replay(
    broker: BrokerOption = "localhost:9092",
    dead_letter_topic: TopicOption = Topics.dead_letter,
    group: Annotated[
        str, typer.Option(envvar="HEARKEN_GROUP", help="The service's group; what was replayed is noted in GROUP.dlq.")
    ] = ServiceSettings.group,
    reason: Annotated[
        list[str] | None, typer.Option(help="Only letters with this reason; several parted by commas. Default: all.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Send so many letters at most.")] = None,
    max_replays: Annotated[
        int, typer.Option(min=1, help="A record that was replayed so often already is left where it is.")
    ] = MAX_REPLAYS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    connect_seconds: ConnectOption = ServiceSettings.connect_seconds,
) -> int:
    """Send dead letters back to the partitions they come from, each once; exit code 1 if one could not be sent."""
    configure_logging("warning")
    check_cluster(broker)
    Topics(dead_letter=dead_letter_topic)
    ServiceSettings(broker=broker, group=f"{group}.dlq")
    wanted = ReplayRequest(
        broker=broker,
        topic=dead_letter_topic,
        group=f"{group}.dlq",
        reasons=frozenset(name.strip() for names in reason or [] for name in names.split(",") if name.strip()),
        limit=limit,
        max_replays=max_replays,
        dry_run=dry_run,
        patience=connect_seconds,
    )
    outcome = asyncio.run(replay_letters(wanted))
    _report(outcome, dry_run)
    return 1 if outcome.left else 0


async def _tally(broker: str, topic: str, patience: float, show: bool) -> Tallies:
    tallies: Tallies = {}
    async for letter in read_letters(broker, topic, patience):
        kind = ("not written by the service", None) if letter is None else (letter.reason, letter.origin)
        tallies.setdefault(kind, ReasonCount()).add(letter.time if letter else float("inf"))
        if letter is not None and show:
            print(json.dumps(describe(letter), ensure_ascii=False))
    return tallies


def describe(letter: DeadLetter) -> dict[str, object]:
    """Everything about a letter, its text too, as JSON has it."""
    return {
        "partition": letter.home.partition,
        "offset": letter.offset,
        "time": _when(letter.time),
        "reason": letter.reason,
        "replays": letter.replays,
        "from": [letter.origin.topic, letter.origin.partition, letter.origin_offset],
        "bytes": letter.size,
        "key": None if letter.key is None else letter.key.decode("utf-8", "backslashreplace"),
        "value": letter.value.decode("utf-8", "backslashreplace"),
    }


def letters_table(tallies: Tallies, topic: str) -> Table:
    """Lay out counts, the most frequent first."""
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


def _report(outcome: ReplayOutcome, dry_run: bool) -> None:
    table = Table(title="would be replayed" if dry_run else "replayed")
    for head in ("reason", "to", "letters"):
        table.add_column(head, justify="right" if head == "letters" else "left", no_wrap=True)
    for (reason, topic), count in outcome.sent.most_common():
        table.add_row(shorten(reason, 40), topic, f"{count:,}")
    console().print(table)
    for line in left_lines(outcome):
        typer.echo(line, err=True)


def left_lines(outcome: ReplayOutcome) -> Iterable[str]:
    """Say where the letters lie that could not be sent, and why."""
    for why, home, offset in outcome.left[:MOST_SHOWN]:
        yield f"left: {home.topic} {home.partition}:{offset} {why}"
    if len(outcome.left) > MOST_SHOWN:
        yield f"left: {len(outcome.left) - MOST_SHOWN:,} more"
    if outcome.passed:
        yield f"{outcome.passed:,} letters were not asked for (--reason, --limit)"
