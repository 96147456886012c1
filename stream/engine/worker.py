"""Worker: runs an engine in one compute thread, behind a bounded queue, for an asyncio event loop."""

import asyncio
import sys
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from stream.engine.engine import Answer, Engine, StepResult
from stream.messages.caller_id import NOBODY, CallerId
from stream.messages.types import Message
from stream.overload.governor import OverloadChange
from stream.redaction.faults import hide_error

QUIET_TURNS = 10
"""Iterations of the event loop without a message after which it has read what was there: a socket whose message was
taken is read again some iterations later.
"""
LOOP_SECONDS = 0.2
"""The longest time that a step waits for that; it is the duration of the last step if that is more."""
SWITCH_SECONDS = 0.001
"""Time after which the compute thread lets the event loop go on. A fifth of Python's own: each time that the event loop
reads or writes a socket while the compute thread runs Python, it waits for this long.
"""


class WorkerFailed(RuntimeError):
    """The compute thread stopped with an error (its cause), or the worker was closed."""


@dataclass(slots=True)
class StepBatch:
    """Result of one step, as handed to the event loop."""

    result: StepResult
    latencies: list[float]
    """Seconds from submit to the end of the step, one for each of `result.answered`."""
    step_seconds: float
    """Duration of the step."""
    released: int = 0
    """Places in the queue that `result.answered` gives back."""
    overload_change: OverloadChange | None = None
    """Set if overload began or ended before this step. If it ended because no message comes, the step is empty."""
    ended_at: float = 0.0
    """End of the step, by the worker's clock."""


