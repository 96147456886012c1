"""Sending what is due, and matching the revisions with it, in memory that does not grow with the run."""

import threading
import time
from collections import deque
from collections.abc import Iterator

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from benchmarks.kafka.load_generator import LINGER_MS, LONGEST_SLEEP, SHORTEST_SLEEP
from benchmarks.soak.load import SoakMessage
from consumers.common.errors import OperationFailed
from consumers.kafka.client.security import librdkafka_options

FORGET_SECONDS = 120.0
"""Time after which a message that no revision has named is taken for one that was coalesced or changed nothing."""

SpanRows = tuple[tuple[int, int, str], ...]


class _SpanOf(msgspec.Struct):
    start: int
    end: int
    label: str


class _RevisionOf(msgspec.Struct):
    session: str
    segment: str
    tagger: str
    offset: int
    final: bool
    spans: list[_SpanOf]


_REVISION = msgspec.json.Decoder(_RevisionOf)


class SoakSender(threading.Thread):
    """Sends records when they are due, in a thread of its own; the topic is new, and nobody else writes to it.

    Args:
        broker: address.
        topic: input of the service.
        partitions: number of its partitions.
        messages: in order of their due times.
    """

    def __init__(self, broker: str, topic: str, partitions: int, messages: Iterator[SoakMessage]) -> None:
        super().__init__(name="sender", daemon=True)
        self._topic = topic
        self._messages = messages
        self._producer = Producer(
            {
                "bootstrap.servers": broker,
                "acks": "all",
                "linger.ms": LINGER_MS,
                "max.in.flight": 1,  # a retry must not change the order
                "message.max.bytes": 2_000_000,
                "log_level": 0,  # failures are reported as errors
                **librdkafka_options(),
            }
        )
        self._next = [0] * partitions
        self._due: dict[tuple[str, int], float] = {}
        self._order: deque[tuple[str, int]] = deque()
        self._failed: KafkaError | Exception | None = None
        self.began = 0.0
        self.good = self.hostile = 0
        """Records sent."""
        self.said: dict[str, list[tuple[str, str]]] = {}
        """Closed segments of each speaker with their texts, in order."""
        self.finals: dict[tuple[str, str, str], SpanRows] = {}
        """Spans of the last final revision by session, segment and tagger."""

    def run(self) -> None:
        """Send all records."""
        try:
            self._send()
        except Exception as error:
            self._failed = error

    def check(self) -> None:
        """Raises OperationFailed if records could not be sent."""
        if self._failed is not None:
            raise OperationFailed(f"the broker did not take a record: {self._failed}")

    def match(self, arrived: list[tuple[float, bytes]]) -> list[float]:
        """Note the finals of revisions.

        Args:
            arrived: revisions, each with its time of arrival.

        Returns:
            For each message that was answered for the first time, the seconds since it was due.
        """
        seconds = []
        for at, value in arrived:
            revision = _REVISION.decode(value)
            if not revision.session.startswith("good-"):
                continue
            if revision.final:
                rows = tuple((x.start, x.end, x.label) for x in revision.spans)
                self.finals[revision.session, revision.segment, revision.tagger] = rows
            due = self._due.pop((revision.session, revision.offset), None)
            if due is not None:
                seconds.append(at - self.began - due)
        return seconds

    def _send(self) -> None:
        clock, poll = time.monotonic, self._producer.poll
        self.began = began = clock()
        for message in self._messages:
            while (early := began + message.at - clock()) > 0:
                poll(0)
                time.sleep(min(LONGEST_SLEEP, max(SHORTEST_SLEEP, early)))
            self._post(message)
            if self._failed is not None:
                return
        left = self._producer.flush(60.0)
        if left:
            raise OperationFailed(f"{left} records are not acknowledged")

    def _post(self, message: SoakMessage) -> None:
        offset = self._next[message.partition]
        self._next[message.partition] += 1
        if message.session:
            self.good += 1
            place = message.session, offset
            self._due[place] = message.at
            self._order.append(place)
            while self._order and self._due.get(self._order[0], 0.0) < message.at - FORGET_SECONDS:
                self._due.pop(self._order.popleft(), None)
            if message.closes:
                self.said.setdefault(message.session, []).append(message.closes)
        else:
            self.hostile += 1
        self._producer.produce(
            self._topic, message.value, message.key, partition=message.partition, on_delivery=self._delivered
        )

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed = error
