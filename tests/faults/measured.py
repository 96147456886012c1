"""Faults with measurements: scaling, restore, hostile input, long load, overload."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import msgspec

from tests.faults.injections import SETTLE
from tests.faults.measurements import (
    AnsweredMessage,
    first_answers,
    memory_by_minute,
    memory_growth,
    pauses,
    percentile,
    read_answers,
    summarise_seconds,
)
from tests.faults.trial import FaultTrial
from tests.faults.workload.fuzz import mutate_record
from tests.faults.workload.sessions import SyntheticSessions

LOAD = 0.7
"""Rate of `load` as a share of the capacity."""
OVERLOAD = 10.0


async def scale(trial: FaultTrial) -> None:
    """Scale from one worker to three and back, under load."""
    await trial.wait_until_committed(SETTLE)
    rounds, calm = trial.options.rounds, trial.options.scale_seconds
    for number in range(rounds):
        if trial.result.stuck:
            return
        trial.bar(number, rounds)
        await asyncio.sleep(calm)
        for name in ("w2", "w3"):
            await trial.workers.start(name)
        for name in ("w2", "w3"):
            await trial.wait_until(partial(_has_partition, trial, name), f"{name} has a partition")
        await asyncio.sleep(calm + trial.options.session_timeout)
        await asyncio.gather(*(trial.workers.terminate(name) for name in ("w2", "w3")))
        trial.result.injected += 2
    await asyncio.sleep(calm)
    await trial.wait_for_commits(SETTLE)


def _has_partition(trial: FaultTrial, name: str) -> bool:
    return name in trial.workers.working()


def measure_pauses(trial: FaultTrial) -> None:
    """Measure the pauses of partitions around rebalances."""
    found = pauses(read_answers(trial.env), trial.workers.events(), trial.options.scale_seconds / 2)
    trial.result.figures["pause_seconds"] = {name: summarise_seconds(values) for name, values in found.items()}


async def restore(trial: FaultTrial) -> None:
    """Open `sessions` sessions a partition, then kill a worker, so that a new one must restore them."""
    options = trial.options
    sessions = options.sessions * options.partitions
    source = SyntheticSessions(options.seed, sessions)
    for turn in range(3):
        for number in range(sessions):
            if number % 100 == 0:
                trial.bar(turn * sessions + number, 3 * sessions)
            await trial.producer.wait_for_backlog()
            await trial.producer.send(source.next_message(number))
    await trial.drain()
    trial.result.figures["open_sessions_a_partition"] = options.sessions
    feeding = asyncio.create_task(trial.producer.send_at_rate(source, options.rate))
    for number in range(options.rounds):
        if trial.result.stuck:
            break
        trial.bar(number, options.rounds)
        await asyncio.sleep(trial.random.uniform(1, 3))
        name = trial.workers.names[0]
        await trial.workers.kill(name)
        trial.result.injected += 1
        await trial.workers.start(name)
        await trial.wait_for_commits(int(2 * options.rate))
    trial.producer.stopping.set()
    await feeding


def measure_restore(trial: FaultTrial) -> None:
    """Measure the time from assignment to the first labelled update."""
    events = list(trial.workers.events())
    partitions, sessions = first_answers(read_answers(trial.env), [x for x in events if x.life > 1])
    restored = [float(x.fields["seconds"]) for x in events if x.name == "restored" and "seconds" in x.fields]
    trial.result.figures |= {
        "first_update_of_a_partition_seconds": summarise_seconds(partitions),
        "first_update_of_a_session_seconds": summarise_seconds(sessions),
        "restore_seconds_as_logged": summarise_seconds(restored),
    }


async def hostile(trial: FaultTrial) -> None:
    """Send hostile records among half as many good ones."""
    options, random, producer = trial.options, trial.random, trial.producer
    for number in range(options.messages):
        if number % 500 == 0:
            trial.bar(number, options.messages)
        message = trial.source.next_message()
        key, value = mutate_record(random, message.session.encode(), msgspec.json.encode(message))
        await producer.send_raw(key, value, message.session)
        if number % 2:
            await producer.send(message)
        await producer.wait_for_backlog()
        trial.result.injected += 1
    await producer.send_all(trial.source.close_segments())


def measure_memory(trial: FaultTrial) -> None:
    """Measure memory over time."""
    stretch = max(60.0, (trial.memory[-1][0] if trial.memory else 0.0) / 30)
    trial.result.figures |= {
        "memory_mib_by_minute": memory_by_minute(trial.memory, stretch),
        "memory_growth_mib": memory_growth(trial.memory, 5.0),
        "memory_seconds_a_stretch": round(stretch, 1),
    }


async def measure_capacity(trial: FaultTrial) -> float:
    """Return the messages a second that the workers process when more are always waiting, after a warm-up."""
    options, probe = trial.options, trial.options.capacity_messages
    source = SyntheticSessions(options.seed + 1, options.sessions, name="probe")
    await trial.producer.send_all(source.next_message() for _ in range(probe // 2))
    await trial.drain()
    began, before = time.monotonic(), trial.lag.committed
    await trial.producer.send_all([*(source.next_message() for _ in range(probe)), *source.close_segments()])
    await trial.drain()
    capacity = (trial.lag.committed - before) / (time.monotonic() - began)
    trial.result.figures["capacity_messages_a_second"] = round(capacity, 1)
    return capacity


async def load(trial: FaultTrial) -> None:
    """Send 70 % of the capacity for `minutes`."""
    capacity = await measure_capacity(trial)
    trial.result.figures["load_from_seconds"] = round(time.time() - trial.began, 1)
    feeding = asyncio.create_task(trial.producer.send_at_rate(trial.source, LOAD * capacity))
    seconds = int(trial.options.minutes * 60)
    for second in range(seconds):
        trial.bar(second, seconds)
        await asyncio.sleep(1)
    trial.producer.stopping.set()
    await feeding


def measure_load(trial: FaultTrial) -> None:
    """Measure memory and delay by minute."""
    measure_memory(trial)
    figures = trial.result.figures
    begin = trial.began + figures["load_from_seconds"]
    answers = [x for x in read_answers(trial.env) if x.sent >= begin]
    minutes = _by_minute(answers, begin)
    figures["delay_p50_seconds_by_minute"] = [percentile(x, 0.5) for x in minutes]
    figures["delay_p99_seconds_by_minute"] = [percentile(x, 0.99) for x in minutes]
    figures["memory_growth_mib"] = memory_growth(trial.memory, figures["load_from_seconds"])


def _by_minute(answers: Sequence[AnsweredMessage], begin: float) -> list[list[float]]:
    found: defaultdict[int, list[float]] = defaultdict(list)
    for answer in answers:
        found[int((answer.sent - begin) / 60)].append(answer.answered - answer.sent)
    return [values for _, values in sorted(found.items())]


async def overload(trial: FaultTrial) -> None:
    """Send ten times the capacity for a while, without regard to the backlog; then a light load."""
    capacity = await measure_capacity(trial)
    seconds = min(30.0, trial.options.minutes * 60)
    trial.result.figures["overload_from_seconds"] = round(time.time() - trial.began, 1)
    began = time.monotonic()
    messages = int(OVERLOAD * capacity * seconds)
    for number in range(messages):
        if number % 500 == 0:
            trial.bar(number, messages)
            await asyncio.sleep(max(0.0, began + number / (OVERLOAD * capacity) - time.monotonic()))
        await trial.producer.send(trial.source.next_message())
    await trial.producer.flush()
    trial.result.figures["sent_messages_a_second"] = round(messages / (time.monotonic() - began), 1)
    trial.result.injected = 1
    await trial.drain()
    calm = asyncio.create_task(trial.producer.send_at_rate(trial.source, 0.3 * capacity))
    await asyncio.sleep(min(10.0, seconds))
    trial.producer.stopping.set()
    await calm


def measure_overload(trial: FaultTrial) -> None:
    """Measure memory, and the delay after the overload."""
    figures = trial.result.figures
    measure_memory(trial)
    figures["memory_growth_mib"] = memory_growth(trial.memory, figures["overload_from_seconds"])
    figures["largest_backlog"] = max((x for _, x in trial.backlogs), default=0)
    figures["overload_events"] = [
        {"worker": x.worker, "seconds": round(x.at - trial.began, 1), **_plain(x.fields)}
        for x in trial.workers.events()
        if x.name.startswith(("overload", "budget"))
    ]
    figures["last_delays_seconds"] = summarise_seconds([x.answered - x.sent for x in read_answers(trial.env)[-200:]])


def _plain(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in ("timestamp", "level")}
