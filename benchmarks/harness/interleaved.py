"""Interleaved measurement of several sides, so that other load on the machine affects all of them alike."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import numpy as np

from benchmarks.harness.engine_feed import NO_TIME, Elapsed

T = TypeVar("T")


def interleave(
    measures: Sequence[Callable[[], T]], repeats: int, progress: Callable[[float], None] = lambda share: None
) -> list[list[T]]:
    """Call every measurement once a repeat, each repeat beginning with another one; returns its results for each."""
    found: list[list[T]] = [[] for _ in measures]
    for repeat in range(repeats):
        for turn in range(len(measures)):
            progress((repeat * len(measures) + turn) / (repeats * len(measures)))
            number = (repeat + turn) % len(measures)
            found[number].append(measures[number]())
    return found


class SideRow(msgspec.Struct, frozen=True, kw_only=True):
    """One side at one number of sessions and words; rates are words a second over all sessions."""

    words: int
    sessions: int
    side: str
    way: str
    words_per_second: float
    """Median over the repeats; includes closing the segment, where a side does so, which computes it whole."""
    slowest: float
    fastest: float
    open_words_per_second: float
    """Without closing."""
    p50_ms: float
    """Of one step, a word for every session, the segment open."""
    p99_ms: float
    cpu_ms: float
    """Median over the repeats of the processor time of a word in milliseconds, closing included."""
    steps: int
    """Steps that were timed in each repeat."""


@dataclass
class Run:
    """Times of one repeat of one side."""

    steps: list[Elapsed] = field(default_factory=list)
    closing: Elapsed = NO_TIME


@dataclass
class Side:
    """One side: its name, how it runs, the sessions that it was measured with, and its repeats."""

    name: str
    way: str
    sessions: int
    runs: list[Run] = field(default_factory=list)

    def row(self, words: int, sessions: int) -> SideRow:
        """Summarise the repeats."""
        said = self.sessions * len(self.runs[0].steps)
        sums = [sum(run.steps, NO_TIME) for run in self.runs]
        totals = [total + run.closing for total, run in zip(sums, self.runs, strict=True)]
        share = sessions / self.sessions  # sessions that were left out would have come after the others
        steps = [1000 * share * step.wall for run in self.runs for step in run.steps]
        rates = [said / total.wall for total in totals]
        return SideRow(
            words=words,
            sessions=sessions,
            side=self.name,
            way=self.way,
            words_per_second=statistics.median(rates),
            slowest=min(rates),
            fastest=max(rates),
            open_words_per_second=statistics.median(said / x.wall for x in sums),
            p50_ms=float(np.percentile(steps, 50)),
            p99_ms=float(np.percentile(steps, 99)),
            cpu_ms=1000 * statistics.median(total.cpu / said for total in totals),
            steps=len(self.runs[0].steps),
        )
