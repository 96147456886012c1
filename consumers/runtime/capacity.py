"""Capacity of one core: synthetic live speakers through an engine, and the search for the most that it carries."""

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from math import ceil, log2
from operator import itemgetter
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from consumers.formats.decode import decode_message
from consumers.kafka.output.changelog import encode_entry
from stream.engine.engine import Engine
from stream.engine.open_loop import SkippingClock, run_open_loop
from stream.messages.types import End, Update
from stream.overload.governor import Governor

WORDS_A_SECOND = 2.5
"""Of one speaker."""
SHORTEST, LONGEST = 12, 60
"""Words of a segment."""
FINAL_SECONDS = 0.3
"""From a segment's last word to the message that closes it."""
WARM_UP_SECONDS = 1.0
PRECISION = 0.06
"""The search ends when the fewest speakers that are too many exceed the most that are carried by this share."""
LOOP_SHARE, TRANSACTION_SHARE = 0.28, 0.1
"""Shares of a fully used core that `hearken serve` spends on Kafka: on its event loop and clients, measured at least
once with 1,000 speakers, and on 100 transactions a second of 1 ms each (docs/performance-kafka.md).
"""
SAMPLE = Path(__file__).parents[1] / "samples" / "interview.jsonl"


class CapacityRun(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of one number of speakers, without the warm-up."""

    speakers: int
    words_per_second: float
    p50_ms: float
    """From the arrival of a message to the end of the step that answers it."""
    p99_ms: float
    core_share: float
    """Share of the time in which the core computed."""
    cpu_share: float
    """Share of the computing time in which it had a processor; other programs took the rest."""
    step_ms: float
    """Mean duration of a step."""
    messages_per_step: float
    coalesced: float
    """Share of the messages that were answered together with a newer one of their segment."""
    shortened: int
    """Restarts that overload control shortened."""
    phases: dict[str, float]
    """Share of the computing time by phase of the step; `messages`: reading and writing JSON, and submitting."""

    def carried(self, p99_ms: float) -> bool:
        """Return whether messages were answered in time and with full restarts."""
        return self.p99_ms <= p99_ms and not self.shortened


def measure_speakers(engine: Engine, speakers: int, seconds: float, name: str) -> CapacityRun:
    """Run this many speakers at their own pace, each a session named after `name`, which must be new to the engine."""
    if (governor := engine.pricing.governor) is not None:
        # The clock begins again: the overload of an earlier run must not limit the restarts of this one.
        engine.pricing.governor = Governor(governor.target)
    words, random, duration = _sample_words(), Random(speakers), WARM_UP_SECONDS + seconds
    streams = []
    for number in range(speakers):
        own = islice(cycle(words), random.randrange(len(words)), None)
        streams.append(speaker_messages(f"{name}-{number}", Random(random.random()), duration, own, midway=True))
    for number, stream in enumerate(streams):
        engine.submit(next(stream)[1], number)
    _run_pending(engine)
    plan = sorted(((at, msgspec.json.encode(x)) for stream in streams for at, x in stream), key=itemgetter(0))
    run = _measure(engine, speakers, plan, seconds)
    for number in range(speakers):
        engine.submit(End(session=f"{name}-{number}"), speakers + len(plan))
    _run_pending(engine)
    return run


def _measure(engine: Engine, speakers: int, plan: list[tuple[float, bytes]], seconds: float) -> CapacityRun:
    arrivals = ((at, decode_message(value)) for at, value in plan)
    latencies: list[float] = []
    steps: list[float] = []
    phases: dict[str, float] = {}
    began, had, coalesced, shortened = time.perf_counter(), time.thread_time(), 0, 0
    for step in run_open_loop(engine, arrivals, SkippingClock(), offset=speakers):
        for revision in step.result.revisions:
            msgspec.json.encode(revision)
        for entry in step.result.entries:
            encode_entry(entry)
        if step.started < WARM_UP_SECONDS:
            began, had = time.perf_counter(), time.thread_time()
            continue
        latencies += [step.ended - arrived for arrived, _ in step.answered]
        steps.append(step.ended - step.started)
        coalesced += step.result.stats.coalesced
        shortened += step.result.stats.restarts_shortened
        for phase, spent in step.result.phase_seconds.items():
            phases[phase] = phases.get(phase, 0.0) + spent
    busy, had = time.perf_counter() - began, time.thread_time() - had
    phases["messages"] = max(0.0, busy - sum(phases.values()))
    p50, p99 = (float(1000 * np.percentile(latencies or [0.0], share)) for share in (50, 99))
    return CapacityRun(
        speakers=speakers,
        words_per_second=round(speakers * WORDS_A_SECOND, 1),
        p50_ms=round(p50, 2),
        p99_ms=round(p99, 2),
        core_share=round(busy / max(seconds, busy), 3),
        cpu_share=round(min(1.0, had / max(busy, 1e-9)), 3),
        step_ms=round(1000 * sum(steps) / max(1, len(steps)), 3),
        messages_per_step=round(len(latencies) / max(1, len(steps)), 1),
        coalesced=round(coalesced / max(1, len(latencies)), 3),
        shortened=shortened,
        phases={phase: round(spent / busy, 3) for phase, spent in phases.items()},
    )


def estimate_through_kafka(speakers: int) -> dict[str, int]:
    """Estimate by guarantee how many speakers a core carries through Kafka, from those of the engine alone."""
    shares = {"at_least_once": 1 - LOOP_SHARE, "exactly_once": 1 - LOOP_SHARE - TRANSACTION_SHARE}
    return {guarantee: int(speakers * share) for guarantee, share in shares.items()}


def find_capacity(carries: Callable[[int], bool], first: int, most: int) -> int:
    """Search for the most speakers, at most `most`, that are carried: by doubling from `first`, then by bisection."""
    good, bad = 0, 0
    trial = min(first, most)
    while not bad and good < most:
        if carries(trial):
            good, trial = trial, min(2 * trial, most)
        else:
            bad = trial
    while bad and bad - good > max(1, PRECISION * good):
        trial = (good + bad) // 2
        good, bad = (trial, bad) if carries(trial) else (good, trial)
    return good


def trials_left(carried: int, refused: int | None, most: int) -> int:
    """Estimate how many numbers `find_capacity` still tries.

    Args:
        carried: largest number of speakers that was carried so far; 0 if none was.
        refused: smallest number that was not; None if all were.
        most: see `find_capacity`.
    """
    if refused is None:  # doubled until it is too many, which is expected next, and then bisected
        return 0 if carried >= most else 1 + ceil(log2(1 / PRECISION))
    parts = (refused - carried) / max(1, PRECISION * carried)
    return max(0, ceil(log2(parts))) if parts > 1 else 0


def speaker_messages(
    session: str, random: Random, seconds: float, words: Iterator[str], *, midway: bool = False
) -> Iterator[tuple[float, Update]]:
    """Yield one speaker's messages with their times: a Poisson process of words, in segments that close after a pause.

    Every message carries the whole segment so far, as interim results of recognisers do. `midway` begins with a message
    at time 0 that has a random part of the first segment: as if the speaker had been speaking before.
    """
    at, length, segment = random.expovariate(WORDS_A_SECOND), random.randint(1, LONGEST), 0
    said = list(islice(words, random.randint(1, length))) if midway else []
    if midway:
        yield 0.0, Update(session=session, segment="s0", text=" ".join(said))
    closed = FINAL_SECONDS
    while at < seconds:
        while len(said) < length:
            if at >= seconds:
                return
            said.append(next(words))
            yield at, Update(session=session, segment=f"s{segment}", text=" ".join(said))
            closed = at + FINAL_SECONDS
            at += random.expovariate(WORDS_A_SECOND)
        yield closed, Update(session=session, segment=f"s{segment}", text=" ".join(said), final=True)
        at, said = max(at, closed), []
        segment, length = segment + 1, random.randint(SHORTEST, LONGEST)


def _sample_words() -> list[str]:
    """Return the words of the sample's final texts, in order."""
    updates = map(msgspec.json.Decoder(Update).decode, SAMPLE.read_bytes().splitlines())
    return [word for update in updates if update.final for word in update.text.split()]


def _run_pending(engine: Engine) -> None:
    while engine.pending:
        engine.step()
