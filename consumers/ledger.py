"""What was taken from Kafka and is not yet done: by partition, so that a commit never passes an offset that is not
done, and by session, so that an answer finds its record and a lost partition its sessions.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import TopicPartition


class Record(Protocol):
    """The part of a consumed record that the service uses."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Progress:
    """One partition while it is ours. Offsets begin in order and finish in any order."""

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._finished: set[int] = set()
        self._next: int | None = None

    def begin(self, offset: int) -> None:
        """Take the next offset; gaps are fine (compaction and transaction markers leave them)."""
        assert self._next is None or offset >= self._next, "offsets of a partition rise"
        self._open.append(offset)
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """Everything that the offset caused is acknowledged."""
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            self._finished.discard(self._open.popleft())

    @property
    def position(self) -> int | None:
        """What may be committed: the first offset that is not done. None before any has begun."""
        return self._open[0] if self._open else self._next

    @property
    def unfinished(self) -> int:
        """Offsets that were begun and are not finished."""
        return len(self._open) - len(self._finished)


@dataclass(frozen=True, slots=True)
class Taken:
    """A record that was begun, and where its offset counts."""

    progress: Progress
    record: Record


class Ledger:
    """The books of one service.

    Args:
        limit: records in flight (begun and not finished) at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_flight = 0
        self._partitions: dict[TopicPartition, Progress] = {}
        self._waiting: dict[tuple[str, int], deque[Taken]] = {}
        self._homes: dict[str, tuple[TopicPartition, float]] = {}
        self.calm = asyncio.Event()
        """Set while nothing is in flight."""
        self.calm.set()
        self.freed = asyncio.Event()
        """Set when something finishes; who waits for room clears it first."""

    @property
    def room(self) -> int:
        """How many more records may be taken."""
        return max(0, self._limit - self._in_flight)

    @property
    def partitions(self) -> set[TopicPartition]:
        """Partitions that something was taken from while they were ours."""
        return set(self._partitions)

    def positions(self) -> dict[TopicPartition, int]:
        """What may be committed now."""
        return {p: progress.position for p, progress in self._partitions.items() if progress.position is not None}

    def begin(self, partition: TopicPartition, record: Record) -> Taken:
        """Book a record as taken."""
        progress = self._partitions.setdefault(partition, Progress())
        progress.begin(record.offset)
        self._count(1)
        return Taken(progress, record)

    def expect(self, session: str, taken: Taken, now: float) -> None:
        """The engine is about to get this record's message; `now` is any rising clock."""
        self._waiting.setdefault((session, taken.record.offset), deque()).append(taken)
        self._homes[session] = TopicPartition(taken.record.topic, taken.record.partition), now

    def waiting(self, session: str, offset: int) -> Taken | None:
        """The record that an answer is for. None: a closing that no record asked for, or a record no longer ours."""
        queue = self._waiting.get((session, offset))
        return queue[0] if queue else None

    def release(self, session: str, offset: int) -> Taken | None:
        """The engine is done with it; what it caused may still lack acknowledgements."""
        queue = self._waiting.get((session, offset))
        if not queue:
            return None
        taken = queue.popleft()
        if not queue:
            del self._waiting[session, offset]
        return taken

    def finish(self, taken: Taken) -> None:
        """Everything the record caused is acknowledged."""
        if taken.progress in self._partitions.values():
            taken.progress.finish(taken.record.offset)
            self._count(-1)

    def forget(self, session: str) -> None:
        """The session ended."""
        self._homes.pop(session, None)

    def forget_idle(self, since: float) -> None:
        """Forget the sessions that heard nothing since then (the engine has closed them)."""
        for session in [s for s, (_, seen) in self._homes.items() if seen < since]:
            del self._homes[session]

    def drop(self, partitions: Iterable[TopicPartition]) -> list[str]:
        """Partitions are no longer ours: their books close unfinished; returns the sessions that lived there."""
        gone = {p: self._partitions.pop(p) for p in partitions if p in self._partitions}
        for progress in gone.values():
            self._count(-progress.unfinished)
        for name, queue in list(self._waiting.items()):
            kept = deque(taken for taken in queue if taken.progress not in gone.values())
            if kept:
                self._waiting[name] = kept
            else:
                del self._waiting[name]
        sessions = [session for session, (home, _) in self._homes.items() if home in gone]
        for session in sessions:
            del self._homes[session]
        return sessions

    def _count(self, change: int) -> None:
        self._in_flight += change
        if self._in_flight == 0:
            self.calm.set()
        else:
            self.calm.clear()
        if change < 0:
            self.freed.set()
