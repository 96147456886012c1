"""Two members whose partitions are divided anew at random, on brokers that answer late or not at all: what is read is
what one process would have said.
"""

import asyncio
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from consumers.common.settings import ServiceSettings
from consumers.kafka.service.service import Service
from encoder.restart.policies import Always
from stream.engine.worker import Worker
from stream.messages.types import Delete, End, Message, Revision, Update
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeConsumer, FakeKafka
from tests.consumers.kafka.test_crashes import (
    GUARANTEES,
    PARTITIONS,
    TAGGERS,
    Guarantee,
    Taggers,
    engine,
    expect,
    partition_of,
    read,
)
from tests.stream.fake_tagger import VOCABULARY

MEMBERS = 2


def talk(random: Random, count: int) -> list[Message]:
    """Six sessions; names of segments and sessions come again after their end."""
    said: list[Message] = []
    opened: dict[str, set[str]] = {}
    for _ in range(count):
        session = f"s{random.randrange(6)}"
        segments = opened.setdefault(session, set())
        kind = random.random()
        if kind < 0.05 and segments:
            said.append(End(session=session))
            segments.clear()
        elif kind < 0.1 and segments:
            said.append(Delete(session=session, segment=(gone := random.choice(sorted(segments)))))
            segments.discard(gone)
        else:
            segments.add(segment := f"u{random.randrange(3)}")
            text = " ".join(random.choices(VOCABULARY, k=random.randrange(1, 4))) + " "
            mode = random.choice(("append", "replace"))
            said.append(
                Update(session=session, segment=segment, text=text, mode=mode, final=random.random() < 0.2)  # type: ignore[arg-type]
            )
    return said


class Members:
    """Two services of one group; who has which partition is for the test to say."""

    def __init__(self, kafka: FakeKafka, settings: ServiceSettings, taggers: Taggers) -> None:
        self.kafka = kafka
        self.stop = asyncio.Event()
        services = [
            Service(settings, Worker(engine(Always(), False, taggers)), kafka.clients()) for _ in range(MEMBERS)
        ]
        self.tasks = [asyncio.create_task(service.run(self.stop)) for service in services]

    async def divide(self, random: Random) -> None:
        """As Kafka does it: all have given up theirs before any gets new ones."""
        members = self.kafka.members
        owners = [random.randrange(MEMBERS) for _ in range(PARTITIONS)]
        given = [{TopicPartition(IN, n) for n in range(PARTITIONS) if owners[n] == m} for m in range(MEMBERS)]
        await asyncio.gather(*(member.listener.on_partitions_revoked(set(member.positions)) for member in members))
        for member, partitions in zip(members, given, strict=True):
            member.hold(partitions)
        both = zip(members, given, strict=True)
        await asyncio.gather(*(member.listener.on_partitions_assigned(partitions) for member, partitions in both))
        await self.kafka.wake()

    async def finish(self) -> None:
        """Until all is done."""
        ends = {tp: len(log) for tp, log in self.kafka.logs.items() if tp.topic == IN}
        await self.kafka.until(
            lambda: (
                any(task.done() for task in self.tasks)
                or all(self.kafka.committed.get(tp) == end for tp, end in ends.items())
            )
        )
        self.stop.set()
        await asyncio.gather(*self.tasks)


def disturb(kafka: FakeKafka, random: Random, guarantee: Guarantee) -> None:
    """Brokers that do not answer, or answer later; transactions whose commit is in doubt."""
    if guarantee == "exactly_once":
        if random.random() < 0.05:
            kafka.fail_commit.append((KafkaTimeoutError(), random.random() < 0.5))
    elif not kafka.hold and random.random() < 0.08:
        kafka.hold, kafka.held_topics = True, {random.choice([OUT, STATE, DEAD])}
    elif kafka.hold and random.random() < 0.4:
        if random.random() < 0.5:
            for ack in kafka.unacknowledged:
                if not ack.done():  # cancelled with who waited for it
                    ack.set_exception(KafkaTimeoutError())
            kafka.unacknowledged.clear()
        kafka.release()


async def run(random: Random, guarantee: Guarantee, said: Sequence[Message], taggers: Taggers) -> FakeKafka:
    kafka = FakeKafka(PARTITIONS, alone=False)
    members = Members(
        kafka,
        ServiceSettings(
            broker="fake:1",
            guarantee=guarantee,
            commit_seconds=0.001,
            session_timeout_seconds=0.05,
            in_flight=8,
            shutdown_seconds=random.choice([0.002, 2.0]),  # too short to settle, or long enough
        ),
        taggers,
    )
    await kafka.until(lambda: sum(hasattr(member, "listener") for member in kafka.members) == MEMBERS)
    await members.divide(random)
    for message in said:
        await kafka.append(IN, msgspec.json.encode(message), None, partition_of(message.session))
        if random.random() < 0.5:
            await asyncio.sleep(random.choice([0, 0, 0.001, 0.005]))
        if random.random() < 0.06:
            await members.divide(random)
        disturb(kafka, random, guarantee)
    kafka.release()
    await members.finish()
    return kafka


def in_order(revisions: list[Revision]) -> list[Revision]:
    return sorted(revisions, key=lambda x: (x.session, x.tagger, x.rev))


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("seed", range(8))
def test_partitions_go_to_and_fro_and_nothing_is_wrong(seed: int, guarantee: Guarantee) -> None:
    random, taggers = Random(seed), TAGGERS[seed % len(TAGGERS)]
    said = talk(random, 120)
    kafka = asyncio.run(run(random, guarantee, said, taggers))
    assert in_order(read(kafka, guarantee)) == in_order(expect(said, Always(), taggers))
    assert not kafka.records(DEAD)
    assert all(isinstance(member, FakeConsumer) and member.pauses for member in kafka.members)
