"""The figures of the live page: what the engine's counters say of the last minute."""

import copy
import time
from collections import deque
from collections.abc import Callable

from stream.sessions.stats import EngineStats

RATE_SECONDS = 5.0
"""Words a second are of the last so many seconds."""
MEAN_SECONDS = 60.0
"""Figures a word are of the last so many seconds."""
_APART = 0.5


class RateMeter:
    """Differences of an engine's counters over the last seconds.

    Nothing runs in the background: each look takes a sample, and what is older than a minute is let go. Figures a
    word are of the last minute; where nobody looked half of it, or nothing was said, of all since the engine began.

    Args:
        stats: the engine's own, which go on rising.
        clock: any rising clock, in seconds.
    """

    def __init__(self, stats: EngineStats, clock: Callable[[], float] = time.monotonic) -> None:
        self._stats = stats
        self._clock = clock
        self._samples: deque[tuple[float, EngineStats]] = deque()

    def look(self) -> dict[str, float | None]:
        """Words a second, and flips and recomputed words a word; None where there were no words."""
        now, stats = self._clock(), copy.copy(self._stats)
        while self._samples and self._samples[0][0] < now - MEAN_SECONDS:
            self._samples.popleft()
        if not self._samples or now - self._samples[-1][0] >= _APART:
            self._samples.append((now, stats))
        begun, before = self._samples[0]
        if begun > now - MEAN_SECONDS / 2 or before.words == stats.words:
            before = EngineStats()
        words = stats.words - before.words
        flips = stats.flips_input + stats.flips_model - before.flips_input - before.flips_model
        recomputed = stats.words_recomputed - before.words_recomputed
        return {
            "words_per_second": self._rate(now, stats),
            "flips_per_word": round(flips / words, 4) if words else None,
            "words_recomputed_per_word": round(recomputed / words, 3) if words else None,
        }

    def _rate(self, now: float, stats: EngineStats) -> float:
        """Since the last sample that is old enough; 0 while there is none."""
        since = next(((t, x) for t, x in reversed(self._samples) if t <= now - RATE_SECONDS), self._samples[0])
        return round((stats.words - since[1].words) / (now - since[0]), 1) if since[0] < now else 0.0
