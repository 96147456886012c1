"""The open loop: messages are sent when they are due, whatever comes back, and what comes back is noted with its time.

A latency counts from when its message was due, not from when it was sent, so a sender that falls behind, or a service
that holds it up, cannot hide that (coordinated omission). Two threads around librdkafka's own; what was read is made
sense of when the run is over.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from consumers.common.errors import OperationFailed
from consumers.common.settings import Topics
from consumers.kafka.client.security import librdkafka_options
from consumers.kafka.client.topic_reader import find_partitions
from tests.faults.workload.speakers import Due

LONGEST_SLEEP, SHORTEST_SLEEP = 0.05, 0.0005
FLUSH_SECONDS = 30.0
LINGER_MS = 5
"""What librdkafka has by itself. (And an embedded broker answers a fetch with one batch of a partition at most.)"""
FETCH_WAIT_MS = 5
"""So long an embedded broker holds every fetch that finds nothing."""


class _Answer(msgspec.Struct):
    session: str
    offset: int
    final: bool


_ANSWER = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Answer:
    """The first revision that names a message as its cause."""

    due: Due
    seconds: float
    """From when the message was due to when the revision was read."""


@dataclass(slots=True)
class Heard:
    """What came of the messages of one run."""

    answers: list[Answer] = field(default_factory=list)
    revisions: int = 0
    slips: list[float] = field(default_factory=list)
    """Seconds that each message was sent after it was due."""
    acks: list[float] = field(default_factory=list)
    """Seconds from sending each to its acknowledgement."""


class Reader:
    """Reads revisions in a thread of its own.

    Args:
        broker: where.
        topics: the service's.
        group: a name for the client; nothing is committed.
    """

    def __init__(self, broker: str, topics: Topics, group: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker,
                "group.id": f"{group}-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "log_level": 0,  # what fails is told as an error
                **librdkafka_options(),
            }
        )
        self._stop = threading.Event()
        self._arrived: list[tuple[float, bytes]] = []
        self._error: KafkaError | None = None
        self.count = 0
        """Revisions read."""
        found = find_partitions(self._consumer, broker, topics.output)
        self._consumer.assign([TopicPartition(topics.output, number, OFFSET_BEGINNING) for number in found])
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def take(self) -> list[tuple[float, bytes]]:
        """What was read since the last call: when, and the revision.

        Raises:
            OperationFailed: it could not be read.
        """
        if self._error is not None:
            raise OperationFailed(f"revisions could not be read: {self._error}")
        arrived, self._arrived = self._arrived, []
        return arrived

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            record = self._consumer.poll(0.2)
            if record is None:
                continue
            if record.error() is not None:
                self._error = record.error()
            else:
                self._arrived.append((time.monotonic(), record.value() or b""))
                self.count += 1


class Sender:
    """Sends plans, and knows by offset what it sent: the topic is new, and nobody else writes to it.

    Args:
        broker: where.
        topic: the service's input.
        partitions: of it.
    """

    def __init__(self, broker: str, topic: str, partitions: int) -> None:
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": broker,
                "acks": "all",
                "linger.ms": LINGER_MS,
                "enable.idempotence": False,
                "max.in.flight": 1,  # a retry must not change the order
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,  # what fails is told as an error
                **librdkafka_options(),
            }
        )
        self._next = [0] * partitions
        self.sent: dict[tuple[str, int], Due] = {}
        """What the messages of the last plan were, by session and offset."""
        self.began = 0.0
        """When the last plan began, on the monotonic clock."""
        self.count = 0
        """Messages sent so far."""
        self._slips: list[float] = []
        self._acks: list[float] = []
        self._failed: KafkaError | None = None

    def send(self, plan: Sequence[Due], stop: threading.Event) -> None:
        """Send a plan at its pace; returns when all of it is acknowledged, or `stop` was set."""
        self.sent, self._slips, self._acks = {}, [], []
        clock, poll = time.monotonic, self._producer.poll
        self.began = began = clock()
        for due in plan:
            while (early := began + due.at - clock()) > 0:
                poll(0)
                time.sleep(min(LONGEST_SLEEP, max(SHORTEST_SLEEP, early)))
                if stop.is_set():
                    return self._flush()
            self._slips.append(-early)
            self._post(due)
        self._flush()

    def match(self, arrived: Sequence[tuple[float, bytes]]) -> Heard:
        """Find what the revisions answer: of each message the first one, of those of the last plan."""
        heard = Heard(slips=self._slips, acks=self._acks)
        seen: set[tuple[str, int]] = set()
        for at, value in arrived:
            answer = _ANSWER.decode(value)
            name = answer.session, answer.offset
            due = self.sent.get(name)
            heard.revisions += due is not None
            if due is not None and name not in seen:
                seen.add(name)
                heard.answers.append(Answer(due, at - self.began - due.at))
        return heard

    def _post(self, due: Due) -> None:
        self.sent[due.session, self._next[due.partition]] = due
        self._next[due.partition] += 1
        self.count += 1
        self._producer.produce(
            self._topic, due.value, due.session.encode(), partition=due.partition, on_delivery=self._delivered
        )

    def _delivered(self, error: KafkaError | None, record: Message) -> None:
        if error is not None:
            self._failed = error
        else:
            self._acks.append(record.latency() or 0.0)

    def _flush(self) -> None:
        left = self._producer.flush(FLUSH_SECONDS)
        if self._failed is not None or left:
            raise OperationFailed(f"the broker did not take {left} messages: {self._failed or 'no answer'}")
