"""Log filter for broker outages: replaces the Kafka client's error lines, dozens a second, by a few with counts."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

INTERVAL_SECONDS = 60.0
"""Interval between two lines about the same outage."""
SETTLE_SECONDS = 1.0
"""The brokers are back when metadata was read and no attempt has failed for this long: one of several may be away."""

_OUTAGE = ("Unable connect to", "Unable to update metadata")
_BACK = "Updated cluster metadata"


class BrokerOutages(logging.Filter):
    """Filter of a log handler: one line when brokers are gone, one a minute with counts, and one when they are back.

    All other lines of the client during an outage are counted and dropped: they follow from it.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._since: float | None = None
        """When the outage began; None if there is none."""
        self._failed_at = self._logged_at = 0.0
        self._errors = 0
        self._checking = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide whether a record of a library is logged as it is."""
        if not record.name.startswith("aiokafka"):
            return True
        message, now = str(record.msg), self._clock()
        if record.levelno < logging.WARNING:
            if message.startswith(_BACK):
                self._check_end()
            return False
        if message.startswith(_OUTAGE):
            self._failed_at = now
            if self._since is None:
                self._since, self._logged_at, self._errors = now, now, 0
                log = _get_logger()
                log.error("brokers_unreachable", error=record.getMessage())
        if self._since is None:
            return True
        self._errors += 1
        if now - self._logged_at >= INTERVAL_SECONDS:
            self._logged_at = now
            log = _get_logger()
            log.error("brokers_unreachable", error=record.getMessage(), **self._figures(now))
        return False

    def _check_end(self) -> None:
        """Check whether the outage is over, now and, in an event loop, once more when attempts could have failed."""
        self._end()
        if self._since is not None and not self._checking:
            with suppress(RuntimeError):
                asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._end)
                self._checking = True

    def _end(self) -> None:
        self._checking, now = False, self._clock()
        if self._since is not None and now - self._failed_at >= SETTLE_SECONDS:
            log = _get_logger()
            log.info("brokers_reachable", **self._figures(now))
            self._since = None

    def _figures(self, now: float) -> dict[str, object]:
        assert self._since is not None
        return {"seconds": round(now - self._since, 1), "errors": self._errors}


def _get_logger() -> Any:
    import structlog  # slow to import

    return structlog.get_logger()
