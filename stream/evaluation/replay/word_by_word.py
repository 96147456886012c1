"""Feeds labelled sequences word by word through a labeller, many sessions at once, and keeps what stood.

Every word is an update. A session of several segments closes each before it opens the next, as live ones do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from encoder.restart.policies import RestartPolicy
from stream.evaluation.metrics.chart_metrics import Chart, Extents, Labels
from stream.evaluation.replay.examples import LabelledText, sessions_of, word_labels
from stream.evaluation.replay.shown_spans import Audience, EmissionLevels
from stream.labelling.labeller import Labeller, Labelling, PlanWork, SessionLabels, decode_single

P = TypeVar("P")
Advance = Callable[[int], None]
"""Is told how many words were done."""


NO_LEVELS = EmissionLevels((), ())


def ignore(words: int) -> None:
    """Tell nobody."""


@dataclass(slots=True, eq=False)
class ReplayedText(Generic[P]):
    """A session on its way: segments before `at` are closed, of that one `len(rows)` words have arrived."""

    live: SessionLabels[P]
    examples: Sequence[LabelledText]
    at: int = 0
    rows: list[Labels] = field(default_factory=list)
    work: list[PlanWork] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    audiences: list[Audience] = field(default_factory=list)
    """The open segment's readers under each level that is measured."""
    shown: list[list[Chart]] = field(default_factory=list)
    """What they were shown: charts by level."""

    @property
    def example(self) -> LabelledText:
        """The open segment."""
        return self.examples[self.at]

    @property
    def over(self) -> bool:
        """Whether all segments are."""
        return self.at == len(self.examples)

    def text(self, words: int) -> str:
        """The first words of the open segment."""
        return self.example.text[: self.example.ends[words - 1]]


class Feed(Generic[P]):
    """A group of examples fed as live sessions in lock step.

    Args:
        labeller: what labels.
        policy: where restarts begin.
        group: those of one session stand together (`stream.evaluation.replay.examples.sessions_of`).
        begins: as `stream.evaluation.replay.examples.word_labels` needs it.
        levels: under which what is found is also shown to readers (`charts_shown`).
    """

    def __init__(
        self,
        labeller: Labeller[P],
        policy: RestartPolicy,
        group: Sequence[LabelledText],
        begins: NDArray[np.int32],
        levels: EmissionLevels = NO_LEVELS,
    ) -> None:
        self.flops = 0
        """Of the updates."""
        self.closing_flops = 0
        """Of the closing restarts."""
        self._labeller = labeller
        self._begins = begins
        self._levels = levels
        self._members: list[ReplayedText[P]] = [
            ReplayedText(
                labeller.open_session(policy), x, audiences=levels.open(), shown=[[] for _ in levels.emissions]
            )
            for x in sessions_of(group)
        ]

    def run(self, closing: bool, advance: Advance = ignore) -> list[Chart]:
        """Feed every word and return the charts, in the order of the examples; once.

        Args:
            closing: close each session's last segment too; those before it always close.
            advance: is told of words.
        """
        active = self._members
        while active := [member for member in active if not member.over]:
            self._grow(active)
            advance(len(active))
            self._end([member for member in active if len(member.rows) == len(member.example.ends)], closing)
        for member in self._members:
            member.live.free()
        return [chart for member in self._members for chart in member.charts]

    def charts_shown(self) -> list[list[Chart]]:
        """Give the charts of what readers were shown under each level, once all is fed; each in the examples' order."""
        levels = range(len(self._levels.emissions))
        return [[chart for member in self._members for chart in member.shown[i]] for i in levels]

    def _grow(self, members: Sequence[ReplayedText[P]]) -> None:
        """Give each one's segment its next word."""
        readings, flops = self._step(members, closing=False)
        self.flops += flops
        for member, reading in zip(members, readings, strict=True):
            self._note(member, reading)

    def _step(self, members: Sequence[ReplayedText[P]], *, closing: bool) -> tuple[list[Labelling], int]:
        """Label each one's text with its next word, or close it as it stands; also the FLOPs of it."""
        plans = []
        for member in members:
            text = member.text(len(member.rows) + (not closing))
            plans.append(member.live.plan_segment(str(member.at), text, closing))
        before = self._labeller.counters().flops
        self._labeller.compute(plans)
        return decode_single(self._labeller, plans), self._labeller.counters().flops - before

    def _note(self, member: ReplayedText[P], reading: Labelling) -> None:
        member.rows.append(self._labels(member, reading, len(member.rows) + 1))
        member.work.append(reading.work)
        done = len(member.rows) == len(member.example.ends)
        if done:
            member.charts.append(Chart(member.rows, work=member.work, found=_found(member.example, reading)))
        for audience, charts in zip(member.audiences, member.shown, strict=True):
            shown = audience.update(member.text(len(member.rows)), reading)
            audience.rows.append(self._labels(member, shown, len(member.rows)))
            if done:
                found = _found(member.example, shown)
                charts.append(Chart(audience.rows, work=member.work, found=found, seen=audience.seen))

    def _labels(self, member: ReplayedText[P], reading: Labelling, words: int) -> Labels:
        return word_labels(reading, member.example.ends[:words], self._begins)

    def _end(self, members: Sequence[ReplayedText[P]], closing: bool) -> None:
        """Close segments that have all their words, and go on to the next."""
        closed = [member for member in members if closing or member.at + 1 < len(member.examples)]
        readings, flops = self._step(closed, closing=True) if closed else ([], 0)
        self.closing_flops += flops
        for member, reading in zip(closed, readings, strict=True):
            labels, found = self._labels(member, reading, len(member.rows)), _found(member.example, reading)
            last = replace(member.charts[-1], closed=labels, closing=reading.work, closed_found=found)
            member.charts[-1] = last
            member.live.forget_segment(str(member.at))
            self._show_closed(member, reading)
        for member in members:
            member.at += 1
            member.rows, member.work, member.audiences = [], [], self._levels.open()

    def _show_closed(self, member: ReplayedText[P], reading: Labelling) -> None:
        for audience, charts in zip(member.audiences, member.shown, strict=True):
            shown = audience.update(member.text(len(member.rows)), reading, final=True)
            labels, found = self._labels(member, shown, len(member.rows)), _found(member.example, shown)
            charts[-1] = replace(
                charts[-1], closed=labels, closing=reading.work, closed_found=found, closed_seen=audience.seen
            )


def _found(example: LabelledText, reading: Labelling) -> Extents | None:
    """The characters under the tagger's spans, if they are to be compared; white space inside a span belongs to it."""
    if example.marks is None:
        return None
    return [(int(reading.starts[first]), int(reading.ends[end - 1])) for first, end, _ in reading.spans]
