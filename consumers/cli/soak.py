"""`hearken soak` on the command line: which recordings, through which broker."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.common.logs import configure_logging
from consumers.common.settings import DEFAULT_POLICY, TAGGER_HELP, parse_taggers
from consumers.kafka.client.security import check_cluster, speak_plainly

if TYPE_CHECKING:
    from stream.messages.types import Message


def soak(
    file: Annotated[
        list[Path] | None, typer.Option(help="Recorded stream: messages in normal form as JSON lines; may be repeated.")
    ] = None,
    events: Annotated[
        list[Path] | None, typer.Option(help="A recogniser's events (`*.events.jsonl`), or a folder of them.")
    ] = None,
    increments: Annotated[list[Path] | None, typer.Option(help="Timed increments of many calls.")] = None,
    speeches: Annotated[list[Path] | None, typer.Option(help="Speeches with timed words, all at once.")] = None,
    broker: Annotated[
        str | None, typer.Option(envvar="HEARKEN_BROKER", metavar="HOST:PORT", help="Use these brokers, not our own.")
    ] = None,
    tagger: Annotated[list[str] | None, typer.Option(help=TAGGER_HELP)] = None,
    policy: Annotated[str, typer.Option(help="Restart policy.")] = DEFAULT_POLICY,
    coalesce: Annotated[bool, typer.Option(help="Compute only the newest of several waiting updates.")] = False,
) -> int:
    """Send recordings through Kafka as fast as it goes; check that nothing is lost and finals equal offline."""
    from consumers.recordings.datasets import read_events, read_increments, read_speeches
    from consumers.verify.soak import soak as run

    configure_logging("warning")
    if broker is None:
        speak_plainly()
    else:
        check_cluster(broker)
    messages = list(
        chain(
            _read(file, _read_normal),
            _read(chain.from_iterable(_expand(path) for path in events or ()), read_events),
            _read(increments, read_increments),
            _read(speeches, read_speeches),
        )
    )
    if not messages:
        typer.echo("hearken soak: name a recording with --file, --events, --increments or --speeches", err=True)
        raise typer.Exit(2)
    return asyncio.run(run(messages, parse_taggers(tagger), policy, broker, coalesce=coalesce))


def _read(paths: Iterable[Path] | None, read: Callable[[Path], Iterator["Message"]]) -> Iterator["Message"]:
    from consumers.common.errors import RecordingError

    for path in paths or ():
        try:
            yield from read(path)
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            raise RecordingError(f"{path}: {error}") from error


def _read_normal(path: Path) -> Iterator["Message"]:
    from consumers.recordings.jsonl import read_recording

    return (recorded.message for recorded in read_recording(path))


def _expand(path: Path) -> list[Path]:
    return sorted(path.glob("*.events.jsonl")) if path.is_dir() else [path]
