"""How long each phase of a step takes, by a clock that somebody else has."""

from collections.abc import Callable


class PhaseTimer:
    """Books the time since the last phase ended; without a clock it does nothing.

    Args:
        clock: any rising clock, in seconds.
        seconds: where they are booked, by the phase's name.
    """

    def __init__(self, clock: Callable[[], float] | None, seconds: dict[str, float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last = clock() if clock else 0.0

    def end(self, phase: str) -> None:
        """A phase is over, and the next one begins."""
        if self._clock is not None:
            now = self._clock()
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
            self._last = now
