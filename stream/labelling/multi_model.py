"""Labellers of different models side by side: one text, one state, and a pass of each of them over every update."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from encoder.restart.policies import RestartPolicy
from stream.labelling.labeller import Labeller, LabellerCounters, Labelling, SavedSegment, SessionLabels


class MultiModelSessionLabels:
    """The labels of one session, in several models."""

    def __init__(self, lives: Sequence[SessionLabels[Any]]) -> None:
        self._lives = lives

    def plan_segment(self, segment: str, text: str, closing: bool) -> list[Any]:
        """Each model's own plan: it restarts where its own taggers want it."""
        return [live.plan_segment(segment, text, closing) for live in self._lives]

    def delete_segment(self, segment: str) -> None:
        """Take a segment back everywhere."""
        for live in self._lives:
            live.delete_segment(segment)

    def forget_segment(self, segment: str) -> None:
        """A closed segment will not be edited any more."""
        for live in self._lives:
            live.forget_segment(segment)

    def restored_readings(self, segment: str) -> tuple[Labelling, ...]:
        """The words of a restored segment, as each tagger's labels stood."""
        return tuple(chain.from_iterable(live.restored_readings(segment) for live in self._lives))

    def save_segment(self, segment: str) -> dict[str, bytes]:
        """What each tagger has of a segment."""
        return {name: words for live in self._lives for name, words in live.save_segment(segment).items()}

    def save_context(self) -> tuple[bytes, ...]:
        """What each model has of closed segments."""
        return tuple(chain.from_iterable(live.save_context() for live in self._lives))

    def free(self) -> None:
        """The session is over."""
        for live in self._lives:
            live.free()


class MultiModelLabeller:
    """Several labellers as one; no two may have a tagger of the same name."""

    def __init__(self, labellers: Sequence[Labeller[Any]]) -> None:
        self._labellers = labellers
        self.passes = tuple(chain.from_iterable(labeller.passes for labeller in labellers))
        assert len(set(chain.from_iterable(self.passes))) == sum(map(len, self.passes)), "names must differ"

    def open_session(
        self, policy: RestartPolicy, kept: Sequence[SavedSegment] = (), contexts: Sequence[bytes] = ()
    ) -> MultiModelSessionLabels:
        """Begin a session or go on with a saved one: each finds among what was kept what is its own."""
        return MultiModelSessionLabels([labeller.open_session(policy, kept, contexts) for labeller in self._labellers])

    def choose_restarts(self, plans: Sequence[list[Any]]) -> None:
        """Choose where they begin, model after model."""
        for labeller, own in zip(self._labellers, zip(*plans, strict=True), strict=False):
            labeller.choose_restarts(own)

    def compute(self, plans: Sequence[list[Any]]) -> None:
        """Compute the plans, model after model."""
        for labeller, own in zip(self._labellers, zip(*plans, strict=True), strict=False):
            labeller.compute(own)

    def decode(self, plans: Sequence[list[Any]]) -> list[tuple[Labelling, ...]]:
        """Decode the plans; readings stand in the order of `passes`."""
        columns = zip(self._labellers, zip(*plans, strict=True), strict=False)  # no column where there is no plan
        parts = [labeller.decode(own) for labeller, own in columns]
        return [tuple(chain.from_iterable(readings)) for readings in zip(*parts, strict=True)]

    def counters(self) -> LabellerCounters:
        """What all have done so far."""
        return LabellerCounters(*map(sum, zip(*(labeller.counters() for labeller in self._labellers), strict=True)))
