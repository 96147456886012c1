"""Outcome of an open-loop load: what `stream.engine.open_loop` did, collected for a benchmark or a simulation."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from stream.engine.engine import Engine
from stream.engine.open_loop import Clock, run_open_loop
from stream.messages.types import Message, Revision
from stream.overload.governor import OverloadChange


@dataclass(slots=True)
class Outcome:
    """What came of a load; times are in seconds since it began."""

    latencies: list[tuple[float, float]] = field(default_factory=list)
    """For each message its arrival, and seconds from then to the end of the step that answered it."""
    queued: list[float] = field(default_factory=list)
    """For each message seconds from its submission, which may have had to wait, to the end of that step."""
    shifts: list[tuple[float, OverloadChange]] = field(default_factory=list)
    """When overload began or ended."""
    prices: list[tuple[float, float]] = field(default_factory=list)
    """The governor's price wherever it changed."""
    revisions: list[Revision] = field(default_factory=list)
    most_in_flight: int = 0

    def between(self, begin: float, end: float) -> list[float]:
        """Return the latencies of messages that arrived in that time."""
        return [seconds for arrived, seconds in self.latencies if begin <= arrived < end]


def drive(engine: Engine, arrivals: Iterable[tuple[float, Message]], clock: Clock, *, queue: int = 1024) -> Outcome:
    """Run a load to its end; arguments as `run_open_loop` has them."""
    outcome, price = Outcome(), 0.0
    for step in run_open_loop(engine, arrivals, clock, queue=queue):
        outcome.latencies += [(arrived, step.ended - arrived) for arrived, _ in step.answered]
        outcome.queued += [step.ended - submitted for _, submitted in step.answered]
        outcome.revisions += step.result.revisions
        outcome.most_in_flight = max(outcome.most_in_flight, step.in_flight)
        if step.change:
            outcome.shifts.append((step.started, step.change))
        if engine.pricing.governor and engine.pricing.governor.price != price:
            price = engine.pricing.governor.price
            outcome.prices.append((step.started, price))
    return outcome
