"""How many speakers are carried: doubled until it is too many, then halved in between."""

from collections.abc import Callable

PRECISE = 0.06
"""The search ends when what is too many is less than this share above what is carried."""


def most_carried(carries: Callable[[int], bool], first: int, most: int) -> int:
    """The most of what was tried that was carried; 0 if none was.

    Args:
        carries: tries a number.
        first: that is tried.
        most: that is tried at most.
    """
    good, bad = 0, 0
    trial = min(first, most)
    while not bad and good < most:
        if carries(trial):
            good, trial = trial, min(2 * trial, most)
        else:
            bad = trial
    while bad and bad - good > max(1, PRECISE * good):
        trial = (good + bad) // 2
        good, bad = (trial, bad) if carries(trial) else (good, trial)
    return good
