"""Open-loop load through Kafka: a sender that sends messages when they are due, and a reader that times revisions.

Latency counts from the due time of a message, not from when it was sent, so that a sender that falls behind or is held
up cannot hide it (no coordinated omission). Sender and reader have a thread each beside librdkafka's own; revisions are
matched with messages after the run.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from benchmarks.kafka.speakers import PlannedMessage
from consumers.common.errors import OperationFailed
from consumers.common.settings import Topics
from consumers.kafka.client.security import librdkafka_options
from consumers.kafka.client.topic_reader import find_partitions

LONGEST_SLEEP, SHORTEST_SLEEP = 0.05, 0.0005
FLUSH_SECONDS = 30.0
LINGER_MS = 5
"""librdkafka's default. (An embedded broker answers a fetch with one batch of a partition at most.)"""
FETCH_WAIT_MS = 5
"""How long an embedded broker holds a fetch that finds nothing."""


class _Answer(msgspec.Struct):
    session: str
    offset: int
    final: bool


_ANSWER = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class MatchedAnswer:
    """The first revision that names a message as its cause."""

    due: PlannedMessage
    seconds: float
    """From the due time of the message to reading the revision."""


@dataclass(slots=True)
class MatchedRevisions:
    """Answers of one run."""

    answers: list[MatchedAnswer] = field(default_factory=list)
    revisions: int = 0
    slips: list[float] = field(default_factory=list)
    """Delay of sending each message after it was due, in seconds."""
    acks: list[float] = field(default_factory=list)
    """Seconds from sending each message to its acknowledgement."""


class OutputReader:
    """Reads revisions in a thread of its own.

    Args:
        broker: address.
        topics: of the service.
        group: prefix of the client's group id; nothing is committed.
    """

    def __init__(self, broker: str, topics: Topics, group: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker,
                "group.id": f"{group}-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "log_level": 0,  # failures are reported as errors
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
        """Return the revisions read since the last call, each with its time.

        Raises:
            OperationFailed: revisions could not be read.
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
    """Sends plans of messages; knows their offsets, since it alone writes to the topic, which is new.

    Args:
        broker: address.
        topic: input of the service.
        partitions: number of its partitions.
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
                "log_level": 0,  # failures are reported as errors
                **librdkafka_options(),
            }
        )
        self._next = [0] * partitions
        self.sent: dict[tuple[str, int], PlannedMessage] = {}
        """Messages of the last plan, by session and offset."""
        self.began = 0.0
        """Start of the last plan, on the monotonic clock."""
        self.count = 0
        """Messages sent so far."""
        self._slips: list[float] = []
        self._acks: list[float] = []
        self._failed: KafkaError | None = None

    def send(self, plan: Sequence[PlannedMessage], stop: threading.Event) -> None:
        """Send each message when it is due; returns when all are acknowledged, or `stop` was set."""
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

    def match(self, arrived: Sequence[tuple[float, bytes]]) -> MatchedRevisions:
        """Match revisions with the messages of the last plan: the first revision of each message counts."""
        heard = MatchedRevisions(slips=self._slips, acks=self._acks)
        seen: set[tuple[str, int]] = set()
        for at, value in arrived:
            answer = _ANSWER.decode(value)
            name = answer.session, answer.offset
            due = self.sent.get(name)
            heard.revisions += due is not None
            if due is not None and name not in seen:
                seen.add(name)
                heard.answers.append(MatchedAnswer(due, at - self.began - due.at))
        return heard

    def _post(self, due: PlannedMessage) -> None:
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
