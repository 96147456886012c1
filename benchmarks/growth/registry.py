"""The parts by name, and how large each is in full and in short."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.growth.rewriting import RewritingRow, measure_rewriting
from benchmarks.growth.roofline import FloorRow, measure_floors
from benchmarks.growth.session_count import SessionsRow, measure_sessions
from benchmarks.growth.session_length import LengthRow, measure_length
from benchmarks.growth.subject import Measured, Subject, Tell, load_subject
from benchmarks.growth.threshold import POLICIES, ThresholdRow, measure_threshold


@dataclass(frozen=True)
class Size:
    """How much is measured; see the parts."""

    marks: tuple[int, ...] = (0, 1_200, 6_000, 20_000, 50_000, 100_000, 150_000, 200_000)
    segments: int = 12
    counts: tuple[int, ...] = (1, 10, 100, 1_000, 3_000, 10_000)
    words: int = 1_200
    """Said at each number of sessions, at least."""
    shares: tuple[float, ...] = (0.0, 0.1, 0.3, 0.6)
    policies: tuple[str, ...] = POLICIES
    live: int = 64
    """Sessions, where their number is not what grows."""
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
class Part:
    """One thing that grows."""

    rows: type
    """Of its result."""
    slots: Callable[[Size], int]
    """Sessions that hold states at the same time."""
    measure: Callable[[Subject, Size, Tell], list[Any]]


PARTS: dict[str, Part] = {
    "length": Part(LengthRow, lambda x: 2, lambda s, x, tell: measure_length(s, x.marks, x.segments, tell)),
    "sessions": Part(
        SessionsRow, lambda x: max(x.counts), lambda s, x, tell: measure_sessions(s, x.counts, x.words, tell)
    ),
    "rewriting": Part(
        RewritingRow,
        lambda x: x.live,
        lambda s, x, tell: measure_rewriting(s, x.shares, x.live, x.repeats, tell),
    ),
    "threshold": Part(
        ThresholdRow,
        lambda x: x.live,
        lambda s, x, tell: measure_threshold(s, x.policies, x.live, x.repeats, tell),
    ),
    "floors": Part(FloorRow, lambda x: max(x.floors), lambda s, x, tell: measure_floors(s, x.floors, tell)),
}
"""`length` comes first: it tells what memory the process has, and others leave taken what they took."""


def run_part(name: str, tagger: str, policy: str, size: Size, tell: Tell) -> Measured[Any]:
    """Measure one part.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    part = PARTS[name]
    tell(f"loading {tagger}", 0.0)
    subject = load_subject(tagger, policy, max_sessions=part.slots(size))
    return subject.measured(part.measure(subject, size, tell))


def read_part(name: str, data: bytes) -> Measured[Any]:
    """Read a part's JSON.

    Raises:
        msgspec.DecodeError: it is not what `run_part` gave.
    """
    found: Measured[Any] = msgspec.json.decode(data, type=Measured[PARTS[name].rows])  # type: ignore[misc]
    return found
