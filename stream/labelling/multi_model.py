"""Labeller of several models: one text and one state, and a pass of each model over every update."""

from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import Any

from encoder.restart.policies import RestartPolicy
from stream.labelling.labeller import Labeller, LabellerCounters, Labelling, SavedSegment, SessionLabels


class MultiModelSessionLabels:
    """Labels of one session by several models."""

    def __init__(self, parts: Sequence[SessionLabels[Any]]) -> None:
        self._parts = parts

    def plan_segment(self, segment: str, text: str, closing: bool) -> list[Any]:
        """Return a plan of each model, which has its own restart point."""
        return [part.plan_segment(segment, text, closing) for part in self._parts]

    @property
    def parts(self) -> Sequence[SessionLabels[Any]]:
        """Labels by each model."""
        return self._parts

    @property
    def behind(self) -> bool:
        """Tell whether any model has closed segments to compute."""
        return any(part.behind for part in self._parts)

    @property
    def missing_tokens(self) -> int:
        """Return the largest number of any model."""
        return max(part.missing_tokens for part in self._parts)

    def holds_segment(self, segment: str) -> bool:
        """Tell whether all models hold the segment."""
        return all(part.holds_segment(segment) for part in self._parts)

    def restore_in_slices(self, segment: str) -> Iterator[None]:
        """Restore a segment in each model."""
        for part in self._parts:
            yield from part.restore_in_slices(segment)

    def delete_segment(self, segment: str) -> None:
        """Remove a segment from each model."""
        for part in self._parts:
            part.delete_segment(segment)

    def forget_segment(self, segment: str) -> None:
        """Forget a closed segment that can no longer be edited."""
        for part in self._parts:
            part.forget_segment(segment)

    def restored_readings(self, segment: str) -> tuple[Labelling, ...]:
        """Return the saved reading of a restored segment by each tagger."""
        return tuple(chain.from_iterable(part.restored_readings(segment) for part in self._parts))

    def save_segment(self, segment: str) -> dict[str, bytes]:
        """Return the records of a segment, by tagger."""
        return {name: words for part in self._parts for name, words in part.save_segment(segment).items()}

    def save_context(self) -> tuple[bytes, ...]:
        """Return the closed context of each model."""
        return tuple(chain.from_iterable(part.save_context() for part in self._parts))

    def free(self) -> None:
        """Release the session in each model."""
        for part in self._parts:
            part.free()


class MultiModelLabeller:
    """Combines several labellers; no two may have a tagger of the same name."""

    def __init__(self, labellers: Sequence[Labeller[Any]]) -> None:
        self._labellers = labellers
        self.passes = tuple(chain.from_iterable(labeller.passes for labeller in labellers))
        self.text_scores = {tagger: x for labeller in labellers for tagger, x in labeller.text_scores.items()}
        self.precisions = tuple(chain.from_iterable(labeller.precisions for labeller in labellers))
        self.checkpoints = tuple(chain.from_iterable(labeller.checkpoints for labeller in labellers))
        self.span_labels = dict(chain.from_iterable(labeller.span_labels.items() for labeller in labellers))
        assert len(set(chain.from_iterable(self.passes))) == sum(map(len, self.passes)), "names must differ"

    def open_session(
        self, policy: RestartPolicy, saved: Sequence[SavedSegment] = (), contexts: Sequence[bytes] = ()
    ) -> MultiModelSessionLabels:
        """Begin a session or continue a saved one; each model uses only its own saved records."""
        return MultiModelSessionLabels([labeller.open_session(policy, saved, contexts) for labeller in self._labellers])

    def choose_restarts(self, plans: Sequence[list[Any]]) -> None:
        """Choose restart points, model by model."""
        for labeller, own in zip(self._labellers, zip(*plans, strict=True), strict=False):
            labeller.choose_restarts(own)

    def compute(self, plans: Sequence[list[Any]]) -> None:
        """Compute the plans, model by model."""
        for labeller, own in zip(self._labellers, zip(*plans, strict=True), strict=False):
            labeller.compute(own)

    def decode(self, plans: Sequence[list[Any]]) -> list[tuple[Labelling, ...]]:
        """Decode the plans; readings are in the order of `passes`."""
        columns = zip(self._labellers, zip(*plans, strict=True), strict=False)  # no plans, no columns
        parts = [labeller.decode(own) for labeller, own in columns]
        return [tuple(chain.from_iterable(readings)) for readings in zip(*parts, strict=True)]

    def label_in_slices(
        self, labels: MultiModelSessionLabels, segment: str, text: str, closing: bool
    ) -> Generator[None, None, tuple[Labelling, ...]]:
        """Label one long text slice by slice, model by model."""
        readings: list[Labelling] = []
        for labeller, part in zip(self._labellers, labels.parts, strict=True):
            readings += yield from labeller.label_in_slices(part, segment, text, closing)
        return tuple(readings)

    def counters(self) -> LabellerCounters:
        """Return the sums of the counts of all models."""
        return LabellerCounters(*map(sum, zip(*(labeller.counters() for labeller in self._labellers), strict=True)))
