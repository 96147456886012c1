"""What workers of one machine let each other know: memory that they share, a row of numbers for each of them.

The supervisor writes who runs and how often it was started; each worker, that it is alive and whether it is stuck. So
each one's /healthz can tell of all of them, and nobody has to be asked who might not answer.
"""

import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass

_PID, _STARTS, _HEARD, _STUCK, _FIELDS = range(5)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """How a worker is doing."""

    pid: int | None
    """None: it does not run."""
    starts: int
    """How often it was started."""
    silent: float
    """Seconds since it was heard of, or since it ended."""
    stuck: bool
    """Its own /healthz has said that something does not go on."""


class WorkerBoard:
    """Made before the workers are forked. A field has one writer at any time, and is read and written whole.

    Who runs and how often is the supervisor's. Whether a worker was heard of and is stuck is the worker's while it
    lives; the supervisor writes that only before a worker is forked (`starting`) and after its end (`ended`).

    Args:
        count: of workers.
        clock: seconds, the same in all processes of the machine.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = count
        self._clock = clock
        self._rows = memoryview(mmap.mmap(-1, 8 * _FIELDS * count)).cast("d")

    def starting(self, worker: int) -> None:
        """The supervisor is about to fork it: from now on only the worker says how it is doing."""
        self._put(worker, _STUCK, 0.0)
        self._put(worker, _HEARD, self._clock())

    def started(self, worker: int, pid: int) -> None:
        """The supervisor has forked it. The worker may have written its own fields by now; they stay."""
        self._put(worker, _STARTS, self._get(worker, _STARTS) + 1)
        self._put(worker, _PID, pid)

    def ended(self, worker: int) -> None:
        """The supervisor has seen its end."""
        self._put(worker, _PID, 0.0)
        self._put(worker, _HEARD, self._clock())

    def beat(self, worker: int, stuck: bool) -> None:
        """The worker lives."""
        self._put(worker, _STUCK, float(stuck))
        self._put(worker, _HEARD, self._clock())

    def look(self, worker: int) -> WorkerStatus:
        """How it is doing."""
        pid, starts = int(self._get(worker, _PID)), int(self._get(worker, _STARTS))
        return WorkerStatus(
            pid or None, starts, self._clock() - self._get(worker, _HEARD), bool(self._get(worker, _STUCK))
        )

    def trouble(self, but: int, patience: float) -> list[str]:
        """What is wrong with the others, a line each.

        Args:
            but: the one who asks; it knows better about itself.
            patience: seconds that one may be silent.
        """
        told = []
        for worker in range(self.count):
            post = self.look(worker)
            if worker == but:
                continue
            if post.pid is None:
                told.append(f"worker {worker} ended {post.silent:.0f} s ago and does not run yet")
            elif post.stuck:
                told.append(f"worker {worker} is stuck; its own /healthz says why")
            elif post.silent > patience:
                told.append(f"worker {worker} was not heard of for {post.silent:.0f} s")
        return told

    def _get(self, worker: int, field: int) -> float:
        return float(self._rows[worker * _FIELDS + field])

    def _put(self, worker: int, field: int, value: float) -> None:
        self._rows[worker * _FIELDS + field] = value
