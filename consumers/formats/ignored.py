"""Count of values in which a format found nothing to label, by format and reason, with a warning once in a while."""

import time
from collections import Counter
from collections.abc import Callable

import structlog

from consumers.formats.base import NOT_UNDERSTOOD, IgnoredReason

log = structlog.get_logger()

WARN_SECONDS = 300.0
"""Shortest time between two warnings of one format and reason."""


class IgnoredRecords:
    """Counts ignored values; shared by all readers of a process.

    Args:
        warn: log a warning with the count and an example at the first value of each format and reason, and then at most
            every `WARN_SECONDS`. Reasons that are usual, such as a heartbeat, are logged as information.
        clock: returns seconds; only differences are used.

    Attributes:
        counts: number of values by format and reason.
        first: offset of the first of them.
    """

    def __init__(self, warn: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[tuple[str, IgnoredReason]] = Counter()
        self.first: dict[tuple[str, IgnoredReason], int] = {}
        self._clock = clock if warn else None
        self._warned: dict[tuple[str, IgnoredReason], float] = {}

    def add(self, format: str, reason: IgnoredReason, offset: int) -> None:
        """Count one value."""
        kind = format, reason
        self.counts[kind] += 1
        self.first.setdefault(kind, offset)
        if self._clock is None:
            return
        now = self._clock()
        if now - self._warned.get(kind, -float("inf")) >= WARN_SECONDS:
            self._warned[kind] = now
            details = {"format": format, "reason": reason, "count": self.counts[kind], "offset": offset}
            if reason in NOT_UNDERSTOOD or reason == "error":
                log.warning("records_ignored", **details)
            else:
                log.info("records_ignored", **details)

    @property
    def total(self) -> int:
        """Number of all ignored values."""
        return self.counts.total()

    def describe(self) -> str:
        """Return the reasons with their counts and the line of the first value, most frequent first."""
        return ", ".join(
            f"{count} {reason} (first: line {self.first[format, reason] + 1})"
            for (format, reason), count in self.counts.most_common()
        )
