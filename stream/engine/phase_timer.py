"""Durations of the phases of a step."""

from collections.abc import Callable


class PhaseTimer:
    """Adds the time since the end of the last phase to that of the one that ends; without a clock it does nothing.

    Args:
        clock: any monotonic clock, in seconds.
        seconds: receives the durations, by the name of the phase.
    """

    def __init__(self, clock: Callable[[], float] | None, seconds: dict[str, float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last = clock() if clock else 0.0

    def end(self, phase: str) -> None:
        """End a phase; the next one begins."""
        if self._clock is not None:
            now = self._clock()
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
            self._last = now
