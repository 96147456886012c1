"""Faults that are also measured: scaling, restoring, hostile input, hours of load, overload."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import msgspec

from tests.faults.injections import SETTLE
from tests.faults.measurements import (
    Answered,
    first_answers,
    growth,
    memory_by_minute,
    pauses,
    percentile,
    read_answers,
    spread,
)
from tests.faults.trial import Trial
from tests.faults.workload.fuzz import mangle_or_huge
from tests.faults.workload.sessions import Speech

LOAD = 0.7
"""Share of the capacity that `load` sends."""
OVERLOAD = 10.0


async def scale(trial: Trial) -> None:
    """One worker becomes three and one again, under load."""
    await trial.reach(SETTLE)
    rounds, calm = trial.options.rounds, trial.options.calm
    for number in range(rounds):
        if trial.finding.stuck:
            return
        trial.bar(number, rounds)
        await asyncio.sleep(calm)
        for name in ("w2", "w3"):
            await trial.workers.start(name)
        for name in ("w2", "w3"):
            await trial.wait_until(partial(_works, trial, name), f"{name} has a partition")
        await asyncio.sleep(calm + trial.options.session_timeout)
        await asyncio.gather(*(trial.workers.terminate(name) for name in ("w2", "w3")))
        trial.finding.injected += 2
    await asyncio.sleep(calm)
    await trial.progress(SETTLE)


def _works(trial: Trial, name: str) -> bool:
    return name in trial.workers.working()


def measure_pauses(trial: Trial) -> None:
    """How long partitions stood still around the rebalances."""
    found = pauses(read_answers(trial.place), trial.workers.events(), trial.options.calm / 2)
    trial.finding.figures["pause_seconds"] = {name: spread(values) for name, values in found.items()}


async def restore(trial: Trial) -> None:
    """Open sessions, `sessions` a partition; then a worker is killed, and a new one has them all to restore."""
    options = trial.options
    sessions = options.sessions * options.partitions
    speech = Speech(options.seed, sessions)
    for turn in range(3):
        for number in range(sessions):
            if number % 100 == 0:
                trial.bar(turn * sessions + number, 3 * sessions)
            await trial.feeder.wait_for_room()
            await trial.feeder.send(speech.next(number))
    await trial.drain()
    trial.finding.figures["open_sessions_a_partition"] = options.sessions
    feeding = asyncio.create_task(trial.feeder.run(speech, options.rate))
    for number in range(options.rounds):
        if trial.finding.stuck:
            break
        trial.bar(number, options.rounds)
        await asyncio.sleep(trial.random.uniform(1, 3))
        name = trial.workers.names[0]
        await trial.workers.kill(name)
        trial.finding.injected += 1
        await trial.workers.start(name)
        await trial.progress(int(2 * options.rate))
    trial.feeder.stopping.set()
    await feeding


def measure_restore(trial: Trial) -> None:
    """Time from assignment to the first labelled update."""
    events = list(trial.workers.events())
    partitions, sessions = first_answers(read_answers(trial.place), [x for x in events if x.life > 1])
    restored = [float(x.fields["seconds"]) for x in events if x.name == "restored" and "seconds" in x.fields]
    trial.finding.figures |= {
        "first_update_of_a_partition_seconds": spread(partitions),
        "first_update_of_a_session_seconds": spread(sessions),
        "restore_seconds_as_logged": spread(restored),
    }


async def hostile(trial: Trial) -> None:
    """So many hostile records among half as many good ones."""
    options, random, feeder = trial.options, trial.random, trial.feeder
    for number in range(options.messages):
        if number % 500 == 0:
            trial.bar(number, options.messages)
        message = trial.speech.next()
        key, value = mangle_or_huge(random, message.session.encode(), msgspec.json.encode(message))
        await feeder.send_raw(key, value, message.session)
        if number % 2:
            await feeder.send(message)
        await feeder.wait_for_room()
        trial.finding.injected += 1
    await feeder.send_all(trial.speech.close())


def measure_memory(trial: Trial) -> None:
    """Whether memory was flat."""
    stretch = max(60.0, (trial.memory[-1][0] if trial.memory else 0.0) / 30)
    trial.finding.figures |= {
        "memory_mib_by_minute": memory_by_minute(trial.memory, stretch),
        "memory_growth_mib": growth(trial.memory, 5.0),
        "memory_seconds_a_stretch": round(stretch, 1),
    }


async def measure_capacity(trial: Trial) -> float:
    """Messages a second that the workers do when there is always more: half of `probe` warms them up."""
    options, probe = trial.options, trial.options.probe
    speech = Speech(options.seed + 1, options.sessions, name="probe")
    await trial.feeder.send_all(speech.next() for _ in range(probe // 2))
    await trial.drain()
    began, before = time.monotonic(), trial.lag.committed
    await trial.feeder.send_all([*(speech.next() for _ in range(probe)), *speech.close()])
    await trial.drain()
    capacity = (trial.lag.committed - before) / (time.monotonic() - began)
    trial.finding.figures["capacity_messages_a_second"] = round(capacity, 1)
    return capacity


async def load(trial: Trial) -> None:
    """`minutes` at 70 % of the capacity."""
    capacity = await measure_capacity(trial)
    trial.finding.figures["load_from_seconds"] = round(time.time() - trial.began, 1)
    feeding = asyncio.create_task(trial.feeder.run(trial.speech, LOAD * capacity))
    seconds = int(trial.options.minutes * 60)
    for second in range(seconds):
        trial.bar(second, seconds)
        await asyncio.sleep(1)
    trial.feeder.stopping.set()
    await feeding


def measure_load(trial: Trial) -> None:
    """Memory and delay by minute."""
    measure_memory(trial)
    figures = trial.finding.figures
    begin = trial.began + figures["load_from_seconds"]
    answers = [x for x in read_answers(trial.place) if x.sent >= begin]
    minutes = _by_minute(answers, begin)
    figures["delay_p50_seconds_by_minute"] = [percentile(x, 0.5) for x in minutes]
    figures["delay_p99_seconds_by_minute"] = [percentile(x, 0.99) for x in minutes]
    figures["memory_growth_mib"] = growth(trial.memory, figures["load_from_seconds"])


def _by_minute(answers: Sequence[Answered], begin: float) -> list[list[float]]:
    found: defaultdict[int, list[float]] = defaultdict(list)
    for answer in answers:
        found[int((answer.sent - begin) / 60)].append(answer.answered - answer.sent)
    return [values for _, values in sorted(found.items())]


async def overload(trial: Trial) -> None:
    """Ten times the capacity for a while, with no regard for the backlog; then calm again."""
    capacity = await measure_capacity(trial)
    seconds = min(30.0, trial.options.minutes * 60)
    trial.finding.figures["overload_from_seconds"] = round(time.time() - trial.began, 1)
    began = time.monotonic()
    messages = int(OVERLOAD * capacity * seconds)
    for number in range(messages):
        if number % 500 == 0:
            trial.bar(number, messages)
            await asyncio.sleep(max(0.0, began + number / (OVERLOAD * capacity) - time.monotonic()))
        await trial.feeder.send(trial.speech.next())
    await trial.feeder.flush()
    trial.finding.figures["sent_messages_a_second"] = round(messages / (time.monotonic() - began), 1)
    trial.finding.injected = 1
    await trial.drain()
    calm = asyncio.create_task(trial.feeder.run(trial.speech, 0.3 * capacity))
    await asyncio.sleep(min(10.0, seconds))
    trial.feeder.stopping.set()
    await calm


def measure_overload(trial: Trial) -> None:
    """Memory, and how the delay fell when it was over."""
    figures = trial.finding.figures
    measure_memory(trial)
    figures["memory_growth_mib"] = growth(trial.memory, figures["overload_from_seconds"])
    figures["largest_backlog"] = max((x for _, x in trial.backlogs), default=0)
    figures["overload_events"] = [
        {"worker": x.worker, "seconds": round(x.at - trial.began, 1), **_plain(x.fields)}
        for x in trial.workers.events()
        if x.name.startswith(("overload", "restarts"))
    ]
    figures["last_delays_seconds"] = spread([x.answered - x.sent for x in read_answers(trial.place)[-200:]])


def _plain(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in ("timestamp", "level")}
