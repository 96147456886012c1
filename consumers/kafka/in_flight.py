"""What was taken from Kafka and is not yet done: by partition, so that a commit never passes an offset that is not
done, and by session, so that an answer finds its record and a lost partition its sessions.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import TopicPartition


class ConsumedRecord(Protocol):
    """The part of a consumed record that the service uses."""

    @property
    def topic(self) -> str: ...  # noqa: D102

    @property
    def partition(self) -> int: ...  # noqa: D102

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def timestamp(self) -> int: ...  # noqa: D102  # in milliseconds since 1970, below 0 if it has none

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...  # noqa: D102


class OffsetTracker:
    """One partition while it is ours. Offsets begin in order and finish in any order.

    Args:
        start: the offset that is read first.
        done: offsets at or behind the start that a former owner finished; they will come again.
    """

    def __init__(self, start: int = 0, done: Iterable[int] = ()) -> None:
        self._open: deque[int] = deque()
        self._finished = set(done)
        self.next = start
        """The offset behind the last one that has begun."""

    def begin(self, offset: int) -> None:
        """Take the next offset; gaps are fine (compaction and transaction markers leave them)."""
        assert offset >= self.next, "offsets of a partition rise"
        self._open.append(offset)
        self.next = offset + 1

    def finish(self, offset: int) -> None:
        """Everything that the offset caused is delivered, or goes out in the transaction that commits it."""
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            self._finished.discard(self._open.popleft())

    @property
    def position(self) -> int:
        """What may be committed: the first offset that is not done."""
        return self._open[0] if self._open else self.next

    @property
    def beyond(self) -> set[int]:
        """Offsets behind the position that are done although it is not."""
        return self._finished

    @property
    def unfinished(self) -> int:
        """Offsets that were begun and are not finished."""
        return sum(offset not in self._finished for offset in self._open)


@dataclass(slots=True, eq=False)
class InFlightRecord:
    """A record that was begun, and where its offset counts."""

    progress: OffsetTracker
    record: ConsumedRecord
    parts: int = 1
    """Messages that it is and that are not answered."""
    at: float = 0.0
    """When it was taken, by the clock that rises."""
    late: float | None = None
    """Seconds from its own timestamp to then, if it has one."""
    begun: float = 0.0
    """When the step that answered its last message began."""
    answered: float = 0.0
    """When that step was over; 0: none has."""

    def settle(self) -> bool:
        """One of its messages is answered or refused; says if that was the last."""
        self.parts -= 1
        return self.parts == 0


class InFlightRecords:
    """The books of one service.

    Args:
        limit: records in flight (begun and not delivered) at most.
        clock: any rising clock, in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._in_flight: dict[OffsetTracker, int] = {}
        self._moved: dict[OffsetTracker, float] = {}
        """When a partition's work last went on: its first record began, or one was delivered."""
        self._waiting: dict[tuple[str, int], list[InFlightRecord]] = {}
        """More than one where the engine has yet to answer for records of a partition that was lost and came back."""
        self._homes: dict[str, TopicPartition] = {}
        self.calm = asyncio.Event()
        """Set while nothing is in flight."""
        self.calm.set()
        self.freed = asyncio.Event()
        """Set when something is delivered; who waits for room clears it first."""

    @property
    def room(self) -> int:
        """How many more records may be taken."""
        return max(0, self._limit - sum(self._in_flight.values()))

    @property
    def stuck(self) -> float:
        """Seconds since anything was delivered of the partition that has waited for it longest; 0 if none waits."""
        since = [self._moved[progress] for progress, count in self._in_flight.items() if count]
        return max(0.0, self._clock() - min(since)) if since else 0.0

    def begin(self, progress: OffsetTracker, record: ConsumedRecord) -> InFlightRecord:
        """Book a record as taken."""
        now = self._clock()
        progress.begin(record.offset)
        if not self._in_flight.get(progress):
            self._moved[progress] = now
        self._in_flight[progress] = self._in_flight.get(progress, 0) + 1
        self.calm.clear()
        return InFlightRecord(progress, record, at=now)

    def deliver(self, taken: InFlightRecord) -> bool:
        """Everything the record caused is delivered. False: its partition is no longer ours."""
        return self.deliver_all([taken]) == 1

    def deliver_all(self, records: Iterable[InFlightRecord]) -> int:
        """Likewise of several; returns how many were still ours."""
        now, count = self._clock(), 0
        for taken in records:
            if taken.progress in self._in_flight:
                self._in_flight[taken.progress] -= 1
                self._moved[taken.progress] = now
                count += 1
        if count:
            self._settle()
        return count

    def expect(self, session: str, taken: InFlightRecord) -> None:
        """The engine has a message of this record, and will answer for it once."""
        self._waiting.setdefault((session, taken.record.offset), []).append(taken)
        if session not in self._homes:
            self._homes[session] = TopicPartition(taken.record.topic, taken.record.partition)

    def waiting(self, session: str, offset: int) -> InFlightRecord | None:
        """The record that an answer is for. None: a closing that no record asked for, or a record no longer ours."""
        taken = self._waiting.get((session, offset))
        return taken[-1] if taken and taken[-1].progress in self._in_flight else None

    def release(self, session: str, offset: int) -> InFlightRecord | None:
        """The engine is done with it; what it caused may still have to be delivered.

        None: the record is no longer ours, or another of its messages is to be answered yet.
        """
        waiting = self._waiting.get((session, offset))
        if not waiting:
            return None
        taken = waiting.pop(0)  # the engine answers in order
        if not waiting:
            del self._waiting[session, offset]
        return taken if taken.settle() and taken.progress in self._in_flight else None

    def home(self, session: str) -> TopicPartition | None:
        """The partition that a session lives in."""
        return self._homes.get(session)

    def live_at(self, session: str, partition: TopicPartition) -> None:
        """A session lives in this partition from now on."""
        self._homes.setdefault(session, partition)

    def forget(self, session: str) -> None:
        """Nothing is known of the session any more, unless it speaks again already."""
        if not any(name == session for name, _ in self._waiting):
            self._homes.pop(session, None)

    def drop(self, partition: TopicPartition, progress: OffsetTracker) -> list[str]:
        """Close a partition's books unfinished; returns the sessions that live there.

        The engine still answers for what it has of them; those answers are nobody's then.
        """
        self._in_flight.pop(progress, None)
        self._moved.pop(progress, None)
        self._settle()
        sessions = [session for session, home in self._homes.items() if home == partition]
        for session in sessions:
            del self._homes[session]
        return sessions

    def _settle(self) -> None:
        if not any(self._in_flight.values()):
            self.calm.set()
        self.freed.set()
