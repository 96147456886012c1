"""The load: live speakers who come and go, and hostile records among their messages, in order of time.

Nothing is planned ahead, so that a run of hours takes no more memory than one of minutes.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import msgspec

from benchmarks.kafka.speakers import session_partition
from consumers.runtime.capacity import speaker_messages
from stream.messages.types import Delete, End, Update
from tests.faults.workload.sentences import make_sentence

SHORTEST_SESSION, LONGEST_SESSION = 60.0, 180.0
"""Seconds that a speaker stays."""
HOSTILE_SESSIONS = 200
LONG_TEXT = 60_000
"""Characters of the longest hostile text that is valid."""


@dataclass(frozen=True, slots=True)
class SoakMessage:
    """One record and when it is due."""

    at: float
    partition: int
    key: bytes | None
    value: bytes | None
    session: str = ""
    """Of a speaker; empty for a hostile record."""
    closes: tuple[str, str] | None = None
    """Segment that it closes, and its text."""


def speakers_and_hostile(
    speakers: int, seconds: float, partitions: int, hostile_share: float, seed: int
) -> Iterator[SoakMessage]:
    """Yield all records of a run; the sessions that are open at its end are ended then.

    Args:
        speakers: live sessions at any time.
        seconds: duration.
        partitions: number of input partitions.
        hostile_share: share of all records that are hostile.
        seed: the same seed gives the same records.
    """
    random = Random(seed)
    hostile, each_good = HostileRecords(partitions, seed), hostile_share / (1 - hostile_share)
    heap: list[tuple[float, int, SoakMessage, Iterator[SoakMessage]]] = []
    number = 0

    def add(began: float, life: float) -> None:
        nonlocal number
        messages = _speaker(
            f"good-{seed}-{number}", began, min(life, seconds - began), partitions, Random(random.random())
        )
        first = next(messages)
        heapq.heappush(heap, (first.at, number, first, messages))
        number += 1

    for _ in range(speakers):
        add(0.0, random.uniform(1.0, LONGEST_SESSION))
    while heap:
        at, own, message, messages = heap[0]
        yield message
        if at < seconds and random.random() < each_good:
            yield hostile.make(at, message)
        following = next(messages, None)
        if following is not None:
            heapq.heapreplace(heap, (following.at, own, following, messages))
            continue
        heapq.heappop(heap)
        if at < seconds - 1.0:
            add(at, random.uniform(SHORTEST_SESSION, LONGEST_SESSION))


def _speaker(session: str, began: float, life: float, partitions: int, random: Random) -> Iterator[SoakMessage]:
    """One speaker's messages, the end of the session last; the end closes the segment that is open."""
    partition, key = session_partition(session, partitions), session.encode()
    last: Update | None = None
    for at, update in speaker_messages(session, random, life, _words(random)):
        closes = (update.segment, update.text) if update.final else None
        last = None if update.final else update
        yield SoakMessage(began + at, partition, key, msgspec.json.encode(update), session, closes)
    end = msgspec.json.encode(End(session=session))
    yield SoakMessage(began + life, partition, key, end, session, (last.segment, last.text) if last else None)


def _words(random: Random) -> Iterator[str]:
    while True:
        yield from make_sentence(random)


class HostileRecords:
    """Records that should cost nobody else anything: most are dead letters, the others are sessions of their own."""

    def __init__(self, partitions: int, seed: int) -> None:
        self._partitions = partitions
        self._random = Random(f"hostile-{seed}")
        self._number = 0
        self._kinds: list[Callable[[str], bytes | None]] = [
            lambda _: None,
            lambda _: b"",
            lambda _: self._random.randbytes(200),
            lambda session: self._text(session, "cut off")[:-5],
            lambda _: b'{"session":' + b"[" * 5_000,
            lambda _: b'{"type": "update", "session": 7, "segment": [], "text": {}}',
            lambda _: b"\xef\xbb\xbf{}",
            lambda session: self._text(session, "x" * 200_000),
            lambda session: self._text(session * 5_000, "a session without an end"),
            lambda session: (
                b'{"type":"update","session":"%s","segment":"a","text":"half \\ud83d a \\u0000 pair"}'
                % session.encode()
            ),
            lambda session: self._text(session, "anna\u0007 \u202e rice \u200b in\u00ad rome\ufeff " + "e\u0301" * 500),
            lambda session: self._text(session, "w" * 5_000),
            lambda session: self._text(session, "anna rice of rome said ", mode="append"),
            lambda session: self._text(session, "bob smith went to paris", final=True),
            lambda session: msgspec.json.encode(Delete(session=session, segment=f"s{self._random.randrange(100)}")),
            lambda session: msgspec.json.encode(End(session=session)),
        ]

    def make(self, at: float, beside: SoakMessage) -> SoakMessage:
        """Make a record that is due at `at`; a third of those that are no messages have the key of a good session."""
        self._number += 1
        session = f"hostile-{self._random.randrange(HOSTILE_SESSIONS)}"
        if self._number % 5_000 == 1:  # as dear as a minute of a speaker's
            words = "anna rice of rome said that bob smith had gone " * (LONG_TEXT // 47)
            return SoakMessage(
                at, session_partition(session, self._partitions), session.encode(), self._text(session, words)
            )
        which = self._random.randrange(len(self._kinds))
        value = self._kinds[which](session)
        if which < 7 and self._random.random() < 1 / 3:
            return SoakMessage(at, beside.partition, beside.key, value)
        return SoakMessage(at, session_partition(session, self._partitions), session.encode(), value)

    def _text(self, session: str, text: str, **fields: object) -> bytes:
        segment = f"s{self._random.randrange(100)}"
        return msgspec.json.encode({"type": "update", "session": session, "segment": segment, "text": text, **fields})
