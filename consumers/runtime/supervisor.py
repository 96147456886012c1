"""A supervisor: some processes that do the same work, forked from one that does nothing but look after them.

What was loaded before is in memory once: a fork shares all of its parent's pages until somebody writes to one, and
weights are only read. Starting a worker again is a fork too, so it costs no loading.

The parent has one thread and no event loop, since neither would be whole in a child. Workers are told to end by a pipe
that only the parent can write to, the *leash*: it ends with the parent too, however that came to its end, so nobody is
left behind. (A signal passed on would be the second one where somebody signals the whole group, as terminals and init
systems do.)
"""

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import structlog

from consumers.common.worker_board import WorkerBoard

log = structlog.get_logger()

STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_HEEDED = STOP | {signal.SIGCHLD}
WRONG_SETTING = 2
"""The exit code of a worker that no new start would help."""


@dataclass(frozen=True, kw_only=True)
class SupervisorRules:
    """How long is waited for what."""

    grace_seconds: float = 65.0
    """A worker that was told to end is killed after that."""
    pause_seconds: float = 0.5
    """Before a worker is started again; twice as long after each life in a row that was short."""
    longest_pause_seconds: float = 30.0
    calm_seconds: float = 90.0
    """A life that was longer is no short one."""
    lives: int = 5
    """So many short ones of one worker in a row end everything: it will not get better by itself."""


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """What a worker is given."""

    worker: int
    """From 0."""
    leash: int
    """A file descriptor; that there is something to read means that the worker shall end in order."""
    board: WorkerBoard


@dataclass(slots=True)
class _SupervisedWorker:
    worker: int
    pid: int | None = None
    began: float = 0.0
    short_lives: int = 0
    due: float | None = 0.0
    """When it is to be started; None: it runs, or nobody starts it any more."""


class Supervisor:
    """Runs workers until a signal comes, or until there is no sense in it.

    Args:
        board: says how many there are.
        work: what a worker does, in a process of its own, until its leash ends; returns its exit code.
        rules: see there.
    """

    def __init__(
        self, board: WorkerBoard, work: Callable[[WorkerSlot], int], rules: SupervisorRules | None = None
    ) -> None:
        self._board = board
        self._work = work
        self._rules = rules or SupervisorRules()
        self._slots = [_SupervisedWorker(worker) for worker in range(board.count)]
        self._held, self._leash = -1, -1
        """The leash's two ends: the workers', and ours."""
        self._kill_at: float | None = None
        self._code = 0

    def run(self) -> int:
        """Start all, and look after them. Returns when all have ended, and none is left behind.

        A first SIGTERM or SIGINT ends them in order, a second one at once. They are blocked here from now on, and until
        a worker has handlers of its own.

        Returns:
            0: a signal came and all have ended in order. 2: a worker says that a setting is wrong. Else 1.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED)
        self._held, self._leash = os.pipe()
        gc.collect()
        gc.freeze()  # a collection in a child writes to every object that it looks at, and so copies its page
        try:
            while self._next_due() is not None or self._running():
                self._start_due()
                self._heed(self._wait())
        finally:
            for slot in self._running():
                self._kill(slot)
                self._reap(slot, os.waitpid(slot.pid or 0, 0)[1])
            for end in {self._leash, self._held} - {-1}:
                os.close(end)
            gc.unfreeze()
        return self._code

    # Starting

    def _start_due(self) -> None:
        for slot in self._slots:
            if slot.due is not None and slot.due <= time.monotonic():
                slot.due = None
                self._start(slot)

    def _start(self, slot: _SupervisedWorker) -> None:
        sys.stdout.flush()  # else the child says it once more
        sys.stderr.flush()
        self._board.starting(slot.worker)
        try:
            pid = os.fork()
        except OSError as error:
            slot.due = time.monotonic() + self._rules.longest_pause_seconds
            log.error("no worker could be started", worker=slot.worker, error=str(error))
            return
        if not pid:
            self._be(slot.worker)
        slot.pid, slot.began = pid, time.monotonic()
        self._board.started(slot.worker, pid)
        log.info("worker started", worker=slot.worker, pid=pid, starts=self._board.look(slot.worker).starts)

    def _be(self, worker: int) -> NoReturn:
        """The child's whole life."""
        code = 1
        try:
            os.close(self._leash)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            code = self._work(WorkerSlot(worker, self._held, self._board))
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)  # nothing of what the parent does after us is ours

    # Waiting

    def _wait(self) -> signal.struct_siginfo | None:
        """The next signal, or None when it is time for something."""
        times = [x for x in (self._next_due(), self._kill_at) if x is not None]
        if not times:
            return signal.sigwaitinfo(_HEEDED)
        return signal.sigtimedwait(_HEEDED, max(0.0, min(times) - time.monotonic()))

    def _heed(self, caught: signal.struct_siginfo | None) -> None:
        if caught and caught.si_signo in STOP:
            self._stop(at_once=self._leash < 0)
        for slot in self._running():
            pid, status = os.waitpid(slot.pid or 0, os.WNOHANG)
            if pid:
                self._reap(slot, status)
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            for slot in self._running():
                log.error("a worker did not end in order and is killed", worker=slot.worker, pid=slot.pid)
                self._kill(slot)

    def _reap(self, slot: _SupervisedWorker, status: int) -> None:
        """A worker has ended."""
        code, lived = os.waitstatus_to_exitcode(status), time.monotonic() - slot.began
        pid, slot.pid = slot.pid, None
        self._board.ended(slot.worker)
        told = {"worker": slot.worker, "pid": pid, **_told(code), "seconds": round(lived, 1)}
        if self._leash < 0:
            self._code = self._code or int(code != 0)
            log.info("worker ended", **told)
            return
        slot.short_lives = slot.short_lives + 1 if code and lived < self._rules.calm_seconds else 0
        if code == WRONG_SETTING or slot.short_lives >= self._rules.lives:
            log.error("a worker ended and will not do better; all end", **told)
            self._code = code if code == WRONG_SETTING else 1
            self._stop()
            return
        pause = min(self._rules.pause_seconds * 2 ** max(0, slot.short_lives - 1), self._rules.longest_pause_seconds)
        slot.due = time.monotonic() + pause
        log.warning("a worker ended and is started again", **told, pause=pause)

    # Ending

    def _stop(self, at_once: bool = False) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1
        for slot in self._slots:
            slot.due = None
        self._kill_at = time.monotonic() + (0.0 if at_once else self._rules.grace_seconds)

    @staticmethod
    def _kill(slot: _SupervisedWorker) -> None:
        if slot.pid is not None:
            os.kill(slot.pid, signal.SIGKILL)

    def _running(self) -> list[_SupervisedWorker]:
        return [slot for slot in self._slots if slot.pid is not None]

    def _next_due(self) -> float | None:
        return min((slot.due for slot in self._slots if slot.due is not None), default=None)


def _told(code: int) -> dict[str, int | str]:
    return {"code": code} if code >= 0 else {"signal": signal.Signals(-code).name}
