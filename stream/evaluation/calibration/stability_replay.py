"""Stability that a tagger reported while segments grew, and whether the labels were there at the close."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.restart.policies import RestartPolicy
from stream.evaluation.replay.stream_replay import ReplayJob, StreamReplay
from stream.evaluation.replay.update_stream import UpdateStream
from stream.labelling.labeller import Labeller, Labelling


class StabilityPairs(NamedTuple):
    """Predictions and their outcomes: one element for each label (or span) after each update."""

    stability: NDArray[np.float32]  # (k,) as reported
    stood: NDArray[np.bool_]  # (k,) whether the label was there at the close


class SegmentPredictions(NamedTuple):
    """Predictions for one segment."""

    words: StabilityPairs
    spans: StabilityPairs
    """A span is as stable as its least stable word, and stands if the same words have the same type at the close."""


class StabilityReplay(StreamReplay):
    """Replay of labelled text that also records the stability of labels.

    Args: as for `StreamReplay`.
    """

    def __init__(self, labeller: Labeller[Any], policy: RestartPolicy, stream: UpdateStream) -> None:
        super().__init__(labeller, policy, stream)
        self.predictions: dict[int, SegmentPredictions] = {}
        """Predictions for each closed segment, by the number of its gold text."""
        self._open: dict[int, list[Labelling]] = {}

    def _compute(self, jobs: Sequence[ReplayJob], *, closing: bool) -> tuple[list[Labelling], int]:
        readings, flops = super()._compute(jobs, closing=closing)
        for job, reading in zip(jobs, readings, strict=True):
            # arrays of a reading belong to the labeller, which may change them later
            copy = reading.replace(
                labels=reading.labels.copy(), stability=reading.stability.copy(), spans=tuple(reading.spans)
            )
            number = job.segment.number
            if closing:
                self.predictions[number] = _compare(self._open.pop(number, []), copy)
            else:
                self._open.setdefault(number, []).append(copy)
        return readings, flops


def _compare(readings: Sequence[Labelling], final: Labelling) -> SegmentPredictions:
    """Compare the readings of a growing segment with its final one; a word that was rewritten since is left out."""
    last = set(final.spans)
    words: list[StabilityPairs] = []
    stability: list[float] = []
    stood: list[bool] = []
    for reading in readings:
        n = min(len(reading.labels), len(final.labels))
        same = reading.starts[:n] == final.starts[:n]
        words.append(StabilityPairs(reading.stability[:n][same], (reading.labels[:n] == final.labels[:n])[same]))
        for span in reading.spans:
            stability.append(float(reading.stability[span[0] : span[1]].min()))
            stood.append(span in last)
    return SegmentPredictions(pool(words), StabilityPairs(np.array(stability, np.float32), np.array(stood, np.bool_)))


def pool(parts: Sequence[StabilityPairs]) -> StabilityPairs:
    """Concatenate predictions."""
    none = StabilityPairs(np.empty(0, np.float32), np.empty(0, np.bool_))
    stability, stood = zip(none, *parts, strict=True)
    return StabilityPairs(np.concatenate(stability), np.concatenate(stood))
