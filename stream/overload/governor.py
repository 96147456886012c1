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
LOOKS = 4
"""Looks in the target's time: after the price rose the wait is watched for one look before it rises again."""
FALLING = 0.9
"""A wait that has fallen to this part of itself within a look is left alone: what was done suffices."""
CALM = 0.5
"""The part of the target below which the price may fall."""
RISING, SMALL = 1.2, 0.125
"""A wait that rises by this factor within the calm is a backlog in the making, unless it is this part of the target."""
FIRST_PATIENCE, MOST_PATIENCE = 2.0, 16.0
"""Targets' times of calm before the price falls, at first and at most."""
_NEVER = (-inf, 0.0)


Cause = Literal["wait", "budget"]


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
    cause: Cause = "wait"
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
        self._fell = False
        """The last change was for the better: it is on trial."""
        self._too_low = -1
        """The level at which updates had to wait too long last."""
        self._since = 0.0
        """When the price changed last, or the wait was not calm last."""
        self._peaks = [0.0, 0.0]
        """The longest waits in the first and in the second half of the calm so far."""
        self._looked = _NEVER
        """When the wait was above the target at the last look, and what it was."""
        self._crowded: float | None = None
        self._began = (0.0, 0)

    @property
    def price(self) -> float:
        """Changes that a word computed again has to bring."""
        return PRICES[self.level]

    @property
    def overloaded(self) -> bool:
        """Whether restarts are shortened, or were a moment ago: the last step, back to no price, is a trial too."""
        return self.level > 0 or self._fell

    def observe(self, waited: float, now: float, *, crowded: bool = False) -> OverloadChange | None:
        """Look at how long updates wait, before a step or while idle; tells if overload begins or ends.

        Args:
            waited: seconds since the oldest waiting update came; 0 if none waits.
            now: the clock of these seconds.
            crowded: the queue is so full that its source may be held back. Updates wait elsewhere then, unseen, so a
                queue that stays crowded for longer than the target counts as a wait of that long.
        """
        self._crowded = (now if self._crowded is None else self._crowded) if crowded else None
        waited = max(waited, now - self._crowded) if self._crowded is not None else waited
        if waited > (CALM * self.target if self._fell else self.target):
            return self._press(waited, now)
        self._looked = _NEVER
        if waited > CALM * self.target:
            self._wait_from(now)
        elif self.overloaded and self._is_calm(waited, now):
            return self._relax(waited, now)
        return None

    def rest(self) -> None:
        """Nothing waits: the queue is not crowded, whatever it is when it is looked at next."""
        self._crowded = None

    def _wait_from(self, now: float) -> None:
        self._since, self._peaks = now, [0.0, 0.0]

    def _is_calm(self, waited: float, now: float) -> bool:
        """Whether it has been calm for long enough, and updates do not wait longer and longer."""
        pause, calm = self._pause(), now - self._since
        late = calm >= pause / 2
        self._peaks[late] = max(self._peaks[late], waited)
        if calm < pause:
            return False
        first, second = self._peaks
        if second > max(RISING * first, SMALL * self.target):
            self._wait_from(now)
            return False
        return True

    def _press(self, waited: float, now: float) -> OverloadChange | None:
        """Raise the price, unless the last rise is too young to be seen, or is seen to suffice."""
        looked, before = self._looked
        if now - looked < self.target / LOOKS:
            return None
        calm, self._looked = now - self._since, (now, waited)
        self._wait_from(now)
        if not self.overloaded:
            if calm > MOST_PATIENCE * self.target:
                self._patience = FIRST_PATIENCE * self.target  # the last overload is long ago
            self._began = (now, self.shortened)
            self._raise()
            return OverloadChange(True, waited, 0.0, 0)
        if self.level < len(PRICES) - 1 and (self._fell or waited >= FALLING * before):
            self._raise()
        return None

    def _raise(self) -> None:
        if self._fell:
            self._patience = min(2 * self._patience, MOST_PATIENCE * self.target)
        self._too_low = self.level
        self.level, self._fell = self.level + 1, False

    def _pause(self) -> float:
        """How long it must be calm before the price falls: short down to what was not yet too low."""
        return FIRST_PATIENCE * self.target if self.level - 1 > self._too_low else self._patience

    def _relax(self, waited: float, now: float) -> OverloadChange | None:
        """Halve the price; when none has stood its trial the overload is over."""
        if self.level <= self._too_low:  # it stood its trial
            self._patience = max(self._patience / 2, FIRST_PATIENCE * self.target)
        self._wait_from(now)
        if self.level:
            self.level, self._fell = self.level - 1, True
            return None
        self._fell = False
        began, shortened = self._began
        return OverloadChange(False, waited, now - began, self.shortened - shortened)
