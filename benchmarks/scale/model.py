"""Model of a group of workers: what its members carry, and what a departure, a return and a rolling restart cost.

All figures are measured in the same run (`GroupCosts`); W workers have S sessions, spread evenly.

- *throughput* = W x live speakers of a worker x words a second of a speaker.
- *departure*: the sessions of one worker, S / W, go to the W - 1 others, each of which restores S / (W (W - 1));
  records of the partitions that move wait for `rebalance + fixed + S / (W (W - 1)) x restore`.
- *return*: one worker restores S / W sessions: `rebalance + fixed + S / W x restore`.
- *rolling restart* = W x (departure + start + return).
- *rebuild*: what a worker computes again for the sessions that it got, `S / (W (W - 1)) x rebuild`, if all of them
  speak on; it is spread over the time until each of them closes a segment.
"""

from collections.abc import Sequence

import msgspec

from consumers.runtime.capacity import WORDS_A_SECOND


class GroupCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker costs and carries."""

    worker_speakers: float
    """Live speakers that a worker carries, with reading and writing."""
    restore_s: float
    """Processor seconds of restoring one session."""
    fixed_s: float
    """Seconds of opening a partition that do not depend on its sessions."""
    rebalance_s: float
    """From the departure of a member until the others have its partitions assigned."""
    start_s: float
    """From the start of a worker until it asks for partitions."""
    rebuild_s: float
    """Processor seconds of computing the caches of a restored session."""


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A group of one size with one number of sessions."""

    workers: int
    sessions: int
    words_per_second: float
    speakers: int
    """Live speakers that all workers carry together."""
    departure_s: float
    """For which the sessions of a worker that leaves wait."""
    return_s: float
    """For which the sessions wait that go back to it."""
    rebuild_s: float
    """Of one worker after a departure, if all sessions that it got speak on."""
    rolling_s: float


def model_group(costs: GroupCosts, workers: int, sessions: int) -> ModelRow:
    """Predict one group of at least two workers."""
    each = sessions / workers
    moved = each / (workers - 1)
    departure = costs.rebalance_s + costs.fixed_s + moved * costs.restore_s
    back = costs.rebalance_s + costs.fixed_s + each * costs.restore_s
    speakers = workers * costs.worker_speakers
    return ModelRow(
        workers=workers,
        sessions=sessions,
        words_per_second=speakers * WORDS_A_SECOND,
        speakers=round(speakers),
        departure_s=departure,
        return_s=back,
        rebuild_s=moved * costs.rebuild_s,
        rolling_s=workers * (departure + costs.start_s + back),
    )


def model_groups(costs: GroupCosts, workers: Sequence[int], sessions: Sequence[int]) -> list[ModelRow]:
    """Predict groups of several sizes with several numbers of sessions."""
    return [model_group(costs, count, many) for many in sessions for count in workers]


def fit_restores(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Fit seconds to numbers of sessions; returns the fixed seconds, not below 0, and those of each session.

    Args:
        points: at least one (sessions, seconds).
    """
    (few, fast), (many, slow) = min(points), max(points)
    slope = (slow - fast) / (many - few) if many > few else slow / many
    return max(0.0, fast - slope * few), slope
