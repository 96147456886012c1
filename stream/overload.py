"""Calm under overload: restarts get shorter before latency grows, and come back after it.

A *governor* holds an allowance: how many standing words a restart may go back, whatever the policy asks for. While
updates wait for too long it is halved, down to append only; when they do not wait any more it is doubled, until it is
more than the policy asks for. Closings are not its business: they are always computed whole.

It has no clock. Whoever has one (the worker, a simulation) tells it before each step how long updates wait; if nobody
does, nothing is shortened and an engine's revisions are a function of its messages alone.
"""

from dataclasses import dataclass
from math import inf

from encoder.restart import RestartPolicy, Standing

LOOKS = 4
"""Looks in the target's time: after a halving the wait is watched for one look before the next."""
FALLING = 0.9
"""A wait that has fallen to this part of itself within a look is left alone: what was done suffices."""
CALM = 0.5
"""The part of the target below which the allowance may grow."""
RISING, SMALL = 1.2, 0.125
"""A wait that rises by this factor within the calm is a backlog in the making, unless it is this part of the target."""
FIRST_PATIENCE, MOST_PATIENCE = 2.0, 16.0
"""Targets' times of calm before the allowance grows, at first and at most."""
_NEVER = (-inf, 0.0)


@dataclass(frozen=True, slots=True)
class Shift:
    """Overload began or ended."""

    overloaded: bool
    waited: float
    """How long the oldest update has waited, in seconds."""
    seconds: float
    """How long the overload lasted; 0 where it begins."""
    shortened: int
    """Restarts that were shortened in it; 0 where it begins."""


class Governor:
    """The allowance of all sessions of an engine.

    An allowance that has grown is on trial: it is taken back as soon as updates wait for half of the target, and then
    the next trial of it is put off for twice as long, so that a steady overload does not make it go up and down.

    `observe` is for the thread that steps the engine. Which sessions lose their restarts first is decided in `limit`
    alone, and at present all are alike.

    Args:
        target: seconds that the oldest waiting update may wait. Above it restarts get shorter.
    """

    def __init__(self, target: float) -> None:
        assert target > 0, "no governor at all stands for no target"
        self.target = target
        self.allowance: int | None = None
        """Standing words that a restart may go back; None: as many as the policy asks for."""
        self.shortened = 0
        """Restarts that were shortened so far."""
        self._wish = 0
        """The most that the policy asked for since the allowance changed last."""
        self._patience = FIRST_PATIENCE * target
        self._grew = False
        """The last change was for the better: it is on trial."""
        self._too_much = 0
        """The allowance at which updates had to wait too long last."""
        self._since = 0.0
        """When the allowance changed last, or the wait was not calm last."""
        self._peaks = [0.0, 0.0]
        """The longest waits in the first and in the second half of the calm so far."""
        self._looked = _NEVER
        """When the wait was above the target at the last look, and what it was."""
        self._crowded: float | None = None
        self._began = (0.0, 0)

    def govern(self, policy: RestartPolicy) -> RestartPolicy:
        """Give a policy that asks this governor."""
        return _Governed(policy, self)

    def limit(self, standing: Standing, point: int) -> int:
        """Give the restart point instead of the policy's `point`, the same one or a later."""
        wish = standing.words - point
        self._wish = max(self._wish, wish)
        if self.allowance is None or wish <= self.allowance:
            return point
        self.shortened += 1
        return standing.words - self.allowance

    def observe(self, waited: float, now: float, *, crowded: bool = False) -> Shift | None:
        """Look at how long updates wait, before a step or while idle; tells if overload begins or ends.

        Args:
            waited: seconds since the oldest waiting update came; 0 if none waits.
            now: the clock of these seconds.
            crowded: the queue is so full that its source may be held back. Updates wait elsewhere then, unseen, so a
                queue that stays crowded for longer than the target counts as a wait of that long.
        """
        self._crowded = (now if self._crowded is None else self._crowded) if crowded else None
        waited = max(waited, now - self._crowded) if self._crowded is not None else waited
        on_trial = self._grew and self.allowance is not None
        if waited > (CALM * self.target if on_trial else self.target):
            return self._press(waited, now)
        self._looked = _NEVER
        if waited > CALM * self.target:
            self._wait_from(now)
        elif self.allowance is not None and self._is_calm(waited, now):
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

    def _press(self, waited: float, now: float) -> Shift | None:
        """Halve the allowance, unless the last halving is too young to be seen, or is seen to suffice."""
        looked, before = self._looked
        if now - looked < self.target / LOOKS:
            return None
        calm, self._looked = now - self._since, (now, waited)
        self._wait_from(now)
        if self.allowance is None:
            if calm > MOST_PATIENCE * self.target:
                self._patience, self._grew = FIRST_PATIENCE * self.target, False  # the last overload is long ago
            self._began = (now, self.shortened)
            self._halve(self._wish)
            return Shift(True, waited, 0.0, 0)
        if self.allowance and (self._grew or waited >= FALLING * before):
            self._halve(min(self._wish or self.allowance, self.allowance))
        return None

    def _halve(self, reach: int) -> None:
        if self._grew:
            self._patience = min(2 * self._patience, MOST_PATIENCE * self.target)
        self._too_much = reach
        self._set(reach // 2, grew=False)

    def _pause(self) -> float:
        """How long it must be calm before the allowance grows: short up to what was not yet too much."""
        assert self.allowance is not None
        return FIRST_PATIENCE * self.target if _next(self.allowance) < self._too_much else self._patience

    def _relax(self, waited: float, now: float) -> Shift | None:
        """Double the allowance; at what the policy asks for the overload is over."""
        assert self.allowance is not None
        if self.allowance >= self._too_much:  # it stood its trial
            self._patience = max(self._patience / 2, FIRST_PATIENCE * self.target)
        self._wait_from(now)
        wish, more = self._wish, _next(self.allowance)
        self._set(more, grew=True)
        if more < wish:
            return None
        self.allowance = None
        began, shortened = self._began
        return Shift(False, waited, now - began, self.shortened - shortened)

    def _set(self, allowance: int, *, grew: bool) -> None:
        self.allowance, self._grew, self._wish = allowance, grew, 0


def _next(allowance: int) -> int:
    return max(1, 2 * allowance)


@dataclass(frozen=True, slots=True)
class _Governed:
    """A policy whose restarts may be shortened."""

    policy: RestartPolicy
    governor: Governor

    def point(self, standing: Standing) -> int:
        """Give the policy's point, or a later one."""
        return self.governor.limit(standing, min(max(self.policy.point(standing), 0), standing.words))
