"""Callers: whose messages they are."""

from typing import NamedTuple


class Caller(NamedTuple):
    """Source of messages. Groups share out the work equally, then the members of each group its share."""

    group: str = ""
    """Who must not hold up others whatever they open: a partition, or the address of HTTP clients."""
    member: str = ""
    """One connection or request of the group."""


NOBODY = Caller()
"""Source of messages where there is only one."""
