"""Delays, pauses and memory, from the topics and the workers' logs."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from consumers.formats.decode import BadInput, decode_message
from consumers.kafka.client.topic_reader import read_topic
from consumers.verify.topic_contents import decode_revision
from tests.faults.rig.environment import RunEnvironment
from tests.faults.rig.worker_processes import Event

Series = Sequence[tuple[float, str, int]]
"""(seconds, worker, bytes)."""


@dataclass(frozen=True, slots=True)
class AnsweredMessage:
    """A revision and the message that it answers; Kafka timestamps in seconds since 1970."""

    partition: int
    """Of the input."""
    session: str
    sent: float
    answered: float


def read_answers(env: RunEnvironment) -> list[AnsweredMessage]:
    """Join revisions with the messages that they answer, in order of time. Blocks."""
    sent: dict[tuple[str, int], tuple[int, float]] = {}
    for record in read_topic(env.address, env.topics.input):
        try:
            message = decode_message(record.value)
        except BadInput:
            continue
        sent[message.session, record.offset] = record.partition, record.timestamp / 1000
    answers = []
    for record in read_topic(env.address, env.topics.output):
        try:
            revision = decode_revision(record.value or b"")
        except msgspec.DecodeError:
            continue  # the oracle reports it
        if cause := sent.get((revision.session, revision.offset)):
            answers.append(AnsweredMessage(cause[0], revision.session, cause[1], record.timestamp / 1000))
    return sorted(answers, key=lambda x: x.answered)


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the quantile `share` (0 to 1) to the millisecond; None if there are no values."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


def summarise_seconds(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return count, median, 99th percentile and maximum."""
    return {
        "count": len(values),
        "p50": percentile(values, 0.5),
        "p99": percentile(values, 0.99),
        "max": percentile(values, 1.0),
    }


def pauses(answers: Sequence[AnsweredMessage], events: Iterable[Event], window: float) -> dict[str, list[float]]:
    """Return the longest gap between revisions of a partition around each rebalance, for kept and moved partitions.

    Args:
        answers: in order of time.
        events: of the workers' logs; only `assigned` counts.
        window: seconds before and after a rebalance.
    """
    times: defaultdict[int, list[float]] = defaultdict(list)
    for answer in answers:
        times[answer.partition].append(answer.answered)
    before: dict[tuple[str, int], set[int]] = {}
    found: dict[str, list[float]] = {"kept": [], "moved": []}
    for event in sorted((x for x in events if x.name == "assigned"), key=lambda x: x.at):
        mine = set(event.fields["partitions"])
        kept = mine & before.get((event.worker, event.life), set())
        before[event.worker, event.life] = mine
        for partition in mine:
            gap = _longest_gap(times[partition], event.at - window, event.at + window)
            if gap is not None:
                found["kept" if partition in kept else "moved"].append(round(gap, 3))
    return found


def _longest_gap(times: Sequence[float], start: float, end: float) -> float | None:
    """Return the longest gap that touches the window; None if the stream began or ended there."""
    low, high = bisect_left(times, start), bisect_left(times, end)
    if low == 0 or high >= len(times):
        return None
    return max(b - a for a, b in zip(times[low - 1 : high], times[low : high + 1], strict=True))


def first_answers(answers: Sequence[AnsweredMessage], events: Iterable[Event]) -> tuple[list[float], list[float]]:
    """Return the seconds from each assignment to the first revision after it, by partition and by session.

    A session counts from when its message was sent, if that was after the assignment.
    """
    partitions: list[float] = []
    sessions: list[float] = []
    assigned = sorted((x for x in events if x.name == "assigned" and x.fields["partitions"]), key=lambda x: x.at)
    ends = [*(x.at for x in assigned[1:]), float("inf")]
    for event, end in zip(assigned, ends, strict=True):
        heard: set[int] = set()
        spoken: set[str] = set()
        for answer in answers:
            if not event.at <= answer.answered < end:
                continue
            if answer.partition not in heard:
                heard.add(answer.partition)
                partitions.append(answer.answered - event.at)
            if answer.session not in spoken:
                spoken.add(answer.session)
                sessions.append(answer.answered - max(event.at, answer.sent))
    return partitions, sessions


def memory_by_minute(memory: Series, minute: float = 60.0) -> list[float]:
    """Return the memory of all workers together in MiB: the mean of each minute (or other period in seconds)."""
    by_time: defaultdict[float, int] = defaultdict(int)
    for at, _, size in memory:
        by_time[at] += size
    stretches: defaultdict[int, list[int]] = defaultdict(list)
    for at, size in by_time.items():
        stretches[int(at / minute)].append(size)
    return [round(sum(x) / len(x) / (1 << 20), 1) for _, x in sorted(stretches.items())]


def memory_growth(memory: Series, begin: float) -> float | None:
    """Return the growth of memory in MiB from the second to the last quarter of the time after `begin` (seconds)."""
    tail = [x for x in memory if x[0] >= begin]
    if not tail:
        return None
    quarters = memory_by_minute([(at - begin, name, size) for at, name, size in tail], (tail[-1][0] - begin) / 4 or 1)
    return round(quarters[-2] - quarters[1], 1) if len(quarters) >= 4 else None
