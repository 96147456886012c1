"""A takeover on the processor clock: one worker with live sessions of its own gets those of another, and all speak on.

Messages arrive at their own times; time passes only while this process computes, so other programs do not count and no
second core is needed. What the brokers and the clients cost is not simulated: the worker has a share of its core for
that (`KAFKA_SHARE`), and the pause of the sessions that move is given.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import msgspec
import numpy as np

from benchmarks.harness.progress import ReportProgress
from benchmarks.scale.restore import EPOCH
from benchmarks.scale.states import NAME, ModelSession, copy_records, make_words
from consumers.common.settings import EngineSettings
from consumers.kafka.output.changelog import read_changelog
from consumers.kafka.output.ownership import LatestRecords
from consumers.runtime.capacity import speaker_messages
from consumers.runtime.engine_factory import build_engine
from stream.engine.engine import Engine
from stream.engine.open_loop import run_open_loop
from stream.messages.types import Update

KAFKA_SHARE = 0.5
"""Share of a worker's core that reading, writing and the clients take under load (docs/operations.md, Sizing)."""
DEADLINE = 2.0


class TakeoverRow(msgspec.Struct, frozen=True, kw_only=True):
    """One takeover."""

    workers: int
    """Of the group, before one of them leaves."""
    procedure: str
    """`in place`: the others take its sessions. `surge`: its successor, which has none, takes them."""
    load: float
    """Of each worker before."""
    own: int
    """Sessions that the worker had."""
    moved: int
    """Sessions that it gets."""
    pause_s: float
    """Of the sessions that move: their messages of this time arrive at its end."""
    answered: int
    late: int
    """Messages of sessions that moved, answered later than the deadline."""
    late_own: int
    """Messages of its own sessions, answered later than the deadline."""
    late_closings: int
    """Of `late`, those that close a segment."""
    p99_ms: float
    """Of the sessions that moved, from when a message was due."""
    max_ms: float


@dataclass(slots=True)
class _ScaledClock:
    """Processor time, each second of which passes as several: the rest of the core is busy with something else."""

    factor: float
    skipped: float = 0.0

    def now(self) -> float:
        return self.factor * time.process_time() + self.skipped

    def skip(self, to: float) -> None:
        self.skipped += max(0.0, to - self.now())


def measure_core_speakers(settings: EngineSettings, models: Sequence[ModelSession], speakers: int = 128) -> float:
    """Estimate the live speakers that one core carries, from what a smaller number of them costs."""
    engine = build_engine(settings)
    _restore(engine, models, 0, speakers)
    _touch(engine, models, 0, speakers)
    arrivals = _speak(models, 0, speakers, 8.0, 0.0)
    began = time.process_time()
    for step in run_open_loop(engine, arrivals, _ScaledClock(1.0), queue=1 << 20, offset=1 << 20):
        for revision in step.result.revisions:
            msgspec.json.encode(revision)
    return speakers * 8.0 / (time.process_time() - began)


