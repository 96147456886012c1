"""Supervisor: forks worker processes that do the same work, and starts them again when they end.

What was loaded before the fork is in memory once: a child shares its parent's pages until one of them writes to a page,
and weights are only read. A restart is a fork too, so it loads nothing.

The parent has one thread and no event loop, since neither would be intact in a child. Workers are told to end by a pipe
whose write end only the parent holds: it closes also when the parent dies in any way, so no worker stays behind. (A
forwarded signal would be the second one where a signal goes to the whole process group, as from terminals and init
systems.)
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import structlog

from consumers.common.worker_board import WorkerBoard, WorkerSlot

log = structlog.get_logger()

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
_HANDLED_SIGNALS = STOP_SIGNALS | {signal.SIGCHLD}
WRONG_SETTING = 2
"""Exit code of a worker that would fail again after a restart."""


@dataclass(frozen=True, kw_only=True)
class SupervisorRules:
    """Times and limits of a supervisor."""

    grace_seconds: float = 65.0
    """A worker that was told to end is killed after this time."""
    pause_seconds: float = 0.5
    """Pause before a restart; doubled after each short life in a row."""
    max_pause_seconds: float = 30.0
    short_life_seconds: float = 90.0
    """A life is short if it ends with an error within this time."""
    max_short_lives: int = 5
    """After this number of short lives of one worker in a row, all workers are stopped."""


@dataclass(slots=True)
class _SupervisedWorker:
    worker: int
    pid: int | None = None
    started_at: float = 0.0
    short_lives: int = 0
    start_at: float | None = 0.0
    """When it is to be started; None if it runs or is not started any more."""


class Supervisor:
    """Runs workers until a signal comes, or until one fails repeatedly.

    Args:
        board: shared status of all workers.
        work: runs a worker in its own process until its stop pipe ends; returns its exit code.
        rules: times and limits.
    """

    def __init__(
        self, board: WorkerBoard, work: Callable[[WorkerSlot], int], rules: SupervisorRules | None = None
    ) -> None:
        self._board = board
        self._work = work
        self._rules = rules or SupervisorRules()
        self._workers = [_SupervisedWorker(worker) for worker in range(board.count)]
        self._stop_reader, self._stop_writer = -1, -1
        """The two ends of the stop pipe: the workers read, the supervisor closes."""
        self._kill_at: float | None = None
        self._exit_code = 0

    def run(self) -> int:
        """Start all workers and supervise them. Returns when all have ended.

        A first SIGTERM or SIGINT ends them in order, a second one at once. The signals are blocked in this process from
        now on, and in a worker until it has its own handlers.

        Returns:
            0: a signal came and all have ended in order. 2: a worker says that a setting is wrong. Else 1.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED_SIGNALS)
        self._stop_reader, self._stop_writer = os.pipe()
        gc.collect()
        gc.freeze()  # a collection in a child writes to every object that it visits, and so copies its page
        try:
            while self._next_start() is not None or self._running():
                self._start_due()
                self._handle(self._wait())
        finally:
            for worker in self._running():
                self._kill(worker)
                self._on_exit(worker, os.waitpid(worker.pid or 0, 0)[1])
            for end in {self._stop_writer, self._stop_reader} - {-1}:
                os.close(end)
            gc.unfreeze()
        return self._exit_code

    # Starting

    def _start_due(self) -> None:
        for worker in self._workers:
            if worker.start_at is not None and worker.start_at <= time.monotonic():
                worker.start_at = None
                self._start(worker)

    def _start(self, worker: _SupervisedWorker) -> None:
        sys.stdout.flush()  # else the child writes the buffered text once more
        sys.stderr.flush()
        self._board.starting(worker.worker)
        try:
            pid = os.fork()
        except OSError as error:
            worker.start_at = time.monotonic() + self._rules.max_pause_seconds
            log.error("worker_start_failed", worker=worker.worker, error=str(error))
            return
        if not pid:
            self._run_child(worker.worker)
        worker.pid, worker.started_at = pid, time.monotonic()
        self._board.started(worker.worker, pid)
        starts = self._board.status(worker.worker).starts
        log.info("worker_started", worker=worker.worker, pid=pid, starts=starts)

    def _run_child(self, worker: int) -> NoReturn:
        """Run a worker in the child process, and exit."""
        code = 1
        try:
            os.close(self._stop_writer)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            code = self._work(WorkerSlot(worker, self._stop_reader, self._board))
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            sys.excepthook(*sys.exc_info())  # which may hide what the error says
        finally:
            os._exit(code)  # the code of the parent after this point is not for the child

    # Waiting

    def _wait(self) -> signal.struct_siginfo | None:
        """Wait for the next signal; returns None when a start or a kill is due."""
        times = [x for x in (self._next_start(), self._kill_at) if x is not None]
        if not times:
            return signal.sigwaitinfo(_HANDLED_SIGNALS)
        return signal.sigtimedwait(_HANDLED_SIGNALS, max(0.0, min(times) - time.monotonic()))

    def _handle(self, caught: signal.struct_siginfo | None) -> None:
        if caught and caught.si_signo in STOP_SIGNALS:
            self._stop(at_once=self._stop_writer < 0)
        for worker in self._running():
            pid, status = os.waitpid(worker.pid or 0, os.WNOHANG)
            if pid:
                self._on_exit(worker, status)
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            for worker in self._running():
                log.error("worker_killed", worker=worker.worker, pid=worker.pid)
                self._kill(worker)

    def _on_exit(self, worker: _SupervisedWorker, status: int) -> None:
        """Handle the end of a worker: restart it, or stop all."""
        code, lived = os.waitstatus_to_exitcode(status), time.monotonic() - worker.started_at
        pid, worker.pid = worker.pid, None
        self._board.ended(worker.worker)
        fields = {"worker": worker.worker, "pid": pid, **_describe_exit(code), "seconds": round(lived, 1)}
        if self._stop_writer < 0:
            self._exit_code = self._exit_code or int(code != 0)
            log.info("worker_ended", **fields)
            return
        worker.short_lives = worker.short_lives + 1 if code and lived < self._rules.short_life_seconds else 0
        if code == WRONG_SETTING or worker.short_lives >= self._rules.max_short_lives:
            log.error("worker_failed_repeatedly", **fields, lives=worker.short_lives)
            self._exit_code = code if code == WRONG_SETTING else 1
            self._stop()
            return
        pause = min(self._rules.pause_seconds * 2 ** max(0, worker.short_lives - 1), self._rules.max_pause_seconds)
        worker.start_at = time.monotonic() + pause
        log.warning("worker_restarting", **fields, pause=pause)

    # Stopping

    def _stop(self, at_once: bool = False) -> None:
        if self._stop_writer >= 0:
            os.close(self._stop_writer)
            self._stop_writer = -1
        for worker in self._workers:
            worker.start_at = None
        self._kill_at = time.monotonic() + (0.0 if at_once else self._rules.grace_seconds)

    @staticmethod
    def _kill(worker: _SupervisedWorker) -> None:
        if worker.pid is not None:
            os.kill(worker.pid, signal.SIGKILL)

    def _running(self) -> list[_SupervisedWorker]:
        return [worker for worker in self._workers if worker.pid is not None]

    def _next_start(self) -> float | None:
        return min((worker.start_at for worker in self._workers if worker.start_at is not None), default=None)


def _describe_exit(code: int) -> dict[str, int | str]:
    return {"code": code} if code >= 0 else {"signal": signal.Signals(-code).name}
