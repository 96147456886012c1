"""The parts by name, and their full and quick sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.growth.rewriting import RewritingRow, measure_rewriting
from benchmarks.growth.roofline import FloorRow, measure_floors
from benchmarks.growth.session_count import SessionsRow, measure_sessions
from benchmarks.growth.session_length import LengthRow, measure_length
from benchmarks.growth.subject import PartResult, Subject, load_subject
from benchmarks.growth.threshold import POLICIES, ThresholdRow, measure_threshold
from benchmarks.harness.progress import ReportProgress


@dataclass(frozen=True)
class Size:
    """Amount of work of each part."""

    marks: tuple[int, ...] = (0, 1_200, 6_000, 20_000, 50_000, 100_000, 150_000, 200_000)
    segments: int = 12
    counts: tuple[int, ...] = (1, 10, 100, 1_000, 3_000, 10_000)
    words: int = 1_200
    """Least words at each number of sessions."""
    shares: tuple[float, ...] = (0.0, 0.1, 0.3, 0.6)
    policies: tuple[str, ...] = POLICIES
    live: int = 64
    """Sessions, where their number does not grow."""
    repeats: int = 5
    floors: tuple[int, ...] = (1, 8, 64, 1_000)


FULL = Size()
QUICK = Size(
    marks=(0, 600),
    segments=2,
    counts=(1, 8),
    words=40,
    shares=(0.0, 0.3),
    policies=("price:0.005", "stability:0.9", "never"),
    live=3,
    repeats=1,
    floors=(1, 4),
)


@dataclass(frozen=True)
class GrowthPart:
    """One part."""

    rows: type
    """Type of the rows of its result."""
    slots: Callable[[Size], int]
    """Sessions that hold states at the same time, by size."""
    measure: Callable[[Subject, Size, ReportProgress], list[Any]]


PARTS: dict[str, GrowthPart] = {
    "length": GrowthPart(
        LengthRow, lambda x: 2, lambda s, x, progress: measure_length(s, x.marks, x.segments, progress)
    ),
    "sessions": GrowthPart(
        SessionsRow, lambda x: max(x.counts), lambda s, x, progress: measure_sessions(s, x.counts, x.words, progress)
    ),
    "rewriting": GrowthPart(
        RewritingRow,
        lambda x: x.live,
        lambda s, x, progress: measure_rewriting(s, x.shares, x.live, x.repeats, progress),
    ),
    "threshold": GrowthPart(
        ThresholdRow,
        lambda x: x.live,
        lambda s, x, progress: measure_threshold(s, x.policies, x.live, x.repeats, progress),
    ),
    "floors": GrowthPart(
        FloorRow, lambda x: max(x.floors), lambda s, x, progress: measure_floors(s, x.floors, progress)
    ),
}
"""`length` comes first: it reports the memory of the process, and other parts do not give theirs back."""


def run_part(name: str, tagger: str, policy: str, size: Size, progress: ReportProgress) -> PartResult[Any]:
    """Measure one part.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    part = PARTS[name]
    progress(f"loading {tagger}", 0.0)
    subject = load_subject(tagger, policy, max_sessions=part.slots(size))
    return subject.measured(part.measure(subject, size, progress))


def read_part(name: str, data: bytes) -> PartResult[Any]:
    """Decode a part's JSON.

    Raises:
        msgspec.DecodeError: it is not a result of this version.
    """
    found: PartResult[Any] = msgspec.json.decode(data, type=PartResult[PARTS[name].rows])  # type: ignore[misc]
    return found
