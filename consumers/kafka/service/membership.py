"""Membership in the consumer group: commits (at least once), proof of membership, and the rebalance listener."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError

from consumers.common.settings import ServiceSettings


class MembershipLost(Exception):
    """The group no longer counts this member: what is in flight must not be written."""


class GroupMember:
    """One member of the consumer group, and the two clients that all its partitions share.

    A commit carries the group's generation, so an accepted commit proves that no other member had the partitions at
    that moment. A process that was stopped (SIGSTOP, swapping) for longer than its session timeout cannot prove it any
    more, and writes nothing. (Exactly once needs no proof: its producers are fenced.)

    Args:
        settings: of the service.
        positions: returns the positions that may be committed now.
    """

    def __init__(self, settings: ServiceSettings, positions: Callable[[], Mapping[TopicPartition, int]]) -> None:
        self._settings = settings
        self.name = settings.group
        self._positions = positions
        self._committed: dict[TopicPartition, int] = {}
        self._committing = asyncio.Lock()
        self._verified_at = 0.0
        self.assignment_known = asyncio.Event()
        """Clear during a rebalance."""
        self.consumer: AIOKafkaConsumer
        self.producer: AIOKafkaProducer

    async def commit_all(self, renew: bool = False) -> None:
        """Commit new positions; with `renew` also those that are committed already. Does nothing during a rebalance.

        A commit with an old generation would make aiokafka join as a new member, and so cause another rebalance.

        Raises:
            MembershipLost: the group has gone on without this member.
            KafkaError: the brokers do not answer.
        """
        if self.assignment_known.is_set():
            known = {} if renew else self._committed
            await self._commit({at: n for at, n in self._positions().items() if known.get(at) != n})

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit these positions, after a rebalance that is under way.

        Raises:
            MembershipLost: the group has gone on without this member.
            KafkaError: the brokers do not answer.
        """
        await self.assignment_known.wait()
        await self._commit(positions)

    def committed(self, partition: TopicPartition) -> int:
        """Offset of a partition that this member has committed last; 0 if none."""
        return self._committed.get(partition, 0)

    async def _commit(self, positions: Mapping[TopicPartition, int]) -> None:
        if not positions:
            return
        async with self._committing:
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(self._settings.delivery_seconds):
                    await self.consumer.commit(dict(positions))
            except (CommitFailedError, IllegalStateError) as error:
                raise MembershipLost(type(error).__name__) from error
            self._verified_at = asked_at
            self._committed.update(positions)

    async def verify(self) -> None:
        """Verify that this member still owns its partitions. Costs nothing while the last proof is recent.

        Raises:
            MembershipLost: it does not.
            KafkaError: the brokers do not answer.
        """
        await self.assignment_known.wait()
        if time.monotonic() - self._verified_at > self._settings.session_timeout_seconds / 2:
            await self.commit_all(renew=True)


Job = Callable[[], Coroutine[Any, Any, None]]


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Rebalance listener whose errors reach the service: aiokafka logs what a listener raises and goes on.

    Args:
        guard: runs a job, and reports to the service what it raises.
        revoked: called when a rebalance begins.
        assigned: called with the assigned partitions when it ends.
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
        """Handle the begin of a rebalance."""
        await self._guard(self._revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Handle the end of a rebalance."""
        await self._guard(partial(self._assigned, set(assigned)))
