"""Figures from what stands in the topics and in the workers' logs: delays, pauses, memory."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from consumers.formats.decode import BadInput, decode_message
from consumers.kafka.client.topic_reader import read_topic
from consumers.verify.topic_contents import decode_revision
from tests.faults.rig.environment import Place
from tests.faults.rig.worker_processes import Event

Series = Sequence[tuple[float, str, int]]
"""(seconds, worker, bytes)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A revision and the message that it answers; times in seconds since 1970, as the producers stamped them."""

    partition: int
    """Of the input."""
    session: str
    sent: float
    answered: float


def read_answers(place: Place) -> list[Answered]:
    """Join revisions with the messages that they answer; in order of time. Blocks."""
    sent: dict[tuple[str, int], tuple[int, float]] = {}
    for record in read_topic(place.address, place.topics.input):
        try:
            message = decode_message(record.value)
        except BadInput:
            continue
        sent[message.session, record.offset] = record.partition, record.timestamp / 1000
    answers = []
    for record in read_topic(place.address, place.topics.output):
        try:
            revision = decode_revision(record.value or b"")
        except msgspec.DecodeError:
            continue  # the oracle complains of it
        if cause := sent.get((revision.session, revision.offset)):
            answers.append(Answered(cause[0], revision.session, cause[1], record.timestamp / 1000))
    return sorted(answers, key=lambda x: x.answered)


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value that `share` (0 to 1) of them do not exceed, to the millisecond; None when there are none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


def spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """Count, median, 99th percentile and maximum."""
    return {
        "count": len(values),
        "p50": percentile(values, 0.5),
        "p99": percentile(values, 0.99),
        "max": percentile(values, 1.0),
    }


def pauses(answers: Sequence[Answered], events: Iterable[Event], window: float) -> dict[str, list[float]]:
    """The longest gap between revisions of a partition around each rebalance, for partitions kept and moved.

    Args:
        answers: in order of time.
        events: the workers' logs; those named `assigned` count.
        window: seconds before and after a rebalance that are looked at.
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
    """Between neighbours of which at least one lies in the window; None where the stream began or ended there."""
    low, high = bisect_left(times, start), bisect_left(times, end)
    if low == 0 or high >= len(times):
        return None
    return max(b - a for a, b in zip(times[low - 1 : high], times[low : high + 1], strict=True))


def first_answers(answers: Sequence[Answered], events: Iterable[Event]) -> tuple[list[float], list[float]]:
    """Seconds from each assignment to a new worker to the first revision after it: per partition, and per session.

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
    """MiB of all workers together: the mean of each minute (or other stretch, in seconds) that was looked at."""
    by_time: defaultdict[float, int] = defaultdict(int)
    for at, _, size in memory:
        by_time[at] += size
    stretches: defaultdict[int, list[int]] = defaultdict(list)
    for at, size in by_time.items():
        stretches[int(at / minute)].append(size)
    return [round(sum(x) / len(x) / (1 << 20), 1) for _, x in sorted(stretches.items())]


def growth(memory: Series, begin: float) -> float | None:
    """MiB that the workers grew by, from the second to the last quarter of the time after `begin` (seconds)."""
    tail = [x for x in memory if x[0] >= begin]
    if not tail:
        return None
    quarters = memory_by_minute([(at - begin, name, size) for at, name, size in tail], (tail[-1][0] - begin) / 4 or 1)
    return round(quarters[-2] - quarters[1], 1) if len(quarters) >= 4 else None
