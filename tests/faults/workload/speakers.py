"""What speakers say, and when each message of it is due: made before a run, so that sending costs next to nothing.

Every speaker is one session. Words come one at a time as a Poisson process of its own, at the pace of speech; a segment
has a random number of them, and the recogniser closes it a moment after its last one. Each message carries the whole
segment so far, as recognisers' interims do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from zlib import crc32

import msgspec

from stream.messages.types import End, Message, Update
from tests.faults.workload.sentences import make_sentence

WORDS_A_SECOND = 2.5
"""Of one speaker."""
SHORTEST, LONGEST = 12, 60
"""Words of a segment."""
FINAL_SECONDS = 0.3
"""From a segment's last word to the message that closes it."""


@dataclass(frozen=True, slots=True)
class Due:
    """One message, and when it is to be sent."""

    at: float
    """Seconds since the load began."""
    partition: int
    session: str
    value: bytes
    is_word: bool
    """It brings a word; others close a segment."""


def plan_talk(name: str, sessions: int, seconds: float, partitions: int, seed: int) -> list[Due]:
    """All messages of so many speakers, in order of time.

    Args:
        name: what sessions are called; no other run may call them the same.
        sessions: how many speak at once.
        seconds: for how long.
        partitions: of the input; a session stays in one.
        seed: the same seed gives the same messages.
    """
    random = Random(seed)
    plan = []
    for number in range(sessions):
        session = f"{name}-{number}"
        partition = place(session, partitions)
        for at, message, is_word in _speak(session, Random(random.random()), seconds):
            plan.append(Due(at, partition, session, msgspec.json.encode(message), is_word))
    return sorted(plan, key=lambda x: x.at)


def farewell(name: str, sessions: int, partitions: int) -> list[Due]:
    """An end of each session."""
    names = [f"{name}-{number}" for number in range(sessions)]
    return [Due(0.0, place(x, partitions), x, msgspec.json.encode(End(session=x)), False) for x in names]


def place(session: str, partitions: int) -> int:
    """The partition that a session is sent to."""
    return crc32(session.encode()) % partitions


def _speak(session: str, random: Random, seconds: float) -> Iterator[tuple[float, Message, bool]]:
    at = random.expovariate(WORDS_A_SECOND)
    length = random.randint(1, LONGEST)  # all begin somewhere in a segment, or they would all close at once
    segment = 0
    while at < seconds:
        said: list[str] = []
        for word in _words(random, length):
            if at >= seconds:
                return
            said.append(word)
            text = " ".join(said)
            yield at, Update(session=session, segment=f"s{segment}", text=text), True
            closed = at + FINAL_SECONDS
            at += random.expovariate(WORDS_A_SECOND)
        yield closed, Update(session=session, segment=f"s{segment}", text=text, final=True), False
        at = max(at, closed)
        segment += 1
        length = random.randint(SHORTEST, LONGEST)


def _words(random: Random, count: int) -> Iterator[str]:
    left = count
    while left:
        for word in make_sentence(random)[:left]:
            left -= 1
            yield word
