"""Rates on the live page, computed from the engine's counters."""

import copy
import time
from collections import deque
from collections.abc import Callable

from stream.sessions.stats import EngineStats

RATE_SECONDS = 5.0
"""Window of the words per second."""
MEAN_SECONDS = 60.0
"""Window of the means per word."""
MIN_SAMPLE_SECONDS = 0.5


class RateMeter:
    """Differences of an engine's counters over the last seconds.

    Each call takes a sample; samples older than a minute are dropped. Means per word cover the last minute, or the
    whole run if there are no samples of at least half a minute or no words.

    Args:
        stats: the engine's live counters.
        clock: monotonic clock in seconds.
    """

    def __init__(self, stats: EngineStats, clock: Callable[[], float] = time.monotonic) -> None:
        self._stats = stats
        self._clock = clock
        self._samples: deque[tuple[float, EngineStats]] = deque()

    def read(self) -> dict[str, float | None]:
        """Return words per second, and flips and recomputed words per word (None without words)."""
        now, stats = self._clock(), copy.copy(self._stats)
        while self._samples and self._samples[0][0] < now - MEAN_SECONDS:
            self._samples.popleft()
        if not self._samples or now - self._samples[-1][0] >= MIN_SAMPLE_SECONDS:
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
        """Words per second since the newest sample that is old enough; 0 if there is none."""
        since = next(((t, x) for t, x in reversed(self._samples) if t <= now - RATE_SECONDS), self._samples[0])
        return round((stats.words - since[1].words) / (now - since[0]), 1) if since[0] < now else 0.0
