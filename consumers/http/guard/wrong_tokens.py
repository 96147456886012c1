"""Back-off for addresses that send wrong tokens: each further one makes the address wait longer.

While an address waits, its tokens are not looked at, so that guesses are neither confirmed nor denied. An address from
which a right token came lately is not made to wait by others behind it: a proxy's address may be that of all users.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

FREE_TRIES = 5
"""Wrong tokens of an address that are answered without a wait: a typo, or a client with an old configuration."""
LONGEST_SECONDS = 300.0
FORGET_SECONDS = 3600.0
"""Time after which an address starts afresh, and after which a right token of it no longer counts."""
MAX_ADDRESSES = 4096
"""Limit of addresses of each kind; the one that was quiet longest is forgotten first."""


class WrongTokens:
    """Wrong tokens by address.

    Args:
        clock: monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float, float]] = OrderedDict()
        """By address: number of wrong tokens, time of the last one, end of the wait."""
        self._accepted: OrderedDict[str, float] = OrderedDict()
        """Time of the last right token by address."""

    def seconds_to_wait(self, address: str) -> int:
        """Return the full seconds before a token of an address is looked at again; 0: now."""
        if self._clock() - self._accepted.get(address, -math.inf) < FORGET_SECONDS:
            return 0
        _, _, until = self._failures.get(address, (0, 0.0, 0.0))
        return max(0, math.ceil(until - self._clock()))

    def reject(self, address: str) -> int:
        """Count a wrong token; returns the full seconds that its address has to wait, 0 for the first few."""
        now = self._clock()
        count, last, _ = self._failures.pop(address, (0, 0.0, 0.0))
        count = 1 if now - last > FORGET_SECONDS else count + 1
        seconds = min(LONGEST_SECONDS, 2.0 ** min(count - FREE_TRIES - 1, 30)) if count > FREE_TRIES else 0.0
        _remember(self._failures, address, (count, now, now + seconds))
        return math.ceil(seconds)

    def accept(self, address: str) -> None:
        """Note a right token."""
        self._failures.pop(address, None)
        self._accepted.pop(address, None)
        _remember(self._accepted, address, self._clock())


def _remember(table: "OrderedDict[str, Any]", address: str, value: object) -> None:
    if len(table) >= MAX_ADDRESSES:
        table.popitem(last=False)
    table[address] = value
