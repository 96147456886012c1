"""`python -m tests.faults`: the fault injection suite in its long form."""

import asyncio
import sys
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.common.exit_codes import end_with_code
from consumers.common.logs import configure_logging
from consumers.common.settings import OFFLINE, EngineSettings, TaggerOption, parse_taggers
from consumers.kafka.client.security import check_cluster, clear_security_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumers.common.settings import Guarantee
    from stream.engine.engine import Engine

WORKER = (sys.executable, "-m", "consumers.cli.main", "serve")
ROUNDS = {"kill": 30, "term": 30, "stop": 8, "broker": 5, "scale": 3, "scale-static": 3, "restore": 10}
"""Default number of faults."""
SESSIONS = {"restore": 1000}


class FaultName(StrEnum):
    """A fault, or all of them."""

    ALL = "all"
    KILL = "kill"
    TERM = "term"
    STOP = "stop"
    HOLD = "hold"
    BROKER = "broker"
    SCALE = "scale"
    SCALE_STATIC = "scale-static"
    RESTORE = "restore"
    HOSTILE = "hostile"
    LOAD = "load"
    OVERLOAD = "overload"


class GuaranteeChoice(StrEnum):
    """One guarantee, or both in turn."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"
    BOTH = "both"


app = typer.Typer(help="Run workers under faults.", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def faults(
    fault: Annotated[list[FaultName], typer.Argument(help="Faults to inject; all: each in turn.")],
    guarantee: Annotated[GuaranteeChoice, typer.Option(help="Guarantee of the workers.")] = GuaranteeChoice.BOTH,
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Brokers to use, not our own (topics hearken-FAULT-* stay there)."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Worker processes.")] = 3,
    sessions: Annotated[
        int | None,
        typer.Option(help="Live sessions; of restore: in each partition. [200; restore: 1000]"),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Faults to inject. [kill, term: 30; stop: 8; broker: 5 ...]")
    ] = None,
    messages: Annotated[int, typer.Option(help="Hostile records of `hostile`.")] = 1_000_000,
    minutes: Annotated[float, typer.Option(help="Duration of `load`.")] = 60.0,
    rate: Annotated[float, typer.Option(help="Messages a second while faults are injected.")] = 150.0,
    backlog: Annotated[int, typer.Option(help="Most messages sent and not committed.")] = 1000,
    partitions: Annotated[int, typer.Option(help="Of each topic.")] = 4,
    pause: Annotated[float, typer.Option(help="Most seconds between two faults, which come at random.")] = 6.0,
    seed: Annotated[int, typer.Option(help="Of messages and times of faults.")] = 1,
    tagger: TaggerOption = None,
    policy: Annotated[
        str | None, typer.Option(help="Restart policy. [always where every revision is compared, else last:3]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for faults.json, plots and the workers' logs.")] = None,
) -> int:
    """Run workers under faults and compare their output with that of one process; exit code 0 if all is right."""
    from consumers.runtime.engine_factory import build_engine
    from tests.faults.options import Options
    from tests.faults.suite import run_all

    configure_logging("error")
    if broker is None:
        clear_security_variables()
    else:
        check_cluster(broker)
    taggers = tuple(parse_taggers(tagger))
    common = Options(
        guarantee="at_least_once",
        command=WORKER,
        make_engine=partial(_build, build_engine, taggers),
        taggers=taggers,
        policy=policy,
        workers=workers,
        messages=messages,
        minutes=minutes,
        partitions=partitions,
        rate=rate,
        backlog=backlog,
        pause=(0.2, max(0.2, pause)),
        seed=seed,
        out=out,
    )
    names = list(FaultName)[1:] if FaultName.ALL in fault else fault
    plan = []
    for name in map(str, names):
        many = ROUNDS.get(name, 1) if rounds is None else rounds
        talks = SESSIONS.get(name, 200) if sessions is None else sessions
        plan += [(name, replace(common, guarantee=x, rounds=many, sessions=talks)) for x in _promises(guarantee)]
    return 0 if all(one.ok for one in asyncio.run(run_all(plan, broker))) else 1


def _build(build_engine: "Callable[..., Engine]", taggers: "Sequence[str]", policy: str) -> "Engine":
    return build_engine(EngineSettings(tagger=list(taggers), policy=policy, **OFFLINE))


def _promises(guarantee: GuaranteeChoice) -> list["Guarantee"]:
    if guarantee is GuaranteeChoice.BOTH:
        return ["at_least_once", "exactly_once"]
    return ["exactly_once" if guarantee is GuaranteeChoice.EXACTLY_ONCE else "at_least_once"]


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the suite; returns the exit code."""
    given = None if arguments is None else list(arguments)
    return end_with_code(lambda: app(args=given, prog_name="python -m tests.faults", standalone_mode=False))


if __name__ == "__main__":
    sys.exit(main())
