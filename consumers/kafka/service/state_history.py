"""What this process has seen of the group's offsets and of the state topic, against what the brokers say later.

Kafka lets anybody reset the offsets of a group, and delete a topic that is in use. Neither may pass without a word.
"""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.common.settings import ServiceSettings
from consumers.kafka.output.changelog import StateLost
from consumers.kafka.service.restore import PartitionStart

log = structlog.get_logger()

CHECKS, CHECK_SECONDS = 10, 0.5
"""How often the end of a changelog that seems too short is asked for, and the pause between."""


class StateHistory:
    """Ends of the changelog's partitions, and what was found when partitions were opened.

    Args:
        settings: of the service.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._ends: dict[int, int] = {}
        self._resets: dict[int, tuple[int, int]] = {}
        """By partition: input offsets that are skipped, because somebody has reset the group's offsets."""
        self._stateless: dict[int, int] = {}
        """By partition without any state: its committed offset."""

    def add_end(self, partition: int, end: int) -> None:
        """Note that a partition of the changelog has had records up to this offset."""
        self._ends[partition] = max(self._ends.get(partition, 0), end)

    def add_opening(self, partition: int, end: int, start: PartitionStart, has_state: bool) -> None:
        """Note what was found when a partition was opened.

        Args:
            partition: its number.
            end: of its changelog.
            start: where it is read from.
            has_state: whether its changelog had any record of ours.
        """
        self.add_end(partition, end)
        if start.reset_to is not None:
            self._resets[partition] = start.reset_to, start.offset
        if not has_state and start.offset and not start.topic_recreated:
            self._stateless[partition] = start.offset

    async def check_end(self, reader: AIOKafkaConsumer, state: TopicPartition) -> None:
        """Check that a partition of the changelog still has what this process has seen of it.

        Raises:
            StateLost: it ends before.
        """
        known = self._ends.get(state.partition, 0)
        for _ in range(CHECKS):  # a new leader may need a moment to tell the whole
            end = (await reader.end_offsets([state]))[state]
            if end >= known:
                return
            await asyncio.sleep(CHECK_SECONDS)
        raise StateLost(state.topic, state.partition, end, known)

    def report(self) -> None:
        """Log what was found since the last report: one line for all partitions."""
        settings = self._settings
        if self._resets:
            log.warning(
                "records_done_before_skipped",
                group=settings.group,
                count=sum(end - start for start, end in self._resets.values()),
                offsets={number: list(offsets) for number, offsets in sorted(self._resets.items())},
                instead="to label them anew, start with another --group and --state-topic",
            )
        if self._stateless:
            log.error(
                "state_missing",
                topic=settings.topics.state,
                offsets=dict(sorted(self._stateless.items())),
                detail="everything before these offsets is done, but the state topic has no state of it: sessions that"
                " were open begin anew, with rev 1. That is expected only of a new state topic",
            )
        self._resets, self._stateless = {}, {}
