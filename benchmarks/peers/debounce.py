"""Debounced re-runs, as practitioners make them: not on every word, so that they cost less and labels come late.

What they cost and how late they are follows from when words are said alone, so it is counted and not timed: a run is
due when some words wait or the first of them has waited for some time, and when the segment closes.
"""

from collections.abc import Iterable, Iterator
from itertools import repeat
from random import Random
from typing import Final, NamedTuple

import numpy as np

from consumers.runtime.capacity import speaker_messages

SPEAKERS, SECONDS = 200, 120.0


class Debounce(NamedTuple):
    """When a re-run is due."""

    name: str
    words: float
    """As soon as so many words wait."""
    seconds: float
    """As soon as a word has waited so long."""


EVERY_WORD: Final = Debounce("every word", 1, 0.0)
THIRD_WORD: Final = Debounce("every third word", 3, float("inf"))
TIMER: Final = Debounce("every 300 ms", float("inf"), 0.3)


class DebounceFigures(NamedTuple):
    """Cost and delay of a rule."""

    runs_a_word: float
    """Closing runs included."""
    late_ms: float
    """Mean from a word to the run that labels it."""
    late_p99_ms: float
    words_behind: float
    """Mean number of newer words said before a word is labelled."""


def count_runs(rule: Debounce, segments: Iterable[tuple[list[float], float]]) -> DebounceFigures:
    """Count the runs of a rule.

    Args:
        rule: to follow.
        segments: of each the times of its words, ascending, and the time at which it closes, in seconds.
    """
    late: list[float] = []
    behind: list[int] = []
    runs = words = 0
    for times, closed in segments:
        waiting: list[float] = []

        def label(at: float, waiting: list[float] = waiting) -> None:
            late.extend(at - since for since in waiting)
            behind.extend(range(len(waiting)))
            waiting.clear()

        for at in times:
            if waiting and waiting[0] + rule.seconds < at:
                label(waiting[0] + rule.seconds)
                runs += 1
            waiting.append(at)
            if len(waiting) >= rule.words or rule.seconds == 0.0:
                label(at)
                runs += 1
        if waiting and waiting[0] + rule.seconds < closed:
            label(waiting[0] + rule.seconds)
            runs += 1
        label(closed)
        runs, words = runs + 1, words + len(times)
    in_ms = 1000 * np.array(late)
    return DebounceFigures(runs / words, float(in_ms.mean()), float(np.percentile(in_ms, 99)), float(np.mean(behind)))


def speech() -> Iterator[tuple[list[float], float]]:
    """Yield the closed segments of the speakers of `hearken bench`: times of words, and of the close."""
    for speaker in range(SPEAKERS):
        times: list[float] = []
        for at, update in speaker_messages(str(speaker), Random(speaker), SECONDS, repeat("word")):
            if update.final:
                yield times, at
                times = []
            else:
                times.append(at)
