"""Overload governor: limits restarts before latency grows, and allows them again afterwards.

The governor sets a price: the number of label changes that a restart must be expected to bring for each word that it
recomputes (`encoder.restart.expected_gain`). Under overload the restarts with the highest expected gain are thus done
first. While updates wait too long the price is doubled, up to infinity, which means append only. When they no longer
wait it is halved, until everything that the policy asks for is done. Closings are not affected: they are always
computed whole.

It has no clock. Its caller (the worker, a simulation) reports before each step how long updates wait. If nothing is
reported, no restart is limited, and the revisions of an engine are a function of its messages alone.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

PRICES = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, inf)
"""In changes per word. Of the 6.09 words that `always` computes for each word of SNIPS (dev), prices of .02, .04, .08
and .16 leave 1.87, 1.54, 1.30 and 1.13."""
CHECKS_PER_TARGET = 4
"""Checks per target time: after a rise of the price the next one takes at least one check interval."""
FALLING_FACTOR = 0.9
"""If the wait has fallen to less than this fraction since the last check, the last rise is sufficient."""
CALM_FRACTION = 0.5
"""Fraction of the target below which a wait is calm, so that the price may fall."""
RISING_FACTOR, SMALL_FRACTION = 1.2, 0.125
"""A wait that rises by this factor during the calm is a growing backlog, unless it is below this fraction of the
target.
"""
FIRST_CALM, LONGEST_CALM = 2.0, 16.0
"""Target times of calm before the price falls: the initial and the highest value."""
_NEVER = (-inf, 0.0)


OverloadCause = Literal["wait", "budget"]


@dataclass(frozen=True, slots=True)
class OverloadChange:
    """Begin or end of a period in which restarts are limited."""

    overloaded: bool
    """True at the begin, false at the end."""
    waited: float
    """How long the oldest update has waited, in seconds; 0 if a budget is the cause."""
    seconds: float
    """Duration of the period; 0 at its begin."""
    shortened: int
    """Restarts that were shortened in the period; 0 at its begin."""
    cause: OverloadCause = "wait"
    """Updates waited too long (`Governor`), or the budget was spent (`stream.overload.budget`)."""


class Governor:
    """Price of restarts for all sessions of an engine.

    A lowered price is on trial: it is raised again as soon as updates wait for half of the target, and the next trial
    then comes after twice the time, so that a steady overload does not make the price go up and down.

    Only the thread that steps the engine may call `observe`.

    Args:
        target: seconds that the oldest update may wait; above it the price rises.
    """

    def __init__(self, target: float) -> None:
        assert target > 0, "a governor has a target above 0; without a target there is no governor"
        self.target = target
        self.level = 0
        """Index in `PRICES`; at 0 no restart is limited."""
        self.shortened = 0
        """Restarts that were shortened so far, whatever the cause; `RestartPricing` counts them."""
        self._calm_needed = FIRST_CALM * target
        self._on_trial = False
        """Whether the last change of the price was a fall, which is on trial."""
        self._overloaded_level = -1
        """The level at which updates last waited too long."""
        self._calm_since = 0.0
        """Time of the last change of the price, or of the last wait that was not calm."""
        self._peaks = [0.0, 0.0]
        """Longest waits in the first and in the second half of the calm so far."""
        self._last_check = _NEVER
        """Time of the last check at which the wait was above the target, and that wait."""
        self._crowded_since: float | None = None
        self._overload_start = (0.0, 0)

    @property
    def price(self) -> float:
        """Label changes that each recomputed word must be expected to bring."""
        return PRICES[self.level]

    @property
    def overloaded(self) -> bool:
        """Whether restarts are limited, or the fall of the price to 0 is still on trial."""
        return self.level > 0 or self._on_trial

    def observe(self, waited: float, now: float, *, crowded: bool = False) -> OverloadChange | None:
        """Take in how long updates wait, before a step or while idle; returns a change if overload begins or ends.

        Args:
            waited: seconds since the oldest waiting update came; 0 if none waits.
            now: by the same clock.
            crowded: whether the queue is so full that its source may be held back. Updates then wait unseen outside of
                it, so the time for which the queue has been crowded counts as a wait.
        """
        self._crowded_since = (now if self._crowded_since is None else self._crowded_since) if crowded else None
        waited = max(waited, now - self._crowded_since) if self._crowded_since is not None else waited
        if waited > (CALM_FRACTION * self.target if self._on_trial else self.target):
            return self._raise_price(waited, now)
        self._last_check = _NEVER
        if waited > CALM_FRACTION * self.target:
            self._restart_calm(now)
        elif self.overloaded and self._is_calm(waited, now):
            return self._lower_price(waited, now)
        return None

    def note_idle(self) -> None:
        """Note that no update waits, so the queue has not been crowded all the time when `observe` is called next."""
        self._crowded_since = None

    def _restart_calm(self, now: float) -> None:
        self._calm_since, self._peaks = now, [0.0, 0.0]

    def _is_calm(self, waited: float, now: float) -> bool:
        """Tell whether it has been calm for long enough, and waits are not rising."""
        pause, calm = self._calm_before_fall(), now - self._calm_since
        late = calm >= pause / 2
        self._peaks[late] = max(self._peaks[late], waited)
        if calm < pause:
            return False
        first, second = self._peaks
        if second > max(RISING_FACTOR * first, SMALL_FRACTION * self.target):
            self._restart_calm(now)
            return False
        return True

    def _raise_price(self, waited: float, now: float) -> OverloadChange | None:
        """Raise the price, unless the last rise is too recent to judge, or proves sufficient."""
        checked, before = self._last_check
        if now - checked < self.target / CHECKS_PER_TARGET:
            return None
        calm, self._last_check = now - self._calm_since, (now, waited)
        self._restart_calm(now)
        if not self.overloaded:
            if calm > LONGEST_CALM * self.target:
                self._calm_needed = FIRST_CALM * self.target  # the last overload was long ago
            self._overload_start = (now, self.shortened)
            self._step_up()
            return OverloadChange(True, waited, 0.0, 0)
        if self.level < len(PRICES) - 1 and (self._on_trial or waited >= FALLING_FACTOR * before):
            self._step_up()
        return None

    def _step_up(self) -> None:
        if self._on_trial:
            self._calm_needed = min(2 * self._calm_needed, LONGEST_CALM * self.target)
        self._overloaded_level = self.level
        self.level, self._on_trial = self.level + 1, False

    def _calm_before_fall(self) -> float:
        """Seconds of calm before the price falls: the minimum while the next level is not known to be too low."""
        return FIRST_CALM * self.target if self.level - 1 > self._overloaded_level else self._calm_needed

    def _lower_price(self, waited: float, now: float) -> OverloadChange | None:
        """Halve the price; the overload is over when the price 0 has passed its trial."""
        if self.level <= self._overloaded_level:  # the level has passed its trial
            self._calm_needed = max(self._calm_needed / 2, FIRST_CALM * self.target)
        self._restart_calm(now)
        if self.level:
            self.level, self._on_trial = self.level - 1, True
            return None
        self._on_trial = False
        began, shortened = self._overload_start
        return OverloadChange(False, waited, now - began, self.shortened - shortened)
