"""Reader of revisions, as a client would write one."""

import asyncio
import time
from collections import deque
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer

from consumers.demo.terminal_view import View
from consumers.demo.transcript import Transcript
from consumers.recordings.jsonl import RecordedMessage
from stream.messages.types import Revision


class RevisionReader:
    """Reads revisions, shows them, and measures the time from sending an update to reading its revision.

    Attributes:
        latencies: seconds, in the order of the revisions.
        revisions: number of revisions that were read.
    """

    def __init__(self, consumer: AIOKafkaConsumer, transcript: Transcript, view: View) -> None:
        self._consumer = consumer
        self._transcript = transcript
        self._view = view
        self._unacknowledged: deque[tuple[asyncio.Future[Any], RecordedMessage, float]] = deque()
        self._sent: dict[tuple[str, int], float] = {}
        self.latencies: list[float] = []
        self.revisions = 0

    def add_sent(self, recorded: RecordedMessage, ack: "asyncio.Future[Any]") -> None:
        """Add an update that is sent to the broker now."""
        self._unacknowledged.append((ack, recorded, time.perf_counter()))
        assert recorded.message is not None, "a demonstration sends messages only"
        self._transcript.add_message(recorded.message)

    async def read_forever(self) -> None:
        """Read until the task is cancelled."""
        while True:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                now = time.perf_counter()
                for record in records:
                    await self._add(msgspec.json.decode(record.value, type=Revision), now)

    async def _add(self, revision: Revision, now: float) -> None:
        answered = (revision.session, revision.offset)
        # The offset of an update is known from its acknowledgement, which can arrive after the revision.
        while self._unacknowledged and answered not in self._sent:
            ack, recorded, sent = self._unacknowledged.popleft()
            self._sent[recorded.session or "", (await ack).offset] = sent
        if answered in self._sent:
            self.latencies.append(now - self._sent[answered])
        self.revisions += 1
        flips = self._transcript.apply_revision(revision)
        turn = self._transcript.turns[revision.session, revision.segment]
        self._view.add_revision(turn, revision.tagger, flips)
