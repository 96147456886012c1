"""Our place in the consumer group: commits (at least once), and the proof that the group still counts us in."""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from consumers.common.settings import ServiceSettings

log = structlog.get_logger()


class MembershipLost(Exception):
    """The group no longer counts us in: what is in flight must not be written."""


class GroupMember:
    """One member, and the two clients that all its partitions share.

    A commit carries the group's generation, so one that is taken proves that at that moment nobody else had our
    partitions. A process that stood still (SIGSTOP, swapping) for longer than its session cannot prove it any more, and
    writes nothing. (Exactly once needs no proof: its producers are fenced.)

    Args:
        settings: see there.
        positions: what may be committed now.
    """

    def __init__(self, settings: ServiceSettings, positions: Callable[[], Mapping[TopicPartition, int]]) -> None:
        self._settings = settings
        self._positions = positions
        self._committed: dict[TopicPartition, int] = {}
        self._committing = asyncio.Lock()
        self._proved = 0.0
        self.counted = asyncio.Event()
        """Clear while the group divides its partitions anew."""
        self.consumer: AIOKafkaConsumer
        self.producer: AIOKafkaProducer

    async def commit_all(self, renew: bool = False) -> None:
        """Commit what is done and not committed yet; with `renew` also what is. Nothing while the group divides anew.

        A commit of a generation that is over would make aiokafka join as somebody new, and so divide the group again.

        Raises:
            NotCounted: the group has gone on without us.
            KafkaError: the brokers do not answer.
        """
        if self.counted.is_set():
            known = {} if renew else self._committed
            await self._commit({at: n for at, n in self._positions().items() if known.get(at) != n})

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit these, as soon as the group has divided its partitions.

        Raises:
            NotCounted: the group has gone on without us.
            KafkaError: the brokers do not answer.
        """
        await self.counted.wait()
        await self._commit(positions)

    async def _commit(self, positions: Mapping[TopicPartition, int]) -> None:
        if not positions:
            return
        async with self._committing:
            asked = time.monotonic()
            try:
                async with asyncio.timeout(self._settings.delivery_seconds):
                    await self.consumer.commit(dict(positions))
            except (CommitFailedError, IllegalStateError) as error:
                raise MembershipLost(type(error).__name__) from error
            self._proved = asked
            self._committed.update(positions)

    async def prove(self) -> None:
        """Make sure that our partitions are ours; cheap while the last proof is fresh.

        Raises:
            NotCounted: they are not.
            KafkaError: the brokers do not answer.
        """
        await self.counted.wait()
        if time.monotonic() - self._proved > self._settings.session_timeout_seconds / 2:
            await self.commit_all(renew=True)
