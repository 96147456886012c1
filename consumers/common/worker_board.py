"""Status board of the workers of one machine: shared memory with a row of numbers for each worker.

The supervisor writes which workers run and how often each was started; each worker writes its heartbeat and whether it
is stuck. So the /healthz of any worker reports on all of them, without asking a process that might not answer.
"""

import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass

_PID, _STARTS, _HEARTBEAT, _STUCK, _FIELDS = range(5)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Status of a worker."""

    pid: int | None
    """None if it does not run."""
    starts: int
    """How often it was started."""
    silent_seconds: float
    """Seconds since its last heartbeat, or since it ended."""
    stuck: bool
    """Whether it has reported that some work makes no progress."""


class WorkerBoard:
    """Shared status of all workers, made before they are forked. Each field has one writer at any time.

    The supervisor writes process id and number of starts. Heartbeat and `stuck` belong to the worker while it lives;
    the supervisor writes them only before the fork (`starting`) and after the end (`ended`).

    Args:
        count: number of workers.
        clock: seconds, the same in all processes of the machine.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = count
        self._clock = clock
        self._rows = memoryview(mmap.mmap(-1, 8 * _FIELDS * count)).cast("d")

    def starting(self, worker: int) -> None:
        """Reset the status of a worker that the supervisor is about to fork."""
        self._set(worker, _STUCK, 0.0)
        self._set(worker, _HEARTBEAT, self._clock())

    def started(self, worker: int, pid: int) -> None:
        """Record that the supervisor has forked a worker. The worker may have written its own fields already."""
        self._set(worker, _STARTS, self._get(worker, _STARTS) + 1)
        self._set(worker, _PID, pid)

    def ended(self, worker: int) -> None:
        """Record that the supervisor has seen the end of a worker."""
        self._set(worker, _PID, 0.0)
        self._set(worker, _HEARTBEAT, self._clock())

    def beat(self, worker: int, stuck: bool) -> None:
        """Record the heartbeat of a worker."""
        self._set(worker, _STUCK, float(stuck))
        self._set(worker, _HEARTBEAT, self._clock())

    def status(self, worker: int) -> WorkerStatus:
        """Read the status of a worker."""
        pid, starts = int(self._get(worker, _PID)), int(self._get(worker, _STARTS))
        silent_seconds = self._clock() - self._get(worker, _HEARTBEAT)
        return WorkerStatus(pid or None, starts, silent_seconds, bool(self._get(worker, _STUCK)))

    def find_problems(self, asking: int, patience: float) -> list[str]:
        """Find problems of all workers but the asking one, one line each; `patience`: seconds without heartbeat."""
        problems = []
        for worker in range(self.count):
            status = self.status(worker)
            if worker == asking:
                continue
            if status.pid is None:
                problems.append(f"worker {worker} ended {status.silent_seconds:.0f} s ago and does not run yet")
            elif status.stuck:
                problems.append(f"worker {worker} is stuck; its own /healthz says why")
            elif status.silent_seconds > patience:
                problems.append(f"worker {worker} has sent no heartbeat for {status.silent_seconds:.0f} s")
        return problems

    def _get(self, worker: int, field: int) -> float:
        return float(self._rows[worker * _FIELDS + field])

    def _set(self, worker: int, field: int, value: float) -> None:
        self._rows[worker * _FIELDS + field] = value


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """What the supervisor gives to a worker."""

    worker: int
    """Number, from 0."""
    stop_pipe: int
    """File descriptor that becomes readable (end of file) when the worker is to end in order."""
    board: WorkerBoard
