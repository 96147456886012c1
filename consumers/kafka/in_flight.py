"""Records that were taken from Kafka and are not finished: by partition, so that a commit never passes an unfinished
offset, and by session, so that an answer of the engine finds its record and a lost partition finds its sessions.
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
    """Offsets of one assigned partition. They begin in order and finish in any order.

    Args:
        start: the first offset that is read.
        done: offsets at or after `start` that a former owner finished; they will be read again.
    """

    def __init__(self, start: int = 0, done: Iterable[int] = ()) -> None:
        self._begun: deque[int] = deque()
        self._finished = set(done)
        self.next = start
        """The offset after the last one that has begun."""

    def begin(self, offset: int) -> None:
        """Begin the next offset. Gaps are allowed: compaction and transaction markers leave them."""
        assert offset >= self.next, "offsets of a partition rise"
        self._begun.append(offset)
        self.next = offset + 1

    def pass_gap(self, position: int) -> bool:
        """Pass offsets that have no record for us: transaction markers, aborted records, records compacted away.

        Args:
            position: offset that the consumer reads next; every record before it has begun.

        Returns:
            Whether there were any.
        """
        if position <= self.next:
            return False
        self.next = position
        begun = set(self._begun)
        self._finished = {offset for offset in self._finished if offset >= position or offset in begun}
        return True

    def finish(self, offset: int) -> None:
        """Finish an offset: everything it caused is written, or is part of the transaction that commits it."""
        self._finished.add(offset)
        while self._begun and self._begun[0] in self._finished:
            self._finished.discard(self._begun.popleft())

    @property
    def position(self) -> int:
        """The first unfinished offset: what may be committed."""
        return self._begun[0] if self._begun else self.next

    @property
    def finished_beyond(self) -> set[int]:
        """Finished offsets after the position."""
        return self._finished

    @property
    def unfinished(self) -> int:
        """Number of offsets that have begun and are not finished."""
        return sum(offset not in self._finished for offset in self._begun)


@dataclass(slots=True, eq=False)
class InFlightRecord:
    """A record that was taken, and the tracker of its partition. Times are seconds of a monotonic clock."""

    tracker: OffsetTracker
    record: ConsumedRecord
    unanswered: int = 1
    """Messages of the record that are not answered."""
    taken_at: float = 0.0
    broker_delay: float | None = None
    """Seconds from the record's own timestamp until it was taken; None if the timestamp says nothing about that."""
    step_started_at: float = 0.0
    """Start of the step that answered its last message."""
    step_ended_at: float = 0.0
    """End of that step; 0 before."""

    def count_answer(self) -> bool:
        """Count one of its messages as answered or refused; returns whether it was the last."""
        self.unanswered -= 1
        return self.unanswered == 0


class InFlightRecords:
    """All records in flight of one service.

    Args:
        limit: maximum number of records in flight (begun and not delivered).
        clock: monotonic clock, in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._counts: dict[OffsetTracker, int] = {}
        self._last_progress: dict[OffsetTracker, float] = {}
        """Last time that a partition's work progressed: its first record began, or one was delivered."""
        self._pending: dict[tuple[str, int], list[InFlightRecord]] = {}
        """More than one record where the engine has yet to answer for a partition that was lost and came back."""
        self._partitions: dict[str, TopicPartition] = {}
        self.idle = asyncio.Event()
        """Set while nothing is in flight."""
        self.idle.set()
        self.capacity_available = asyncio.Event()
        """Set when a record is delivered; a task that waits for capacity clears it first."""

    @property
    def capacity(self) -> int:
        """Number of records that may still be taken."""
        return max(0, self._limit - sum(self._counts.values()))

    @property
    def stuck_seconds(self) -> float:
        """Seconds since the last progress of the partition that has waited longest; 0 if none waits."""
        since = [self._last_progress[tracker] for tracker, number in self._counts.items() if number]
        return max(0.0, self._clock() - min(since)) if since else 0.0

    def begin(self, tracker: OffsetTracker, record: ConsumedRecord) -> InFlightRecord:
        """Begin a record that was taken from its partition."""
        now = self._clock()
        tracker.begin(record.offset)
        if not self._counts.get(tracker):
            self._last_progress[tracker] = now
        self._counts[tracker] = self._counts.get(tracker, 0) + 1
        self.idle.clear()
        return InFlightRecord(tracker, record, taken_at=now)

    def mark_delivered(self, records: Iterable[InFlightRecord]) -> int:
        """Mark records as delivered: everything they caused is written.

        Returns:
            The number of them whose partition is still assigned to this member.
        """
        now, number = self._clock(), 0
        for taken in records:
            if taken.tracker in self._counts:
                self._counts[taken.tracker] -= 1
                self._last_progress[taken.tracker] = now
                number += 1
        if number:
            self._update_events()
        return number

    def add_pending(self, session: str, taken: InFlightRecord) -> None:
        """Register a message of a record with the engine, which will answer it once."""
        self._pending.setdefault((session, taken.record.offset), []).append(taken)
        if session not in self._partitions:
            self._partitions[session] = TopicPartition(taken.record.topic, taken.record.partition)

    def find_pending(self, session: str, offset: int) -> InFlightRecord | None:
        """Find the record that an answer belongs to.

        Returns:
            None if no record asked for it (a session that ended because it was idle), or its partition was lost.
        """
        pending = self._pending.get((session, offset))
        return pending[-1] if pending and pending[-1].tracker in self._counts else None

    def complete(self, session: str, offset: int) -> InFlightRecord | None:
        """Complete a message that the engine has answered. What it caused may still have to be written.

        Returns:
            Its record; None if another message of the record is still unanswered, or its partition was lost.
        """
        pending = self._pending.get((session, offset))
        if not pending:
            return None
        taken = pending.pop(0)  # the engine answers in order
        if not pending:
            del self._pending[session, offset]
        return taken if taken.count_answer() and taken.tracker in self._counts else None

    def partition_of(self, session: str) -> TopicPartition | None:
        """Partition of a session."""
        return self._partitions.get(session)

    def assign_session(self, session: str, partition: TopicPartition) -> None:
        """Assign a session to a partition, unless it has one."""
        self._partitions.setdefault(session, partition)

    def forget_session(self, session: str) -> None:
        """Forget the partition of a session, unless messages of it are pending again."""
        if not any(name == session for name, _ in self._pending):
            self._partitions.pop(session, None)

    def drop_partition(self, partition: TopicPartition, tracker: OffsetTracker) -> list[str]:
        """Drop the unfinished records of a partition. Later answers of the engine to them are ignored.

        Returns:
            The sessions of the partition.
        """
        self._counts.pop(tracker, None)
        self._last_progress.pop(tracker, None)
        self._update_events()
        sessions = [session for session, home in self._partitions.items() if home == partition]
        for session in sessions:
            del self._partitions[session]
        return sessions

    def _update_events(self) -> None:
        if not any(self._counts.values()):
            self.idle.set()
        self.capacity_available.set()
