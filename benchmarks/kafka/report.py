"""Figures of a run, as they are printed and written to JSON."""

from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """Milliseconds of many things of a kind."""

    count: int = 0
    mean_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


def spread(seconds: Sequence[float]) -> Spread:
    """Sum up; all zeros where there is nothing."""
    if not seconds:
        return Spread()
    ordered = sorted(seconds)
    p50, p99, last = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99, 1.0))
    return Spread(len(ordered), *(round(1000 * x, 3) for x in (sum(ordered) / len(ordered), p50, p99, last)))


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """So many speakers for a while; all of it without the time to warm up."""

    guarantee: str
    sessions: int
    seconds: float
    words_per_second: float
    """Words that were due."""
    answered: Spread
    """From when a message was due to when the revision that names it was read; words and closings."""
    words: Spread
    """The same, of words alone."""
    closings: Spread
    slip: Spread
    """From when messages were due to when they were sent: what the sender itself is late."""
    ack: Spread
    """From when messages were sent to their acknowledgement."""
    cpu_ms_a_word: float
    """Processor time of the service for each word that was due: seconds for 1,000 words."""
    cpu_loop_ms_a_word: float
    """Of it, the event loop's thread."""
    core_share: float
    """Of its core, that the service was busy."""
    others_share: float
    """Of that core, that somebody else was busy: where it is more than a few hundredths, nothing else here is ours."""
    coalesced: int
    """Updates that were left out because a newer one of their segment waited."""
    shortened: int
    """Restarts that overload made shorter."""
    phases: dict[str, float]
    """Mean milliseconds of a message in each phase: of all messages, but the last (`out`) of those with a revision.

    sender: from when it was due to its own timestamp; broker: until the service took it; queue, step, handover, state,
    publish: see docs/watching.md; out: from the acknowledgement of its revision to when that was read.
    """
    served_p99_ms: float | None
    """99 of 100 messages, with a revision or without, were done so long after the service took them, or sooner."""
    resident_mib: tuple[float, float]
    """Memory of the service before and after."""

    def carries(self, target_ms: float) -> bool:
        """Whether all went well at so many speakers: answers in time, none left out, no restart made shorter."""
        return self.answered.count > 0 and self.answered.p99_ms <= target_ms and not self.shortened


class KafkaReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `python -m benchmarks kafka` found."""

    broker: str
    taggers: tuple[str, ...]
    policy: str
    cores: str
    processor: str
    target_ms: float
    carried: dict[str, int]
    """By guarantee, the most speakers that were carried in time."""
    runs: tuple[Run, ...]
