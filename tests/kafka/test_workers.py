"""`serve --workers 2` on Apache Kafka: two processes under one command label a stream exactly as one engine does."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import msgspec

from consumers.common.settings import EngineSettings
from encoder.restart.policies import Always
from stream.engine.engine import Engine
from stream.messages.types import Update
from stream.revisions.emission import parse_emission
from tests.kafka.rig import PARTITIONS, Place, take
from tests.kafka.test_faults import SHORT, check, new_environment, run
from tests.stream.fake_tagger import fake_labeller
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
FLOCK = (*SHORT.command, "--workers", "2")
SESSIONS, WORDS = 20, ["we", "met", "anna", "may", "in", "rome", "with", "bob", "rice"]


async def test_supervisors_are_killed_and_nothing_is_wrong(kafka: str) -> None:
    check(await run("kill", new_environment("flock", kafka), "at_least_once", command=FLOCK, rounds=2), 2)


def said_of(number: int) -> list[Update]:
    """What one session says: a word more with each message."""
    words = WORDS[number % 5 :]
    texts = [" ".join(words[: n + 1]) for n in range(len(words))]
    return [Update(session=f"s{number}", segment="u", text=x, final=x == texts[-1]) for x in texts]


def expected() -> dict[str, list[dict[str, Any]]]:
    """What one engine says of each session, but for the offsets."""
    engine = Engine(fake_labeller("ner"), Always(), emission=parse_emission(EngineSettings.stability))
    found: dict[str, list[dict[str, Any]]] = {}
    for offset, message in enumerate(x for number in range(SESSIONS) for x in said_of(number)):
        engine.submit(message, offset)
        for revision in engine.step().revisions:
            found.setdefault(revision.session, []).append(without_offset(msgspec.json.encode(revision)))
    return found


def without_offset(revision: bytes) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(revision)
    del told["offset"]
    return told


async def produce(place: Place, half: slice) -> None:
    for number in range(SESSIONS):
        values = [msgspec.json.encode(x) for x in said_of(number)[half]]
        await place.produce(values, partition=number % PARTITIONS)


async def next_event(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while line := await process.stderr.readline():
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
    raise AssertionError(f"it ended without {event!r}")


async def both_have_partitions(process: asyncio.subprocess.Process) -> None:
    has: dict[int, list[int]] = {}
    while len(has) < 2 or not all(has.values()) or len({n for x in has.values() for n in x}) < PARTITIONS:
        told = await next_event(process, "assigned")
        has[told["worker"]] = told["partitions"]


async def test_two_share_the_partitions_and_one_that_dies_costs_nothing(place: Place) -> None:
    await place.make_topics(place.topic, place.output)
    command = [*FLOCK, "--broker", place.address, "--input-topic", place.topic, "--output-topic", place.output]
    command += ["--group", place.group, "--dead-letter-topic", f"{place.run}.dead", "--http-port", "off"]
    command += ["--policy", "always", "--no-coalesce", "--overload-seconds", "0", "--session-timeout-seconds", "3"]
    command += ["--guarantee", "exactly_once", "--instance-id", "flock"]
    wanted = expected()
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    try:
        victim = (await next_event(process, "worker_started"))["pid"]
        await both_have_partitions(process)
        await produce(place, slice(0, 3))
        os.kill(victim, signal.SIGKILL)
        await produce(place, slice(3, None))
        async with place.consumer(place.output) as reader:
            records = await take(reader, sum(map(len, wanted.values())))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        told = without_offset(record.value or b"")
        found.setdefault(told["session"], []).append(told)
    assert found == wanted
