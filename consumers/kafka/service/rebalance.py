"""What the group's client tells of rebalances, where an error of ours is not lost."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

Job = Callable[[], Coroutine[Any, Any, None]]


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka logs what a listener raises and goes on as if nothing were; so it is told to the service here.

    Args:
        guard: runs a job, and tells the service what it raises.
        revoked: partitions are divided anew.
        assigned: these are ours now.
    """

    def __init__(
        self,
        guard: Callable[[Job], Awaitable[None]],
        revoked: Job,
        assigned: Callable[[set[TopicPartition]], Coroutine[Any, Any, None]],
    ) -> None:
        self._guard = guard
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: object) -> None:
        """The group begins to divide them."""
        await self._guard(self._revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """The group has decided."""
        await self._guard(partial(self._assigned, set(assigned)))
