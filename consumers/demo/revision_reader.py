"""A reader of revisions, as a client would write one: it knows what was sent, and finds out what it was labelled."""

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
    """Reads revisions, shows them, and measures how long after its update each one came."""

    def __init__(self, consumer: AIOKafkaConsumer, transcript: Transcript, view: View) -> None:
        self._consumer = consumer
        self._transcript = transcript
        self._view = view
        self._on_the_way: deque[tuple[asyncio.Future[Any], RecordedMessage, float]] = deque()
        self._sent: dict[tuple[str, int], float] = {}
        self.latencies: list[float] = []
        self.revisions = 0

    def expect(self, recorded: RecordedMessage, ack: "asyncio.Future[Any]") -> None:
        """An update goes to the broker now."""
        self._on_the_way.append((ack, recorded, time.perf_counter()))
        self._transcript.hear(recorded.message)

    async def read(self) -> None:
        """Read for ever."""
        while True:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                now = time.perf_counter()
                for record in records:
                    await self._take(msgspec.json.decode(record.value, type=Revision), now)

    async def _take(self, revision: Revision, now: float) -> None:
        answered = (revision.session, revision.offset)
        # An update's offset is known with its acknowledgement, which can come after the answer.
        while self._on_the_way and answered not in self._sent:
            ack, recorded, sent = self._on_the_way.popleft()
            self._sent[recorded.message.session, (await ack).offset] = sent
        if answered in self._sent:
            self.latencies.append(now - self._sent[answered])
        self.revisions += 1
        flips = self._transcript.label(revision)
        turn = self._transcript.turns[revision.session, revision.segment]
        self._view.revised(turn, revision.tagger, flips)
