"""Calm under overload: restarts get scarce before latency grows, and come back after it.

A *governor* sets a price: how many label changes a restart must be expected to bring for each word that it computes
again (`encoder.restart.expected_gain`), so that under overload those restarts are done first that most is expected of.
While updates wait for too long the price is doubled, up to one that nobody pays: append only. When they do not wait any
more it is halved, until everything the policy asks for is done. Closings are not its business: they are always computed
whole.

It has no clock. Whoever has one (the worker, a simulation) tells it before each step how long updates wait; if nobody
does, nothing is shortened and an engine's revisions are a function of its messages alone.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

PRICES = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, inf)
"""In changes a word. Of the 6.09 words that `always` computes for each word of SNIPS (dev), prices of .02, .04, .08 and
.16 leave 1.87, 1.54, 1.30 and 1.13."""
CHECKS_PER_TARGET = 4
"""Looks in the target's time: after the price rose the wait is watched for one look before it rises again."""
FALLING_FACTOR = 0.9
"""A wait that has fallen to this part of itself within a look is left alone: what was done suffices."""
CALM_FRACTION = 0.5
"""The part of the target below which the price may fall."""
RISING_FACTOR, SMALL_FRACTION = 1.2, 0.125
"""A wait that rises by this factor within the calm is a backlog in the making, unless it is this part of the target."""
FIRST_PATIENCE, MOST_PATIENCE = 2.0, 16.0
"""Targets' times of calm before the price falls, at first and at most."""
_NEVER = (-inf, 0.0)


OverloadCause = Literal["wait", "budget"]


@dataclass(frozen=True, slots=True)
class OverloadChange:
    """Restarts begin to be shortened, or are so no longer."""

    overloaded: bool
    """Whether it begins."""
    waited: float
    """How long the oldest update has waited, in seconds; 0 where a budget is the cause."""
    seconds: float
    """How long it lasted; 0 where it begins."""
    shortened: int
    """Restarts that were shortened in it; 0 where it begins."""
    cause: OverloadCause = "wait"
    """Updates waited too long (`Governor`), or the budget was spent (`stream.overload.budget`)."""


class Governor:
    """The price of restarts for all sessions of an engine.

    A price that has fallen is on trial: it is taken back as soon as updates wait for half of the target, and then
    the next trial of it is put off for twice as long, so that a steady overload does not make it go up and down.

    `observe` is for the thread that steps the engine.

    Args:
        target: seconds that the oldest waiting update may wait. Above it restarts get scarce.
    """

    def __init__(self, target: float) -> None:
        assert target > 0, "no governor at all stands for no target"
        self.target = target
        self.level = 0
        """Of `PRICES`; at 0 the policy has its way."""
        self.shortened = 0
        """Restarts that were shortened so far, whatever the cause; counted by who shortens them."""
        self._patience = FIRST_PATIENCE * target
        self._on_trial = False
        """The last change was for the better: it is on trial."""
        self._overloaded_level = -1
        """The level at which updates had to wait too long last."""
        self._calm_since = 0.0
        """When the price changed last, or the wait was not calm last."""
        self._peaks = [0.0, 0.0]
        """The longest waits in the first and in the second half of the calm so far."""
        self._last_check = _NEVER
        """When the wait was above the target at the last look, and what it was."""
        self._crowded_since: float | None = None
        self._overload_start = (0.0, 0)

    @property
    def price(self) -> float:
        """Changes that a word computed again has to bring."""
        return PRICES[self.level]

    @property
    def overloaded(self) -> bool:
        """Whether restarts are shortened, or were a moment ago: the last step, back to no price, is a trial too."""
        return self.level > 0 or self._on_trial

    def observe(self, waited: float, now: float, *, crowded: bool = False) -> OverloadChange | None:
        """Look at how long updates wait, before a step or while idle; tells if overload begins or ends.

        Args:
            waited: seconds since the oldest waiting update came; 0 if none waits.
            now: the clock of these seconds.
            crowded: the queue is so full that its source may be held back. Updates wait elsewhere then, unseen, so a
                queue that stays crowded for longer than the target counts as a wait of that long.
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
        """Nothing waits: the queue is not crowded, whatever it is when it is looked at next."""
        self._crowded_since = None

    def _restart_calm(self, now: float) -> None:
        self._calm_since, self._peaks = now, [0.0, 0.0]

    def _is_calm(self, waited: float, now: float) -> bool:
        """Whether it has been calm for long enough, and updates do not wait longer and longer."""
        pause, calm = self._required_calm(), now - self._calm_since
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
        """Raise the price, unless the last rise is too young to be seen, or is seen to suffice."""
        looked, before = self._last_check
        if now - looked < self.target / CHECKS_PER_TARGET:
            return None
        calm, self._last_check = now - self._calm_since, (now, waited)
        self._restart_calm(now)
        if not self.overloaded:
            if calm > MOST_PATIENCE * self.target:
                self._patience = FIRST_PATIENCE * self.target  # the last overload is long ago
            self._overload_start = (now, self.shortened)
            self._step_up()
            return OverloadChange(True, waited, 0.0, 0)
        if self.level < len(PRICES) - 1 and (self._on_trial or waited >= FALLING_FACTOR * before):
            self._step_up()
        return None

    def _step_up(self) -> None:
        if self._on_trial:
            self._patience = min(2 * self._patience, MOST_PATIENCE * self.target)
        self._overloaded_level = self.level
        self.level, self._on_trial = self.level + 1, False

    def _required_calm(self) -> float:
        """How long it must be calm before the price falls: short down to what was not yet too low."""
        return FIRST_PATIENCE * self.target if self.level - 1 > self._overloaded_level else self._patience

    def _lower_price(self, waited: float, now: float) -> OverloadChange | None:
        """Halve the price; when none has stood its trial the overload is over."""
        if self.level <= self._overloaded_level:  # it stood its trial
            self._patience = max(self._patience / 2, FIRST_PATIENCE * self.target)
        self._restart_calm(now)
        if self.level:
            self.level, self._on_trial = self.level - 1, True
            return None
        self._on_trial = False
        began, shortened = self._overload_start
        return OverloadChange(False, waited, now - began, self.shortened - shortened)
