"""Trial: labelled examples, grouped into independent units, replayed under one restart policy after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.restart.policies import RestartPolicy
from encoder.tagger import Tagger
from stream.evaluation.calibration.risk_control import Counts
from stream.evaluation.calibration.stability_replay import SegmentPredictions, StabilityReplay
from stream.evaluation.metrics.chart_metrics import is_prefix
from stream.evaluation.replay.examples import LabelledText, batch_examples
from stream.evaluation.replay.stream_replay import Advance, StreamReplay, ignore_progress
from stream.evaluation.replay.update_stream import UpdateStream, word_stream
from stream.labelling.hybrid import HybridLabeller


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """One policy over all examples."""

    right: Counts  # (examples,) rows that equal the gold labels of their words
    flops: int
    arrived: int
    """Words of the tagger that arrived."""
    computed: int
    """Words whose tail states were computed, counted once for each time."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The examples and their units."""

    tagger: Tagger
    examples: Sequence[LabelledText]
    units: NDArray[np.int64]  # (examples,) number of each one's unit

    @property
    def rows(self) -> Counts:
        """Rows of each unit, (units,)."""
        return self.sum_by_unit(np.array([len(example.ends) for example in self.examples]))

    def sum_by_unit(self, counts: Counts) -> Counts:
        """Sum counts of examples (examples,) by unit (units,)."""
        total = np.zeros(int(self.units.max()) + 1, np.int64)
        np.add.at(total, self.units, counts)
        return total

    def run_policy(self, policy: RestartPolicy, advance: Advance = ignore_progress) -> PolicyRun:
        """Replay all examples, without closing restarts of their last segments."""
        labeller, right = HybridLabeller(self.tagger), np.zeros(len(self.examples), np.int64)
        flops = arrived = computed = 0
        for numbers in batch_examples(self.examples):
            replay = StreamReplay(labeller, policy, self._stream(numbers, closing=False))
            for i, chart in zip(numbers, replay.run(advance), strict=True):
                right[i] = sum(is_prefix(self.examples[i].gold, row) for row in chart.rows)
                arrived += chart.arrived or 0
                computed += sum(work.words for work in chart.work or ())
            flops += replay.flops
        return PolicyRun(right, flops, arrived, computed)

    def record_stability(self, policy: RestartPolicy, advance: Advance = ignore_progress) -> list[SegmentPredictions]:
        """Replay and close all examples; returns the predictions of stability for each unit."""
        parts: list[list[SegmentPredictions]] = [[] for _ in range(int(self.units.max()) + 1)]
        for numbers in batch_examples(self.examples):
            replay = StabilityReplay(
                HybridLabeller(self.tagger), policy, self._stream(numbers, closing=True), self.tagger.config.labels
            )
            replay.run(advance)
            for k, i in enumerate(numbers):
                parts[self.units[i]].append(replay.predictions[k])
        return [SegmentPredictions.pool(part) for part in parts]

    def _stream(self, numbers: Sequence[int], *, closing: bool) -> UpdateStream:
        return word_stream([self.examples[i] for i in numbers], self.tagger.config.labels, closing=closing)
