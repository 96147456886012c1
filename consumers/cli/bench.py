"""`hearken bench`: how many live speakers one core of this machine carries, and what limits it."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.cli.flags import Select
from consumers.common.console import console, make_table
from consumers.common.cores import usable_cores
from consumers.common.errors import OperationFailed
from consumers.common.logs import configure_logging
from consumers.common.settings import EngineSettings, setting

if TYPE_CHECKING:
    from consumers.runtime.capacity import CapacityRun

_option = partial(setting, panel="Measurement", variable=False)

UNDISTURBED = 0.95
"""Share of the computing time with a processor from which on other programs do not count."""
FULL = 0.97
"""Share of the core from which on the core itself is the limit."""


@dataclass(frozen=True, kw_only=True)
class BenchCommand:
    """Settings of `hearken bench`."""

    engine: Annotated[EngineSettings, Select("tagger policy number_format", idle_seconds=None)]
    p99_ms: Annotated[float, _option("Latency that 99 of 100 messages must not exceed.", min=1.0, metavar="MS")] = 100.0
    seconds: Annotated[float, _option("Duration of each measurement, in speech time.", min=0.2, metavar="SECONDS")] = (
        5.0
    )
    max_speakers: Annotated[int, _option("Largest number of speakers to try.", min=1)] = 20_000
    as_json: Annotated[bool, _option("Print the measurements as JSON.", "--json")] = False


def bench(settings: BenchCommand) -> None:
    """Measure how many live speakers one core carries in time, in about a minute, and what limits it.

    Synthetic speakers of 2.5 words a second go through the engine and its JSON. What Kafka takes besides is estimated.
    """
    configure_logging("info")
    from consumers.runtime.engine_factory import build_engine, check_engine

    check_engine(settings.engine)
    engine = build_engine(settings.engine)
    from consumers.common.gc_tuning import tune_interpreter
    from consumers.runtime.capacity import (
        CapacityRun,
        estimate_through_kafka,
        find_capacity,
        measure_speakers,
        trials_left,
    )
    from encoder.progress import progress_bar

    configure_logging("warning")
    p99_ms, seconds, max_speakers = settings.p99_ms, settings.seconds, settings.max_speakers
    tune_interpreter()
    runs: list[CapacityRun] = []

    def carries(speakers: int) -> bool:
        run = measure_speakers(engine, speakers, seconds, f"speaker{len(runs)}")
        runs.append(run)
        line = f"{speakers:,} speakers: p99 {run.p99_ms:.0f} ms, {run.core_share:.0%} of the core"
        bar.console.print(line, highlight=False, soft_wrap=True)
        carried = max((x.speakers for x in runs if x.carried(p99_ms)), default=0)
        refused = min((x.speakers for x in runs if not x.carried(p99_ms)), default=None)
        bar.update(trials, completed=len(runs), total=len(runs) + trials_left(carried, refused, max_speakers))
        return run.carried(p99_ms)

    measure_speakers(engine, 4, 0.5, "warm-up")  # compiles the kernels
    alone = measure_speakers(engine, min(64, max_speakers), min(1.0, seconds), "first")
    first = max(1, int(alone.speakers / max(alone.core_share, 0.001) / 2))
    with progress_bar() as bar:
        trials = bar.add_task("measurements", total=1 + trials_left(0, None, max_speakers))
        speakers = find_capacity(carries, first, max_speakers)
    if engine.stats.failures:
        raise OperationFailed(f"labelling failed {engine.stats.failures} times: the figures say nothing")
    limit, through_kafka = describe_limit(runs, speakers), estimate_through_kafka(speakers)
    if settings.as_json:
        import msgspec

        found = {
            "taggers": engine.tagger_names,
            "policy": settings.engine.policy,
            "p99_ms": p99_ms,
            "speakers": speakers,
            "through_kafka": through_kafka,
            "cores": usable_cores(),
            "limit": limit,
            "runs": runs,
        }
        typer.echo(msgspec.json.encode(found).decode())
        return
    _print_table(runs, p99_ms)
    names = ", ".join(engine.tagger_names)
    typer.echo(f"One core carries {speakers:,} live speakers at p99 <= {p99_ms:g} ms ({names}).")
    once, exactly = through_kafka["at_least_once"], through_kafka["exactly_once"]
    typer.echo(f"Through Kafka about {once:,} at least once, {exactly:,} exactly once: an estimate of its work beside.")
    if (cores := usable_cores()) > 1:
        typer.echo(f"This process may use {cores} cores: --workers {cores} carries up to {cores} times as many.")
    typer.echo(f"Limit: {limit}.")
    if disturbance := describe_disturbance(runs):
        typer.echo(disturbance)


def describe_disturbance(runs: "list[CapacityRun]") -> str:
    """Say how much of the core other programs took, if that changes the result; empty if it does not."""
    had = min((run.cpu_share for run in runs), default=1.0)
    if had >= UNDISTURBED:
        return ""
    return f"Other programs took up to {1 - had:.0%} of the core meanwhile: with less beside it, it carries more."


def describe_limit(runs: "list[CapacityRun]", speakers: int) -> str:
    """Say what keeps more speakers from being carried, from the smallest number that was not."""
    failed = sorted((run for run in runs if run.speakers > speakers), key=lambda run: run.speakers)
    if not failed:
        return "none up to the largest number that was tried (--max-speakers)"
    run = failed[0]
    shares = sorted(run.phases.items(), key=lambda phase: -phase[1])
    parts = ", ".join(f"{phase} {share:.0%}" for phase, share in shares if share >= 0.01)
    cause = (
        "the core computes all the time"
        if run.core_share >= FULL
        else f"{run.step_ms:.0f} ms for a step of {run.messages_per_step:.0f} messages"
    )
    return f"at {run.speakers:,} speakers {cause} ({parts}); {run.coalesced:.0%} of the messages were coalesced"


def _print_table(runs: "list[CapacityRun]", p99_ms: float) -> None:
    heads = ("speakers", "words/s", "p50 ms", "p99 ms", "core %", "step ms", "messages/step", "coalesced %", "ok")
    table = make_table(right=heads)
    for run in sorted(runs, key=lambda run: run.speakers):
        core, coalesced = 100 * run.core_share, 100 * run.coalesced
        figures = (run.p50_ms, run.p99_ms, core, run.step_ms, run.messages_per_step, coalesced)
        ok = "yes" if run.carried(p99_ms) else "no"
        table.add_row(f"{run.speakers:,}", f"{run.words_per_second:,.0f}", *(f"{x:.1f}" for x in figures), ok)
    console().print(table)
