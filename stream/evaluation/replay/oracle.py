"""The oracle: restarts fully exactly at the steps where that removes errors; an upper bound for choosing *whether*.

It sees the reference labels, so it is only measured, never served. Before each step it asks two others what they
would say: a shadow, which is in the oracle's own state and appends; and `always`. If `always` has fewer wrong labels,
the step is a full restart, else an append. Only the oracle's own work is counted. Words that have left the window are
taken as `always` labels them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from encoder.restart.policies import Always, Never
from encoder.restart.standing import PolicyBatch
from stream.evaluation.metrics.chart_metrics import Chart, Labels
from stream.evaluation.replay.examples import LabelledText
from stream.evaluation.replay.shown_spans import EmissionLevels
from stream.evaluation.replay.word_by_word import NO_LEVELS, Advance, Feed, ReplayedText, ignore
from stream.labelling.labeller import Labeller, SessionLabels, decode_single

ORACLE = "oracle"
P = TypeVar("P")


@dataclass(slots=True)
class _ForcedPolicy:
    """A policy that is told each step what to do."""

    full: bool = False

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Go back to the first word, or append."""
        return (Always() if self.full else Never()).restart_points(batch)


class OracleFeed(Feed[P]):
    """A feed whose every step is a full restart or an append, as the reference labels have it.

    Args: as `stream.evaluation.replay.word_by_word.Feed` has them.
    """

    def __init__(
        self,
        labeller: Labeller[P],
        group: Sequence[LabelledText],
        begins: NDArray[np.int32],
        levels: EmissionLevels = NO_LEVELS,
    ) -> None:
        super().__init__(labeller, Never(), group, begins, levels)
        self._always = Feed(labeller, Always(), group, begins)
        self._told: dict[ReplayedText[P], _ForcedPolicy] = {}
        self._shadows: dict[ReplayedText[P], SessionLabels[P]] = {}
        self._full: dict[ReplayedText[P], list[Chart]] = {}

    def run(self, closing: bool, advance: Advance = ignore) -> list[Chart]:
        """Feed every word and return the charts."""
        charts = iter(self._always.run(False))
        for member in self._members:
            self._full[member] = [next(charts) for _ in member.examples]
            self._told[member] = told = _ForcedPolicy()
            member.live.free()
            member.live = self._labeller.open_session(told)
            self._shadows[member] = self._labeller.open_session(Never())
        charts_of_oracle = super().run(closing, advance)
        for shadow in self._shadows.values():
            shadow.free()
        return charts_of_oracle

    def _grow(self, members: Sequence[ReplayedText[P]]) -> None:
        self._choose(members)
        super()._grow(members)
        self._follow([member for member in members if self._told[member].full])

    def _choose(self, members: Sequence[ReplayedText[P]]) -> None:
        plans = [self._shadows[x].plan_segment(str(x.at), x.text(len(x.rows) + 1), False) for x in members]
        self._labeller.compute(plans)
        for member, reading in zip(members, decode_single(self._labeller, plans), strict=True):
            words = len(member.rows) + 1
            appended, full = self._labels(member, reading, words), self._full[member][member.at].rows[words - 1]
            self._told[member].full = _errors(member, full) < _errors(member, appended)

    def _end(self, members: Sequence[ReplayedText[P]], closing: bool) -> None:
        super()._end(members, closing)
        self._follow([member for member in members if not member.over])

    def _follow(self, members: Sequence[ReplayedText[P]]) -> None:
        """Bring shadows into the state of those that restarted or closed: what is computed whole has no history."""
        plans = []
        for member in members:
            self._shadows[member].free()
            shadow = self._shadows[member] = self._labeller.open_session(Never(), (), member.live.save_context())
            if member.rows:
                plans.append(shadow.plan_segment(str(member.at), member.text(len(member.rows)), False))
        self._labeller.compute(plans)
        self._labeller.decode(plans)


def _errors(member: ReplayedText[P], labels: Labels) -> int:
    return int((labels != member.example.gold[: len(labels)]).sum())
