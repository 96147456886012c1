"""Plan of the messages of live speakers and when each is due: made before a run, so that sending costs little.

Every speaker is one session that speaks as in `hearken bench` (`consumers.runtime.capacity.speaker_messages`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from zlib import crc32

import msgspec

from consumers.runtime.capacity import speaker_messages
from stream.messages.types import End
from tests.faults.workload.sentences import make_sentence


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """One message and when it is due."""

    at: float
    """Due time in seconds since the load began."""
    partition: int
    session: str
    value: bytes
    is_word: bool
    """Brings a word; other messages close a segment."""


def plan_speakers(name: str, sessions: int, seconds: float, partitions: int, seed: int) -> list[PlannedMessage]:
    """Return all messages of the speakers, in order of time.

    Args:
        name: prefix of the sessions' names, unique to this run.
        sessions: number of speakers.
        seconds: duration.
        partitions: number of input partitions; a session stays in one.
        seed: the same seed gives the same messages.
    """
    random = Random(seed)
    plan = []
    for number in range(sessions):
        session = f"{name}-{number}"
        partition = session_partition(session, partitions)
        own = Random(random.random())
        for at, update in speaker_messages(session, own, seconds, _words(own)):
            plan.append(PlannedMessage(at, partition, session, msgspec.json.encode(update), not update.final))
    return sorted(plan, key=lambda x: x.at)


def plan_ends(name: str, sessions: int, partitions: int) -> list[PlannedMessage]:
    """Return a message for each session that ends it."""
    names = [f"{name}-{number}" for number in range(sessions)]
    return [
        PlannedMessage(0.0, session_partition(x, partitions), x, msgspec.json.encode(End(session=x)), False)
        for x in names
    ]


def session_partition(session: str, partitions: int) -> int:
    """Return the partition that a session is sent to."""
    return crc32(session.encode()) % partitions


def _words(random: Random) -> Iterator[str]:
    while True:
        yield from make_sentence(random)
