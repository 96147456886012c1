"""Open HTTP connections of a server, and which of them end when there are too many.

A connection without a request in progress costs its client nothing, so there can be any number of them. Beyond the
limit a new one is still accepted, and the one that has waited longest is ended instead. Since requests in progress have
a lower limit of their own (`LimitsMiddleware`), there is always one to end: whoever asks for the health of a full
server is answered.
"""

import ipaddress
from collections import Counter
from typing import Protocol

from consumers.http.ops.traffic import HttpTraffic
from consumers.http.settings import SPARE_CONNECTIONS, HttpSettings


class EvictableConnection(Protocol):
    """A connection that the table may end."""

    @property
    def is_active(self) -> bool:
        """Whether a request is in progress."""

    def evict(self) -> None:
        """End the connection at once."""


class OpenConnections:
    """Table of the open HTTP connections, without those that have become WebSockets.

    Args:
        settings: limits; each limit of work in progress has `SPARE_CONNECTIONS` more connections.
        traffic: counts what is ended.
    """

    def __init__(self, settings: HttpSettings, traffic: HttpTraffic) -> None:
        self.settings = settings
        self.traffic = traffic
        self._limit = settings.max_connections + SPARE_CONNECTIONS
        self._address_limit = settings.address_connections + SPARE_CONNECTIONS
        self._addresses: dict[EvictableConnection, str] = {}
        self._counts: Counter[str] = Counter()
        self._idle: dict[EvictableConnection, None] = {}
        """The longest idle one first; some may have begun a request."""

    def add(self, connection: EvictableConnection, address: str) -> None:
        """Add a new connection; ends another one if there are too many in all, or of this address."""
        is_proxy = self.settings.is_proxy(address)
        address = client_network(address)
        self._addresses[connection] = address
        self._counts[address] += 1
        self.traffic.open_connections["http"] += 1
        if self._counts[address] > self._address_limit and not is_proxy:
            self._end_idle(connection, address)
        elif self.traffic.open_connections.total() > self._limit:
            self._end_idle(connection, None)
        self._idle[connection] = None

    def mark_idle(self, connection: EvictableConnection) -> None:
        """Note that a connection has no request in progress any more."""
        if connection in self._addresses:
            self._idle.pop(connection, None)
            self._idle[connection] = None

    def remove(self, connection: EvictableConnection) -> None:
        """Remove a connection that has ended or has become a WebSocket; may be called twice."""
        address = self._addresses.pop(connection, None)
        self._idle.pop(connection, None)
        if address is None:
            return
        self.traffic.open_connections["http"] -= 1
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]

    def _end_idle(self, newest: EvictableConnection, address: str | None) -> None:
        """End the connection that has been idle longest, of one address or of all; else the newest."""
        active, victim = [], newest
        for connection in self._idle:
            if connection.is_active:
                active.append(connection)  # it comes back when it is idle again
            elif address in (None, self._addresses[connection]):
                victim = connection
                break
        for connection in active:
            del self._idle[connection]
        self.remove(victim)
        self.traffic.refuse("connections_full")
        victim.evict()


def client_network(address: str) -> str:
    """Return what counts as one client address: an IPv4 address, or the /64 network of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
