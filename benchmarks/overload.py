"""What shorter restarts are worth under load: capacity with and without them, and latency beyond capacity.

All runs are in one process on one thread, in turns, and in real time: updates come at their own pace whether or not the
engine keeps up. Only waiting for the next one is skipped, not slept.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
import numpy as np
import torch

from benchmarks.dense import make_texts
from benchmarks.harness.open_loop import Outcome, drive
from encoder.restart.policies import parse_policy, resolve_policy
from encoder.tagger import Tagger, load_single_tagger
from stream.engine.engine import Engine
from stream.messages.types import Message, Update
from stream.overload.governor import Governor

CAPACITY_SECONDS = 4.0
"""About how long each measurement of a capacity takes."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What is done of a load that never ends."""

    restarts: str
    updates_per_second: float


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Latency of updates in one way to deal with load: from their arrival to the end of the step that answered them."""

    coalesce: bool
    governed: bool
    p50_ms: float
    p99_ms: float
    last_p99_ms: float
    """Of the last quarter: whether it grows on."""
    shortened: float
    """Share of the updates whose restart was shortened."""
    coalesced: float
    """Share of the updates that were skipped because a newer one of their segment waited."""


class OverloadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one bench found."""

    tagger: str
    policy: str
    sessions: int
    words: int
    load: float
    """Updates that came, as a multiple of the capacity with the policy's restarts."""
    seconds: float
    target: float
    """Seconds that an update may wait before restarts get shorter."""
    capacities: list[Capacity]
    waiting: list[Waiting]


@dataclass(slots=True)
class _RealTime:
    """A clock of which waiting costs nothing."""

    skipped: float = 0.0

    def now(self) -> float:
        return time.perf_counter() + self.skipped

    def skip(self, to: float) -> None:
        self.skipped += max(0.0, to - self.now())


def run_overload(
    name: str, sessions: int, words: int, policy: str, *, load: float, seconds: float, target: float
) -> OverloadReport:
    """Measure capacities, then latency at `load` times the capacity, for `seconds` in each way.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    torch.set_num_threads(1)
    tagger = load_single_tagger(name, max_sessions=sessions)
    policy = resolve_policy(policy, tagger.default_policy)
    texts = make_texts(sessions, words)
    _capacity(tagger, texts, policy, 0.5)  # compiles what is compiled
    full = _capacity(tagger, texts, policy, CAPACITY_SECONDS)
    least = _capacity(tagger, texts, "never", CAPACITY_SECONDS)
    waiting = [
        _wait(tagger, texts, policy, load * full, seconds, coalesce, target if governed else None)
        for coalesce in (False, True)
        for governed in (False, True)
    ]
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


def speak(texts: Sequence[Sequence[str]], rate: float) -> Iterator[tuple[float, Message]]:
    """All sessions in turns, for ever, a word more each time; a segment closes with its text, and the next one begins.

    Sessions begin at different words of their first texts, so that they do not close together.
    """
    count, words = len(texts), len(texts[0])
    number = 0
    while True:
        session, turn = number % count, number // count
        segment, last = divmod(turn + session * words // count, words)
        text = texts[(session + segment) % count][: last + 1]
        update = Update(session=f"s{session}", segment=str(segment), text=" ".join(text), final=last == words - 1)
        yield number / rate, update
        number += 1


def _capacity(tagger: Tagger, texts: Sequence[Sequence[str]], policy: str, seconds: float) -> float:
    """Updates a second while something always waits."""
    engine, clock = Engine(tagger, parse_policy(policy)), _RealTime()
    began = clock.now()

    def arrivals() -> Iterator[tuple[float, Message]]:
        for _, message in speak(texts, 1.0):
            if clock.now() - began > seconds:
                return
            yield 0.0, message

    outcome = drive(engine, arrivals(), clock)
    _end(engine)
    return len(outcome.latencies) / (clock.now() - began)


def _wait(
    tagger: Tagger,
    texts: Sequence[Sequence[str]],
    policy: str,
    rate: float,
    seconds: float,
    coalesce: bool,
    target: float | None,
) -> Waiting:
    engine = Engine(tagger, parse_policy(policy), coalesce=coalesce, governor=Governor(target) if target else None)
    arrivals = islice(speak(texts, rate), int(rate * seconds))
    outcome = drive(engine, arrivals, _RealTime())
    stats = engine.stats
    _end(engine)
    return Waiting(
        coalesce=coalesce,
        governed=target is not None,
        p50_ms=_milliseconds(outcome, 0, seconds, 50),
        p99_ms=_milliseconds(outcome, 0, seconds, 99),
        last_p99_ms=_milliseconds(outcome, 0.75 * seconds, seconds, 99),
        shortened=stats.restarts_shortened / stats.messages,
        coalesced=stats.coalesced / stats.messages,
    )


def _milliseconds(outcome: Outcome, begin: float, end: float, share: float) -> float:
    return 1000 * float(np.percentile(outcome.between(begin, end), share))


def _end(engine: Engine) -> None:
    """Give the tagger's slots back to the next run."""
    engine.idle_seconds = 0.0
    engine.expire(float("inf"))
    while engine.pending:
        engine.step()
