"""What a bench of peers found, from the times of each side."""

import statistics
from dataclasses import dataclass, field

import msgspec
import numpy as np

from benchmarks.harness.engine_feed import NOTHING, Lap
from benchmarks.harness.machine import Setting
from benchmarks.peers.agreement import Agreement

OURS = "hearken"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One side at one number of sessions and words; rates are words a second over all sessions."""

    words: int
    sessions: int
    side: str
    way: str
    words_per_second: float
    """Median over the repeats. Hearken's contains closing the segment, which is computed whole once more."""
    slowest: float
    fastest: float
    open_words_per_second: float
    """Without closing; of a peer the same as above."""
    p50_ms: float
    """Of one step, a word for every session, the segment open."""
    p99_ms: float
    cpu_ms: float
    """Median over the repeats of the milliseconds of the processor that a word takes, closing included."""
    steps: int
    """Steps that were timed in each repeat."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """How a peer was set up."""

    side: str
    version: str
    given: str


class PeersReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one bench of peers found."""

    setting: Setting
    repeats: int
    window: int
    """Tokens that a re-run of a long segment is limited to, as Hearken's own window."""
    share_of_core: float
    """Seconds of the processor over seconds on the clock, all sides together: below 1 something else was running."""
    rows: list[Row]
    given: list[Given]
    agreement: list[Agreement]
    missing: dict[str, str]

    def ratios(self, row: Row) -> tuple[float, float, float] | None:
        """How many times as fast Hearken is as this row: with closing, without, and with by the processor's time."""
        (ours,) = (x for x in self.rows if (x.words, x.sessions, x.side) == (row.words, row.sessions, OURS))
        if row is ours:
            return None
        return (
            ours.words_per_second / row.words_per_second,
            ours.open_words_per_second / row.open_words_per_second,
            row.cpu_ms / ours.cpu_ms,
        )


@dataclass
class Side:
    """Times of one side: for each repeat those of its steps, and of closing."""

    name: str
    way: str
    sessions: int
    repeats: list[list[Lap]] = field(default_factory=list)
    closing: list[Lap] = field(default_factory=list)

    def row(self, words: int, sessions: int) -> Row:
        """Sum them up."""
        said = [self.sessions * len(steps) for steps in self.repeats]
        open_rates = [n / sum(x.wall for x in steps) for n, steps in zip(said, self.repeats, strict=True)]
        whole = [sum(steps, NOTHING) + close for steps, close in zip(self.repeats, self.closing, strict=True)]
        rates = [n / lap.wall for n, lap in zip(said, whole, strict=True)]
        share = sessions / self.sessions  # those that were left out would have come after the others
        steps = [1000 * share * lap.wall for steps in self.repeats for lap in steps]
        return Row(
            words=words,
            sessions=sessions,
            side=self.name,
            way=self.way,
            words_per_second=statistics.median(rates),
            slowest=min(rates),
            fastest=max(rates),
            open_words_per_second=statistics.median(open_rates),
            p50_ms=float(np.percentile(steps, 50)),
            p99_ms=float(np.percentile(steps, 99)),
            cpu_ms=1000 * statistics.median(lap.cpu / n for n, lap in zip(said, whole, strict=True)),
            steps=len(self.repeats[0]),
        )
