"""Open-loop load on an engine: messages arrive at their own times, whether or not the engine keeps up.

One thread does what the worker does (`stream.engine.worker`): it submits what has arrived while the queue has room,
updates overload control, and runs a step. The clock may be real or simulated.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stream.engine.engine import Answer, Engine, StepResult
from stream.messages.types import Message
from stream.overload.governor import OverloadChange


class Clock(Protocol):
    """A rising clock in seconds, on which idle time can be skipped."""

    def now(self) -> float:
        """Return the time."""

    def skip(self, to: float) -> None:
        """Move to a later time at which something is due."""


@dataclass(slots=True)
class SkippingClock:
    """Real time from which idle waiting is left out: a light load does not take longer to measure than its work."""

    skipped: float = 0.0

    def now(self) -> float:
        """Return real time plus the time skipped so far."""
        return time.perf_counter() + self.skipped

    def skip(self, to: float) -> None:
        """Skip to a time; nothing happens if it has passed."""
        self.skipped += max(0.0, to - self.now())


class LoopStep(NamedTuple):
    """One engine step under load. Times are in seconds since the load began."""

    started: float
    ended: float
    result: StepResult
    answered: list[tuple[float, float]]
    """When each message that the step answered had arrived, and when it was submitted."""
    in_flight: int
    """Messages submitted and not answered when the step began."""
    change: OverloadChange | None


def run_open_loop(
    engine: Engine, arrivals: Iterable[tuple[float, Message]], clock: Clock, *, queue: int = 1024, offset: int = 0
) -> Iterator[LoopStep]:
    """Let messages arrive and step the engine until all of them are answered; yields every step.

    Args:
        engine: nothing may be pending.
        arrivals: valid messages with rising arrival times from 0 on, in seconds.
        clock: read relative to its time now.
        queue: most messages in flight; later ones wait outside, and their latency includes that.
        offset: of the first message.
    """
    start = clock.now()
    source = enumerate(arrivals, offset)
    upcoming = next(source, None)
    waiting: dict[Answer, tuple[float, float]] = {}
    while upcoming is not None or engine.pending:
        if upcoming is not None and not engine.pending:
            _wait(engine, start + upcoming[1][0], clock)
        now = clock.now() - start
        while upcoming is not None and len(waiting) < queue and upcoming[1][0] <= now:
            number, (time, message) = upcoming
            engine.submit(message, number, now)
            waiting[Answer(message.session, number)] = time, now
            upcoming = next(source, None)
        in_flight = len(waiting)
        change = engine.update_load(now, crowded=in_flight > queue / 2)
        result = engine.step(clock.now)
        ended = clock.now() - start
        engine.record_step_time(ended - now)
        yield LoopStep(now, ended, result, [waiting.pop(x) for x in result.answered], in_flight, change)


def _wait(engine: Engine, until: float, clock: Clock) -> None:
    """Skip to the next arrival, or to the earlier time at which overload control wants to be updated."""
    if until > clock.now() and (seconds := engine.pricing.next_wakeup()) is not None:
        until = min(until, clock.now() + max(seconds, 0.01))
    clock.skip(until)
