"""Messages that come at their own pace, whether or not the engine keeps up: for a bench and for simulations.

The loop is the worker's, in one thread and with a clock that may be real or not: what arrived is submitted as long as
the queue has room, governor and budget look, a step runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from stream.engine.engine import Answer, Engine
from stream.messages.types import Message, Revision
from stream.overload.governor import OverloadChange


class Clock(Protocol):
    """Seconds that rise."""

    def now(self) -> float:
        """Give the time."""
        ...

    def skip(self, to: float) -> None:
        """Nothing happens until then."""
        ...


@dataclass(slots=True)
class Outcome:
    """What came of a load."""

    latencies: list[tuple[float, float]] = field(default_factory=list)
    """For each message when it arrived, and seconds from then to the end of the step that answered it."""
    queued: list[float] = field(default_factory=list)
    """For each message seconds from its submission, which may have had to wait, to then."""
    shifts: list[tuple[float, OverloadChange]] = field(default_factory=list)
    """When overload began or ended."""
    prices: list[tuple[float, float]] = field(default_factory=list)
    """The governor's price wherever it changed."""
    spent: list[tuple[float, int]] = field(default_factory=list)
    """For each step when it ended and its FLOPs."""
    revisions: list[Revision] = field(default_factory=list)
    most_in_flight: int = 0

    def between(self, begin: float, end: float) -> list[float]:
        """Latencies of what arrived in that time."""
        return [seconds for arrived, seconds in self.latencies if begin <= arrived < end]


def drive(engine: Engine, arrivals: Iterable[tuple[float, Message]], clock: Clock, *, queue: int = 1024) -> Outcome:
    """Let messages arrive and step the engine until all are answered.

    Args:
        engine: fresh.
        arrivals: rising times from 0 on, in seconds, and messages that are good; their offset is their number.
        clock: at any time; it is read as seconds since now.
        queue: messages in flight at most; those that arrive meanwhile wait outside, and their latency counts that.
    """
    start, outcome = clock.now(), Outcome()
    source = enumerate(arrivals)
    first = next(source, None)
    waiting: dict[Answer, tuple[float, float]] = {}  # when each arrived and was submitted
    while first is not None or engine.pending:
        if first is not None and not engine.pending:
            _rest(engine, start + first[1][0], clock)
        now = clock.now() - start
        while first is not None and len(waiting) < queue and first[1][0] <= now:
            offset, (time, message) = first
            engine.submit(message, offset, now)
            waiting[Answer(message.session, offset)] = time, now
            first = next(source, None)
        outcome.most_in_flight = max(outcome.most_in_flight, len(waiting))
        _look(engine, now, len(waiting) > queue / 2, outcome)
        result = engine.step()
        ended = clock.now() - start
        engine.took(ended - now)
        outcome.spent.append((ended, result.stats.flops))
        for answer in result.answered:
            time, submitted = waiting.pop(answer)
            outcome.latencies.append((time, ended - time))
            outcome.queued.append(ended - submitted)
        outcome.revisions += result.revisions
    return outcome


def _rest(engine: Engine, until: float, clock: Clock) -> None:
    """Nothing waits, and nothing comes until then; the engine looks meanwhile if it has something to give back."""
    if until > clock.now() and (seconds := engine.rest()) is not None:
        until = min(until, clock.now() + max(seconds, 0.01))
    clock.skip(until)


def _look(engine: Engine, now: float, crowded: bool, outcome: Outcome) -> None:
    if shift := engine.govern(now, crowded=crowded):
        outcome.shifts.append((now, shift))
    price = engine.governor.price if engine.governor else 0.0
    if price != (outcome.prices[-1][1] if outcome.prices else 0.0):
        outcome.prices.append((now, price))
