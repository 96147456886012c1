"""Identity of a caller: whose messages they are."""

from typing import NamedTuple


class CallerId(NamedTuple):
    """Source of messages. Groups share out the work equally, then the members of each group its share."""

    group: str = ""
    """Who must not hold up others whatever they open: a partition, or the address of HTTP clients."""
    member: str = ""
    """One connection or request of the group."""


NOBODY = CallerId()
"""Source of messages where there is only one."""
