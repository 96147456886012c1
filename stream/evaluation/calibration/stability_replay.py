"""Stability that a tagger reported while segments grew, and whether the labels were there at the close."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.heads.viterbi import labels_to_spans
from encoder.restart.policies import RestartPolicy
from stream.evaluation.replay.examples import LabelledText
from stream.evaluation.replay.stream_replay import ReplayJob, StreamReplay
from stream.evaluation.replay.update_stream import UpdateStream
from stream.labelling.labeller import Labeller, Labelling


class StabilityPairs(NamedTuple):
    """Predictions and their outcomes: one element for each label (or span) after each update."""

    stability: NDArray[np.float32]  # (k,) as reported
    stood: NDArray[np.bool_]  # (k,) whether the label was there at the close


class SegmentPredictions(NamedTuple):
    """Predictions for one segment; a span stands if the same words have the same type at the close."""

    words: StabilityPairs
    spans: StabilityPairs
    """Spans after every update."""
    first: StabilityPairs
    """Spans when they were first found: what a reader who acts at once relies on."""
    scores: StabilityPairs
    """Scores of the spans of the close, and whether the gold labels have them."""

    @staticmethod
    def pool(parts: "Sequence[SegmentPredictions]") -> "SegmentPredictions":
        """Concatenate the predictions of segments."""
        return SegmentPredictions(*(pool([x[i] for x in parts]) for i in range(len(SegmentPredictions._fields))))


class StabilityReplay(StreamReplay):
    """Replay of labelled text that also records the stability of labels.

    Args: as for `StreamReplay`, and the names of the labels.
    """

    def __init__(
        self, labeller: Labeller[Any], policy: RestartPolicy, stream: UpdateStream, names: tuple[str, ...]
    ) -> None:
        super().__init__(labeller, policy, stream)
        self._names = names
        self.predictions: dict[int, SegmentPredictions] = {}
        """Predictions for each closed segment, by the number of its gold text."""
        self._open: dict[int, list[Labelling]] = {}

    def _compute(self, jobs: Sequence[ReplayJob], *, closing: bool) -> tuple[list[Labelling], int]:
        readings, flops = super()._compute(jobs, closing=closing)
        for job, reading in zip(jobs, readings, strict=True):
            # arrays of a reading belong to the labeller, which may change them later
            copy = reading.replace(
                labels=reading.labels.copy(),
                stability=reading.stability.copy(),
                probability=reading.probability.copy(),
                spans=tuple(reading.spans),
            )
            number = job.segment.number
            if closing:
                scores = _score(copy, job.segment.gold, self._names)
                self.predictions[number] = _compare(self._open.pop(number, []), copy, scores)
            else:
                self._open.setdefault(number, []).append(copy)
        return readings, flops


def _compare(readings: Sequence[Labelling], final: Labelling, scores: StabilityPairs) -> SegmentPredictions:
    """Compare the readings of a growing segment with its final one; a word that was rewritten since is left out."""
    last = set(final.spans)
    words: list[StabilityPairs] = []
    spans: list[StabilityPairs] = []
    first: list[StabilityPairs] = []
    known: set[tuple[int, int, str]] = set()
    for reading in readings:
        n = min(len(reading.labels), len(final.labels))
        same = reading.starts[:n] == final.starts[:n]
        words.append(StabilityPairs(reading.stability[:n][same], (reading.labels[:n] == final.labels[:n])[same]))
        stood = np.array([span in last for span in reading.spans], np.bool_)
        new = np.array([span not in known for span in reading.spans], np.bool_)
        stability = reading.confidence(reading.spans)[:, 0]
        spans.append(StabilityPairs(stability, stood))
        first.append(StabilityPairs(stability[new], stood[new]))
        known.update(reading.spans)
    return SegmentPredictions(pool(words), pool(spans), pool(first), scores)


def _score(final: Labelling, text: LabelledText | None, names: tuple[str, ...]) -> StabilityPairs:
    """Compare the spans of the close, by the words of the gold text that they touch, with the gold spans."""
    if text is None or not final.spans:
        return pool([])
    gold = set(labels_to_spans(text.gold, names))
    right = [
        (
            int(np.searchsorted(text.ends, final.starts[first], side="right")),
            int(np.searchsorted(text.ends, final.ends[end - 1])) + 1,
            label,
        )
        in gold
        for first, end, label in final.spans
    ]
    return StabilityPairs(final.confidence(final.spans)[:, 1], np.array(right, np.bool_))


def pool(parts: Sequence[StabilityPairs]) -> StabilityPairs:
    """Concatenate predictions."""
    none = StabilityPairs(np.empty(0, np.float32), np.empty(0, np.bool_))
    stability, stood = zip(none, *parts, strict=True)
    return StabilityPairs(np.concatenate(stability), np.concatenate(stood))