class Worker:
    """Runs an engine in a thread of its own.

        worker = Worker(engine)
        await worker.submit(message, offset)      # waits while the queue is full; raises InputError at once
        async for batch in worker.results(): ...  # in another task; ends after close()
        await worker.close()

    A message keeps its place in the queue until the reader of `results` asks for the batch after the one that answers
    it. A slow reader therefore slows the source down, and memory stays bounded. An update that supersedes a waiting one
    of its segment takes no place of its own.

    Args:
        engine: belongs to the worker from now on.
        queue: maximum number of messages in flight.
        clock: any monotonic clock, in seconds.
    """

    def __init__(self, engine: Engine, *, queue: int = 1024, clock: Callable[[], float] = time.monotonic) -> None:
        self.engine = engine
        self._queue = queue
        self._clock = clock
        self.in_flight = 0
        """Number of places in the queue that are taken: of messages whose answer the reader of `results` has not dealt
        with yet.
        """
        self._enqueued = 0
        """Number of messages so far."""
        self._steps_begun = 0
        self._steps_read = 0
        self._progress_at = 0.0
        """Time of the last progress: the first message came, or a step ended."""
        self._step_seconds = 0.0
        """Duration of the last step."""
        self._progress = asyncio.Event()
        """Set when a message has left the queue, or the worker has stopped."""
        self._batches: asyncio.Queue[StepBatch | None] = asyncio.Queue()
        self._submitted: defaultdict[Answer, list[tuple[float, bool]]] = defaultdict(list)
        """When a message came, and whether it has a place in the queue."""
        self._wake = threading.Event()
        self._stopped = False
        self.error: BaseException | None = None
        """The error that stopped the compute thread, if any."""
        self._thread: threading.Thread | None = None

    async def submit(self, message: Message, offset: int, caller: CallerId = NOBODY) -> None:
        """Give one message of a caller to the engine; waits while the queue is full.

        Raises:
            InputError: the message is bad; nothing was changed.
            WorkerFailed: the compute thread stopped.
        """
        await self.wait_for_capacity()
        self.enqueue(message, offset, caller)
        self.wake()

    def enqueue(self, message: Message, offset: int, caller: CallerId = NOBODY) -> bool:
        """Give one message to the engine even if the queue is full; a step may not see it before `wake`.

        For a source with many messages at once, so that one step takes them all.

        Returns:
            Whether it takes a place in the queue: it does not if it supersedes a waiting update.

        Raises:
            InputError, WorkerFailed: as `submit`.
        """
        self._start_thread()
        self._raise_if_stopped()
        now = self._clock()
        takes_place = not self.engine.submit(message, offset, now, caller)
        if not self.in_flight:
            self._progress_at = now
        self._submitted[Answer(message.session, offset)].append((now, takes_place))
        self.in_flight += takes_place
        self._enqueued += 1
        return takes_place

    def wake(self) -> None:
        """Let the compute thread see the messages that were enqueued."""
        self._wake.set()

    @property
    def full(self) -> bool:
        """Whether `wait_for_capacity` would wait."""
        return self.in_flight >= self._queue and not self._stopped

    @property
    def queue_age(self) -> float:
        """Seconds that the next message has waited for its step; 0 if none waits."""
        since = self.engine.intake.waiting_since
        return 0.0 if since is None else max(0.0, self._clock() - since)

    @property
    def stalled_seconds(self) -> float:
        """Seconds since the last progress while messages are in flight; 0 if none is."""
        return max(0.0, self._clock() - self._progress_at) if self.in_flight else 0.0

    def pause_before_submit(self, longest: float) -> float:
        """Seconds for which a source may pause, because its messages would wait for the running step anyway.

        Half the duration of a step, so that the next one takes almost all that came; 0 while no step runs.
        """
        return min(longest, self._step_seconds / 2) if self.in_flight else 0.0

    async def wait_for_capacity(self) -> None:
        """Wait until `submit` would not wait, or the worker has stopped."""
        while self.full:
            self.wake()
            await self._wait_for_progress()

    async def results(self) -> AsyncIterator[StepBatch]:
        """Yield the results of the steps, in order, to one reader.

        Raises:
            WorkerFailed: the compute thread stopped with an error.
        """
        self._start_thread()
        while (batch := await self._batches.get()) is not None:
            yield batch
            self.in_flight -= batch.released
            self._steps_read += 1
            self._progress.set()
        if self.error is not None:
            self._raise_if_stopped()

    async def wait_for_step(self) -> None:
        """Wait until the running step, if any, has ended and the reader of `results` has dealt with it."""
        begun = self._steps_begun
        while self._steps_read < begun and not self._stopped:
            await self._wait_for_progress()

    async def close(self) -> None:
        """Stop after the running step and end `results`; waiting messages stay unanswered. May be called twice."""
        self._stopped = True
        self._wake.set()
        self._progress.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._batches.put_nowait(None)

    async def _wait_for_progress(self) -> None:
        self._progress.clear()
        await self._progress.wait()

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            raise WorkerFailed(f"the compute thread stopped: {self.error or 'closed'}") from self.error

    def _start_thread(self) -> None:
        if self._thread is None and not self._stopped:
            loop = asyncio.get_running_loop()
            sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
            self._thread = threading.Thread(target=self._run_steps, args=(loop,), name="hearken-compute", daemon=True)
            self._thread.start()

    def _run_steps(self, loop: asyncio.AbstractEventLoop) -> None:
        """Body of the compute thread."""
        superseded = False
        """Whether the last step found many updates that newer ones had superseded: more come than are labelled."""
        try:
            while not self._stopped:
                if not self.engine.pending:
                    self._wake.wait(self._idle_seconds())
                    self._wake.clear()
                if superseded:
                    self._let_loop_read(loop)
                started = self._clock()
                self.engine.expire(started)
                change = self.engine.update_load(started, crowded=self.in_flight > self._queue / 2)
                if self.engine.pending or change:
                    self._steps_begun += 1
                    result = self.engine.step(self._clock)
                    ended = self._clock()
                    superseded = result.stats.coalesced > len(result.answered) / 4
                    self.engine.record_step_time(ended - started)
                    loop.call_soon_threadsafe(self._deliver, result, started, ended, change)
        except BaseException as error:
            loop.call_soon_threadsafe(self._fail, error)

    def _let_loop_read(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until the event loop has read what its sources have sent.

        Otherwise the compute thread takes the time that reading needs, and labels texts that are long superseded while
        the newest ones wait in the sockets' buffers.
        """
        longest = max(LOOP_SECONDS, self._step_seconds)
        read, until = threading.Event(), self._clock() + longest

        def turn(quiet: int, enqueued: int) -> None:
            quiet = quiet + 1 if enqueued == self._enqueued else 0
            if quiet < QUIET_TURNS and self._clock() < until:
                loop.call_soon(turn, quiet, self._enqueued)
            else:
                read.set()

        loop.call_soon_threadsafe(turn, 0, -1)
        read.wait(2 * longest)

    def _deliver(self, result: StepResult, started: float, ended: float, change: OverloadChange | None) -> None:
        self._progress_at = self._clock()
        self._step_seconds = ended - started
        answered = [self._pop_submitted(x) for x in result.answered]
        latencies, released = [ended - came for came, _ in answered], sum(takes_place for _, takes_place in answered)
        self._batches.put_nowait(StepBatch(result, latencies, ended - started, released, change, ended))

    def _pop_submitted(self, answer: Answer) -> tuple[float, bool]:
        times = self._submitted[answer]
        first = times.pop(0)
        if not times:
            del self._submitted[answer]
        return first

    def _idle_seconds(self) -> float:
        """How long to sleep without a message: meanwhile the price may fall, and sessions expire or are forgotten."""
        engine = self.engine
        soonest = min(engine.remember_seconds, engine.idle_seconds or engine.remember_seconds) / 4
        seconds = engine.pricing.next_wakeup()
        return min(max(soonest if seconds is None else min(soonest, seconds), 0.01), 1.0)

    def _fail(self, error: BaseException) -> None:
        self.error, self._stopped = error if self.engine.redactor is None else hide_error(error), True
        self._progress.set()
        self._batches.put_nowait(None)
