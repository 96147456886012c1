"""The async face of an engine: one compute thread, a bounded queue, and an event loop that never touches a tensor."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from stream.engine import Engine, StepResult
from stream.messages import Message


@dataclass(slots=True)
class Batch:
    """One step's result, as it crosses to the event loop."""

    result: StepResult
    latencies: list[float]
    """Seconds from submit to the end of the step, one for each of `result.answered`."""
    busy: float
    """Seconds that the step took."""


class Worker:
    """Runs an engine in a thread of its own.

        worker = Worker(engine)
        await worker.submit(message, offset)      # waits while the queue is full; raises InputError at once
        async for batch in worker.results(): ...  # in another task; ends after close()
        await worker.drain()                      # everything submitted is answered and was handed to results()
        await worker.close()

    Args:
        queue: messages in flight at most (submitted and not yet handed to `results`).
    """

    def __init__(self, engine: Engine, *, queue: int = 1024) -> None:
        self.engine = engine

    async def submit(self, message: Message, offset: int) -> None:
        """Hand one message to the engine; waits while the queue is full.

        Raises:
            InputError: the message is bad; nothing was changed.
            WorkerFailed: the compute thread stopped with an error.
        """
        raise NotImplementedError

    def results(self) -> AsyncIterator[Batch]:
        """What the steps did, in order; for one reader. Ends after `close`; raises WorkerFailed if the thread did."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Wait until all that was submitted is answered and its batches were taken by the reader of `results`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop after the step that runs; what still waits is left unanswered. Ends `results`. May be called twice."""
        raise NotImplementedError


class WorkerFailed(RuntimeError):
    """The compute thread stopped; its error is the cause."""
