"""The redacted topic on Apache Kafka: a worker that is killed in between repeats nothing, loses nothing, and gives out
nothing raw.
"""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import msgspec

from encoder.restart.policies import Always
from stream.engine.engine import Engine
from stream.messages.types import End, Message, Update
from stream.redaction.policy import RedactionPolicy
from stream.sessions.redactor import Redactor
from tests.kafka.rig import PARTITIONS, Place, take, take_all
from tests.kafka.test_workers import next_event
from tests.stream.fake_tagger import fake_labeller
from tests.stream.helpers import drain
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
TEXTS = ["we met", "we met anna", "we met anna and bob", "so we met bob", "So we met Bob, and anna."]
SECRET = re.compile(rb"anna|bob", re.IGNORECASE)


def said_of(number: int) -> list[Message]:
    """What one session says: it is rewritten, closes, and ends."""
    session = f"s{number}"
    updates = [Update(session=session, segment="u", text=x, final=x == TEXTS[-1]) for x in TEXTS]
    return [*updates, Update(session=session, segment="v", text="bob left", final=True), End(session=session)]


def expected() -> dict[str, list[bytes]]:
    """What one engine says that never dies, by session; partition and session have the same number."""
    policy = RedactionPolicy(frozenset({"person"}), style="numbered")
    engine = Engine(fake_labeller("ner"), Always(), redactor=Redactor(policy))
    found: dict[str, list[bytes]] = {}
    for number in range(PARTITIONS):
        for offset, message in enumerate(said_of(number)):
            engine.submit(message, offset)
            for output in (x for result in drain(engine) for x in result.redacted):
                found.setdefault(output.session, []).append(msgspec.json.encode(output.message))
    return found


async def produce(place: Place, half: slice) -> None:
    for number in range(PARTITIONS):
        await place.produce([msgspec.json.encode(x) for x in said_of(number)[half]], partition=number)


async def test_a_worker_is_killed_and_the_redacted_topic_is_as_if_it_had_not_been(place: Place) -> None:
    redacted, dead, state = (f"{place.run}.{x}" for x in ("redacted", "dead", "state"))
    await place.make_topics(place.topic, place.output, redacted)
    command = [sys.executable, "-m", "tests.kafka.light_worker", "serve", "--broker", place.address]
    command += ["--input-topic", place.topic, "--output-topic", place.output, "--redacted-topic", redacted]
    command += ["--dead-letter-topic", dead, "--state-topic", state, "--group", place.group, "--http-port", "off"]
    command += ["--policy", "always", "--no-coalesce", "--overload-seconds", "0", "--session-timeout-seconds", "3"]
    command += ["--guarantee", "exactly_once", "--redact", "person", "--redact-style", "numbered"]
    wanted = expected()
    total = sum(map(len, wanted.values()))

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        await next_event(process, "assigned")
        return process

    process = await start()
    try:
        async with place.consumer(redacted) as reader:
            await produce(place, slice(0, 3))
            first = await take(reader, PARTITIONS)  # it is in the middle of every session
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await produce(place, slice(3, None))
            process = await start()
            await take(reader, total - len(first))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            _, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    found: dict[str, list[bytes]] = {}
    async with place.consumer(redacted) as reader:
        for record in await take_all(reader):
            found.setdefault((record.key or b"").decode(), []).append(record.value or b"")
    assert found == wanted
    async with place.consumer(place.output, redacted, isolation_level="read_uncommitted") as reader:
        seen = await take_all(reader)
    assert len(seen) > total
    assert not any(SECRET.search(x) for record in seen for x in (record.value or b"", *(y for _, y in record.headers)))
    assert not SECRET.search(told)
