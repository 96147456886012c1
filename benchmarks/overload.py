"""Effect of shorter restarts under load: capacity with and without them, and latency beyond capacity.

All runs are in one process on one thread, one after the other, in real time: updates arrive at their own pace whether
or not the engine keeps up. Only idle waiting is skipped.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np
import torch

from benchmarks.harness.open_loop import Outcome, drive
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, format_ratio, make_table
from benchmarks.harness.texts import make_texts, speak_in_turns
from consumers.common.console import percent
from encoder.restart.policies import parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger
from stream.engine.engine import Engine
from stream.engine.open_loop import SkippingClock
from stream.messages.types import Message
from stream.overload.governor import Governor

CAPACITY_SECONDS = 4.0
"""About how long each measurement of a capacity takes."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Throughput while something is always waiting."""

    restarts: str
    updates_per_second: float


class LoadLatency(msgspec.Struct, frozen=True, kw_only=True):
    """Latency of updates under one setting: from arrival to the end of the step that answered them."""

    coalesce: bool
    governed: bool
    p50_ms: float
    p99_ms: float
    last_p99_ms: float
    """Of the last quarter: shows whether it keeps growing."""
    shortened: float
    """Share of the updates whose restart was shortened."""
    coalesced: float
    """Share of the updates that were skipped because a newer one of their segment was waiting."""


class OverloadReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one run."""

    tagger: str
    policy: str
    sessions: int
    words: int
    load: float
    """Arriving updates as a multiple of the capacity with the policy's restarts."""
    seconds: float
    target: float
    """Waiting time in seconds beyond which restarts get shorter."""
    capacities: list[Capacity]
    waiting: list[LoadLatency]


def run_overload(
    name: str,
    sessions: int,
    words: int,
    policy: str,
    *,
    load: float,
    seconds: float,
    target: float,
    progress: ReportProgress,
) -> OverloadReport:
    """Measure capacities, then latency at `load` times the capacity, for `seconds` with each setting.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    torch.set_num_threads(1)
    tagger = load_single_tagger(name, max_sessions=sessions)
    policy = resolve_policy(policy, tagger.default_policy)
    texts = make_texts(sessions, words)
    progress("capacity", 0.0)
    _measure_capacity(tagger, texts, policy, 0.5)  # compiles what is compiled
    full = _measure_capacity(tagger, texts, policy, CAPACITY_SECONDS)
    least = _measure_capacity(tagger, texts, "never", CAPACITY_SECONDS)
    waiting: list[LoadLatency] = []
    for coalesce in (False, True):
        for governed in (False, True):
            progress(f"latency{', coalesced' * coalesce}{', governed' * governed}", 0.2 + 0.2 * len(waiting))
            limit = target if governed else None
            waiting.append(_measure_latency(tagger, texts, policy, load * full, seconds, coalesce, limit))
    return OverloadReport(
        tagger=tagger.name,
        policy=policy,
        sessions=sessions,
        words=words,
        load=load,
        seconds=seconds,
        target=target,
        capacities=[
            Capacity(restarts=policy, updates_per_second=full),
            Capacity(restarts="append only", updates_per_second=least),
        ],
        waiting=waiting,
    )


def _measure_capacity(tagger: Tagger, texts: Sequence[Sequence[str]], policy: str, seconds: float) -> float:
    """Return updates a second while something is always waiting."""
    engine, clock = Engine(tagger, parse_policy(policy)), SkippingClock()
    began = clock.now()

    def arrivals() -> Iterator[tuple[float, Message]]:
        for _, message in speak_in_turns(texts, 1.0):
            if clock.now() - began > seconds:
                return
            yield 0.0, message

    outcome = drive(engine, arrivals(), clock)
    _end_sessions(engine)
    return len(outcome.latencies) / (clock.now() - began)


def _measure_latency(
    tagger: Tagger,
    texts: Sequence[Sequence[str]],
    policy: str,
    rate: float,
    seconds: float,
    coalesce: bool,
    target: float | None,
) -> LoadLatency:
    engine = Engine(tagger, parse_policy(policy), coalesce=coalesce, governor=Governor(target) if target else None)
    arrivals = islice(speak_in_turns(texts, rate), int(rate * seconds))
    outcome = drive(engine, arrivals, SkippingClock())
    stats = engine.stats
    _end_sessions(engine)
    return LoadLatency(
        coalesce=coalesce,
        governed=target is not None,
        p50_ms=_percentile_ms(outcome, 0, seconds, 50),
        p99_ms=_percentile_ms(outcome, 0, seconds, 99),
        last_p99_ms=_percentile_ms(outcome, 0.75 * seconds, seconds, 99),
        shortened=stats.restarts_shortened / stats.messages,
        coalesced=stats.coalesced / stats.messages,
    )


def _percentile_ms(outcome: Outcome, begin: float, end: float, share: float) -> float:
    return 1000 * float(np.percentile(outcome.between(begin, end), share))


def _end_sessions(engine: Engine) -> None:
    """Free the tagger's slots for the next run."""
    engine.idle_seconds = 0.0
    engine.expire(float("inf"))
    while engine.pending:
        engine.step()


def overload_tables(report: OverloadReport) -> list[Table]:
    """Lay out the capacities, and the latencies with each setting."""
    full = report.capacities[0].updates_per_second
    capacity = {
        "restarts": lambda x: x.restarts,
        "updates/s": lambda x: f"{x.updates_per_second:,.0f}",
        "ratio": lambda x: format_ratio(x.updates_per_second / full),
    }
    waiting = {
        "coalesced": lambda x: "yes" if x.coalesce else "no",
        "restarts": lambda x: f"shorter beyond {report.target:g} s" if x.governed else "as the policy says",
        "p50 ms": lambda x: f"{x.p50_ms:,.0f}",
        "p99 ms": lambda x: f"{x.p99_ms:,.0f}",
        "p99 ms, last quarter": lambda x: f"{x.last_p99_ms:,.0f}",
        "shortened %": lambda x: percent(x.shortened),
        "skipped %": lambda x: percent(x.coalesced),
    }
    title = f"{report.tagger}, {report.sessions} sessions, segments of {report.words} words"
    load = f"{report.load:g} times the capacity of {report.policy} for {report.seconds:g} s"
    return [make_table(title, report.capacities, capacity), make_table(load, report.waiting, waiting, left=2)]
