"""What a labeller said of its labels' stability while segments grew, and which of them stood at the close."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from encoder.restart.policies import RestartPolicy
from stream.labelling.labeller import Labeller, LabellerCounters, Labelling, SavedSegment, SessionLabels

P = TypeVar("P")


class StabilityPairs(NamedTuple):
    """Predictions and what came of them, one element for each label (or span) that stood after each update."""

    stability: NDArray[np.float32]  # (k,) that was told of it
    stood: NDArray[np.bool_]  # (k,) whether it was there at the close


class SegmentPredictions(NamedTuple):
    """One segment's predictions."""

    words: StabilityPairs
    spans: StabilityPairs
    """A span is as stable as its least stable word, and stands if the same words have the same type at the close."""


class _Moment(NamedTuple):
    """A reading, of which arrays are the labeller's own and may change later."""

    starts: NDArray[np.int32]
    labels: NDArray[np.int32]
    stability: NDArray[np.float32]
    spans: Sequence[tuple[int, int, str]]


@dataclass(slots=True)
class StabilityRecorder(Generic[P]):
    """A labeller that remembers the readings of another one; what it labels is the same."""

    labeller: Labeller[P]
    outcomes: list[SegmentPredictions] = field(default_factory=list)
    """Of the segments that closed, in the order of their closing."""
    order: list[tuple[int, str]] = field(default_factory=list)
    """Whose they are: the number of the session, as they were opened, and the segment."""
    _open: dict[tuple[int, str], list[_Moment]] = field(default_factory=dict)
    _plans: dict[int, tuple[int, str, bool]] = field(default_factory=dict)
    _sessions: int = 0

    @property
    def passes(self) -> tuple[tuple[str, ...], ...]:
        """The tagger's name: one."""
        return self.labeller.passes

    @property
    def precisions(self) -> tuple[str, ...]:
        """As the labeller has them."""
        return self.labeller.precisions

    def open_session(
        self, policy: RestartPolicy, kept: Sequence[SavedSegment] = (), contexts: Sequence[bytes] = ()
    ) -> "RecordedSessionLabels[P]":
        """Begin a session; see the protocol."""
        self._sessions += 1
        return RecordedSessionLabels(self, self._sessions - 1, self.labeller.open_session(policy, kept, contexts))

    def choose_restarts(self, plans: Sequence[P]) -> None:
        """Choose where plans begin."""
        self.labeller.choose_restarts(plans)

    def compute(self, plans: Sequence[P]) -> None:
        """Compute plans."""
        self.labeller.compute(plans)

    def decode(self, plans: Sequence[P]) -> list[tuple[Labelling, ...]]:
        """Decode plans, and remember what they gave."""
        readings = self.labeller.decode(plans)
        for plan, (reading,) in zip(plans, readings, strict=True):
            self._note(*self._plans.pop(id(plan)), reading)
        return readings

    def counters(self) -> LabellerCounters:
        """What was done so far."""
        return self.labeller.counters()

    def expect(self, plan: P, session: int, segment: str, closing: bool) -> None:
        """Somebody will have this plan read."""
        self._plans[id(plan)] = session, segment, closing

    def _note(self, session: int, segment: str, closing: bool, reading: Labelling) -> None:
        moment = _Moment(reading.starts, reading.labels.copy(), reading.stability.copy(), tuple(reading.spans))
        if not closing:
            self._open.setdefault((session, segment), []).append(moment)
            return
        self.outcomes.append(_compare(self._open.pop((session, segment), []), moment))
        self.order.append((session, segment))


@dataclass(slots=True)
class RecordedSessionLabels(Generic[P]):
    """One session of a `StabilityRecorder`."""

    recorder: StabilityRecorder[P]
    number: int
    live: SessionLabels[P]

    def plan_segment(self, segment: str, text: str, closing: bool) -> P:
        """Plan an update; see the protocol, also for the rest."""
        plan = self.live.plan_segment(segment, text, closing)
        self.recorder.expect(plan, self.number, segment, closing)
        return plan

    def delete_segment(self, segment: str) -> None:
        """Take a segment back."""
        self.live.delete_segment(segment)

    def forget_segment(self, segment: str) -> None:
        """A closed segment will not be edited any more."""
        self.live.forget_segment(segment)

    def restored_readings(self, segment: str) -> tuple[Labelling, ...]:
        """The words of a restored segment."""
        return self.live.restored_readings(segment)

    def save_segment(self, segment: str) -> dict[str, bytes]:
        """Labels as they stand."""
        return self.live.save_segment(segment)

    def save_context(self) -> tuple[bytes, ...]:
        """What closed segments left."""
        return self.live.save_context()

    def free(self) -> None:
        """The session is over."""
        self.live.free()


def _compare(moments: Sequence[_Moment], final: _Moment) -> SegmentPredictions:
    """Hold what was said while the segment grew against the end; a word that is another by then is left out."""
    last = set(final.spans)
    words: list[StabilityPairs] = []
    stability: list[float] = []
    stood: list[bool] = []
    for moment in moments:
        n = min(len(moment.labels), len(final.labels))
        same = moment.starts[:n] == final.starts[:n]
        words.append(StabilityPairs(moment.stability[:n][same], (moment.labels[:n] == final.labels[:n])[same]))
        for span in moment.spans:
            stability.append(float(moment.stability[span[0] : span[1]].min()))
            stood.append(span in last)
    return SegmentPredictions(pool(words), StabilityPairs(np.array(stability, np.float32), np.array(stood, np.bool_)))


def pool(parts: Sequence[StabilityPairs]) -> StabilityPairs:
    """Put predictions together."""
    none = StabilityPairs(np.empty(0, np.float32), np.empty(0, np.bool_))
    stability, stood = zip(none, *parts, strict=True)
    return StabilityPairs(np.concatenate(stability), np.concatenate(stood))
