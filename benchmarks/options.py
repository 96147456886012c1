"""Options of `python -m benchmarks`: their types, the reading of lists, and errors that the user can correct."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.common.errors import OperationFailed
from consumers.common.settings import (
    SettingError,
)

if TYPE_CHECKING:
    from consumers.common.settings import Guarantee


app = typer.Typer(
    help="Comparative benchmarks. Run them on a machine that does nothing else.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
TaggerOption = Annotated[str, typer.Option(help="Shipped tagger, checkpoint folder, or FOLDER:HEAD.")]


NumberFormatOption = Annotated[
    str, typer.Option(help="Number format of the encoder: auto (the fastest here), float32, bfloat16 or int8.")
]


PolicyOption = Annotated[str, typer.Option(help="Restart policy.")]


SessionsOption = Annotated[str, typer.Option(help="Numbers of live sessions, separated by commas.")]


WordsOption = Annotated[int, typer.Option(min=2, help="Words of each session's segment.")]


LengthsOption = Annotated[str, typer.Option(help="Words of each session's segment; several separated by commas.")]


RepeatsOption = Annotated[int, typer.Option(min=1, help="Repeats of each side, in turns.")]


StepsOption = Annotated[int, typer.Option(min=1, help="Words of a segment after which peers run, spread evenly.")]


PartsOption = Annotated[str | None, typer.Option(help="Only these parts, separated by commas.")]


QuickOption = Annotated[bool, typer.Option("--quick", help="Small sizes, to see that it works: no valid figures.")]


OutOption = Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")]


class GuaranteeChoice(StrEnum):
    """One guarantee, or both in turn."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"
    BOTH = "both"


def choose_guarantees(asked: GuaranteeChoice | None, embedded: bool) -> tuple["Guarantee", ...]:
    """Give the guarantees to measure.

    Raises:
        SettingError: the embedded broker has no transactions.
    """
    if asked is None:
        return ("at_least_once",) if embedded else ("at_least_once", "exactly_once")
    if embedded and asked is not GuaranteeChoice.AT_LEAST_ONCE:
        raise SettingError("guarantee", "the embedded broker has no transactions: add --apache-kafka, or --broker")
    if asked is GuaranteeChoice.BOTH:
        return "at_least_once", "exactly_once"
    return ("exactly_once",) if asked is GuaranteeChoice.EXACTLY_ONCE else ("at_least_once",)


def parse_numbers(option: str, text: str) -> list[int]:
    """Parse numbers above 0, separated by commas.

    Raises:
        typer.BadParameter: the text is something else.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
        if min(numbers) < 1:
            raise ValueError
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text!r} is not a list of numbers such as 1,8,64") from error
    return numbers


def parse_parts(text: str | None, known: list[str]) -> list[str]:
    """Parse names of parts, separated by commas; returns them in the order of `known`, all of them for None.

    Raises:
        typer.BadParameter: a part is unknown.
    """
    wanted = set(known) if text is None else {part.strip() for part in text.split(",")}
    if unknown := sorted(wanted - set(known)):
        raise typer.BadParameter(f"--parts {unknown[0]!r} is none of {', '.join(known)}")
    return [part for part in known if part in wanted]


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn errors that the user can correct into usage errors."""
    from benchmarks.peers.bert_weights import NoBert
    from benchmarks.peers.peer import PeerMismatch
    from benchmarks.report.page import PageError
    from encoder.checkpoints.location import CheckpointError
    from encoder.model.config import ConfigError
    from encoder.restart.policy_text import PolicyError
    from encoder.runtime.gpu.device import DeviceError
    from encoder.runtime.number_format import NumberFormatError

    try:
        yield
    except (CheckpointError, ConfigError, PolicyError, NumberFormatError, DeviceError, PageError, NoBert) as error:
        raise typer.BadParameter(str(error)) from error
    except PeerMismatch as error:
        raise OperationFailed(str(error)) from error
