"""The async face of an engine: one compute thread, a bounded queue, and an event loop that never touches a tensor."""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from stream.engine.engine import Answer, Engine, StepResult
from stream.messages.types import Message
from stream.overload.governor import OverloadChange


class WorkerFailed(RuntimeError):
    """The compute thread stopped with an error (its cause), or the worker was closed."""


@dataclass(slots=True)
class StepBatch:
    """One step's result, as it crosses to the event loop."""

    result: StepResult
    latencies: list[float]
    """Seconds from submit to the end of the step, one for each of `result.answered`."""
    busy: float
    """Seconds that the step took."""
    shift: OverloadChange | None = None
    """Overload began or ended before this step. Where it ends because nothing comes any more, the step is empty."""
    ended: float = 0.0
    """When it was over, by the worker's clock."""


class Worker:
    """Runs an engine in a thread of its own.

        worker = Worker(engine)
        await worker.submit(message, offset)      # waits while the queue is full; raises InputError at once
        async for batch in worker.results(): ...  # in another task; ends after close()
        await worker.drain()                      # everything submitted is answered and results() has dealt with it
        await worker.close()

    A message holds its place in the queue until the reader of `results` asks for the batch after the one that
    answers it, so a slow reader slows the source down and memory stays bounded.

    Args:
        engine: nobody else may use it from now on.
        queue: messages in flight at most.
        clock: any rising clock, in seconds.
    """

    def __init__(self, engine: Engine, *, queue: int = 1024, clock: Callable[[], float] = time.monotonic) -> None:
        self.engine = engine
        self._queue = queue
        self._clock = clock
        self._in_flight = 0
        self._steps_begun = 0
        self._steps_read = 0
        self._moved_at = 0.0
        """When work last went on: the first message came, or a step ended."""
        self._busy = 0.0
        """Seconds that the last step took."""
        self._moved = asyncio.Event()
        """Something left the queue, or the worker stopped."""
        self._batches: asyncio.Queue[StepBatch | None] = asyncio.Queue()
        self._submitted: defaultdict[Answer, list[float]] = defaultdict(list)
        self._wake = threading.Event()
        self._stopped = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    async def submit(self, message: Message, offset: int) -> None:
        """Hand one message to the engine; waits while the queue is full.

        Raises:
            InputError: the message is bad; nothing was changed.
            WorkerFailed: the compute thread stopped.
        """
        await self.room()
        self.put(message, offset)
        self.wake()

    def put(self, message: Message, offset: int) -> None:
        """Hand one message to the engine, whether there is room or not; it may not look before it is woken (`wake`).

        For a source that has many at once: they find themselves in one step.

        Raises:
            InputError, WorkerFailed: as `submit`.
        """
        self._start()
        self._check()
        now = self._clock()
        self.engine.submit(message, offset, now)
        if not self._in_flight:
            self._moved_at = now
        self._submitted[Answer(message.session, offset)].append(now)
        self._in_flight += 1

    def wake(self) -> None:
        """Let the engine see what was put."""
        self._wake.set()

    @property
    def full(self) -> bool:
        """Whether `room` would wait."""
        return self._in_flight >= self._queue and not self._stopped

    @property
    def in_flight(self) -> int:
        """Messages that are submitted and not yet answered, or whose answer nobody has dealt with."""
        return self._in_flight

    @property
    def queue_age(self) -> float:
        """Seconds that the message that is next has waited for its step; 0 if none waits."""
        since = self.engine.waiting_since
        return 0.0 if since is None else max(0.0, self._clock() - since)

    @property
    def stuck(self) -> float:
        """Seconds since anything went on although messages are in flight; 0 if none is."""
        return max(0.0, self._clock() - self._moved_at) if self._in_flight else 0.0

    @property
    def error(self) -> BaseException | None:
        """What the compute thread stopped with, if it failed."""
        return self._error

    def rest(self, longest: float) -> float:
        """Seconds for which a source may rest: what it submits meanwhile waits for the running step anyway.

        Half of what a step takes, so that the next one finds almost all that came; 0 while no step runs.
        """
        return min(longest, self._busy / 2) if self._in_flight else 0.0

    async def room(self) -> None:
        """Wait until `submit` would not wait, or the worker stopped."""
        while self.full:
            self.wake()
            await self._wait()

    async def results(self) -> AsyncIterator[StepBatch]:
        """What the steps did, in order; for one reader.

        Raises:
            WorkerFailed: the compute thread stopped with an error.
        """
        self._start()
        while (batch := await self._batches.get()) is not None:
            yield batch
            self._in_flight -= len(batch.result.answered)
            self._steps_read += 1
            self._moved.set()
        if self._error is not None:
            self._check()

    async def drain(self) -> None:
        """Wait until all that was submitted is answered and the reader of `results` has dealt with it.

        Raises:
            WorkerFailed: the compute thread stopped before.
        """
        while self._in_flight and not self._stopped:
            await self._wait()
        if self._in_flight:
            self._check()

    async def step_over(self) -> None:
        """Wait until the step that runs now, if one does, is over and the reader of `results` has dealt with it."""
        begun = self._steps_begun
        while self._steps_read < begun and not self._stopped:
            await self._wait()

    async def close(self) -> None:
        """Stop after the step that runs; what still waits is left unanswered. Ends `results`. May be called twice."""
        self._stopped = True
        self._wake.set()
        self._moved.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._batches.put_nowait(None)

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    def _check(self) -> None:
        if self._stopped:
            raise WorkerFailed(f"the compute thread stopped: {self._error or 'closed'}") from self._error

    def _start(self) -> None:
        if self._thread is None and not self._stopped:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, args=(loop,), name="hearken-compute", daemon=True)
            self._thread.start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """The compute thread."""
        try:
            while not self._stopped:
                if not self.engine.pending:
                    self._wake.wait(self._patience())
                    self._wake.clear()
                started = self._clock()
                self.engine.expire(started)
                shift = self._govern(started)
                if self.engine.pending or shift:
                    self._steps_begun += 1
                    result = self.engine.step(self._clock)
                    ended = self._clock()
                    self.engine.took(ended - started)
                    loop.call_soon_threadsafe(self._deliver, result, started, ended, shift)
        except BaseException as error:
            loop.call_soon_threadsafe(self._fail, error)

    def _govern(self, now: float) -> OverloadChange | None:
        """Tell the engine the time, and how long messages wait for it."""
        return self.engine.govern(now, crowded=self._in_flight > self._queue / 2)

    def _deliver(self, result: StepResult, started: float, ended: float, shift: OverloadChange | None) -> None:
        self._moved_at = self._clock()
        self._busy = ended - started
        latencies = [ended - self._submit_time(x) for x in result.answered]
        self._batches.put_nowait(StepBatch(result, latencies, ended - started, shift, ended))

    def _submit_time(self, answer: Answer) -> float:
        times = self._submitted[answer]
        first = times.pop(0)
        if not times:
            del self._submitted[answer]
        return first

    def _patience(self) -> float:
        """How long to sleep when nothing comes: restarts may grow, sessions expire or be forgotten meanwhile."""
        engine = self.engine
        soonest = min(engine.remember_seconds, engine.idle_seconds or engine.remember_seconds) / 4
        seconds = engine.rest()
        return min(max(soonest if seconds is None else min(soonest, seconds), 0.01), 1.0)

    def _fail(self, error: BaseException) -> None:
        self._error, self._stopped = error, True
        self._moved.set()
        self._batches.put_nowait(None)