def simulate_takeover(
    settings: EngineSettings,
    models: Sequence[ModelSession],
    workers: int,
    capacity: float,
    load: float,
    pause: float,
    seconds: float,
    surge: bool,
) -> TakeoverRow:
    """Let a worker take its part of the sessions of one that leaves.

    Args:
        settings: of the engine.
        models: sessions that speak on.
        workers: of the group, before.
        capacity: live speakers that a core carries with the engine alone.
        load: share of what a worker carries that each has before.
        pause: seconds from the last message that the former owner took to the first of ours.
        seconds: of speech after that.
        surge: whether the one that takes over had no sessions, and takes all.
    """
    each = round(KAFKA_SHARE * capacity * load)
    own, moved = (0, each) if surge else (each, round(each / max(1, workers - 1)))
    engine = build_engine(settings)
    _restore(engine, models, 0, own)
    _touch(engine, models, 0, own)
    _restore(engine, models, own, moved)
    due = [(at, at, update) for at, update in _speak(models, 0, own, seconds, 0.0)]
    due += [(max(at, pause), at, update) for at, update in _speak(models, own, moved, pause + seconds, 0.0)]
    due.sort(key=lambda x: x[:2])
    first = 1 << 20
    delays = {(update.session, first + number): arrives - at for number, (arrives, at, update) in enumerate(due)}
    closes = {first + number for number, (_, _, update) in enumerate(due) if update.final}
    latencies: list[tuple[str, int, float]] = []
    arrivals = ((arrives, update) for arrives, _, update in due)
    clock = _ScaledClock(1.0 / KAFKA_SHARE)
    for step in run_open_loop(engine, arrivals, clock, queue=1 << 20, offset=first):
        for answer, (arrived, _) in zip(step.result.answered, step.answered, strict=True):
            late_by = step.ended - arrived + delays[answer.session, answer.offset]
            latencies.append((answer.session, answer.offset, late_by))
    others = {NAME.format(number) for number in range(own, own + moved)}
    mine = [x for session, _, x in latencies if session not in others]
    theirs = [(offset, x) for session, offset, x in latencies if session in others]
    found = [x for _, x in theirs] or [0.0]
    return TakeoverRow(
        workers=workers,
        procedure="surge" if surge else "in place",
        load=load,
        own=own,
        moved=moved,
        pause_s=pause,
        answered=len(latencies),
        late=sum(x > DEADLINE for x in found),
        late_own=sum(x > DEADLINE for x in mine),
        late_closings=sum(x > DEADLINE and offset in closes for offset, x in theirs),
        p99_ms=round(1000 * float(np.percentile(found, 99)), 1),
        max_ms=round(1000 * max(found), 1),
    )


def simulate_takeovers(
    settings: EngineSettings,
    models: Sequence[ModelSession],
    workers: Sequence[int],
    load: float,
    pause: float,
    seconds: float,
    progress: ReportProgress,
) -> tuple[float, list[TakeoverRow]]:
    """Simulate takeovers for several sizes of the group; returns also the speakers that a core carries."""
    progress("the speakers that a core carries", 0.0)
    capacity = measure_core_speakers(settings, models)
    rows = []
    cases = [(1, True), *((count, False) for count in workers)]
    for number, (count, surge) in enumerate(cases):
        progress(f"takeover, {'surge' if surge else f'{count} workers'}", (1 + number) / (1 + len(cases)))
        rows.append(simulate_takeover(settings, models, count, capacity, load, pause, seconds, surge))
    return capacity, rows


def _restore(engine: Engine, models: Sequence[ModelSession], first: int, count: int) -> None:
    latest = LatestRecords()
    for number in range(first, first + count):
        for key, value in copy_records(models, number):
            latest.add(latest.states, key, value, EPOCH)
    for name, saved in read_changelog(latest.records(), "", "", "").sessions.items():
        engine.restore(saved, name, 0.0)
    _step(engine)


def _touch(engine: Engine, models: Sequence[ModelSession], first: int, count: int) -> None:
    """Give each session a word, so that its caches are there."""
    for number in range(first, first + count):
        last = models[number % len(models)].last
        engine.submit(_with_name(last, NAME.format(number), f"{last.text} and"), 1 << 19)
    _step(engine)


def _speak(
    models: Sequence[ModelSession], first: int, count: int, seconds: float, begin: float
) -> list[tuple[float, Update]]:
    """Messages of sessions that go on where their models were, from `begin` on; in order of time."""
    said = []
    for number in range(first, first + count):
        random = Random(number)
        last, name, words = models[number % len(models)].last, NAME.format(number), make_words(random)
        shift = int(last.segment[1:]) + 1
        random_begin = random.uniform(0.0, 12.0)
        # The open segment goes on for a part of its length, closes, and others follow.
        text = f"{last.text} and"
        at = begin
        while (at := at + random.expovariate(2.5)) < min(begin + random_begin, begin + seconds):
            text = f"{text} {next(words)}"
            said.append((at, _with_name(last, name, text)))
        if at < begin + seconds:
            said.append((at, Update(session=name, segment=last.segment, text=text, final=True)))
            for later, update in speaker_messages(name, random, begin + seconds - at, words):
                renamed = msgspec.structs.replace(update, segment=f"s{shift + int(update.segment[1:])}")
                said.append((at + later, renamed))
    return sorted(said, key=lambda x: x[0])


def _with_name(last: Update, name: str, text: str) -> Update:
    return Update(session=name, segment=last.segment, text=text)


def _step(engine: Engine) -> None:
    while engine.pending:
        engine.step()
