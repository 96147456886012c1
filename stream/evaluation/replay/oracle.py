"""Oracle policy: full restarts exactly at the steps where that removes errors; an upper bound for choosing *whether*.

It reads the gold labels, so it can be measured but never served. Before each step it compares what an append and what
`always` would label. The append is computed by a shadow, a second session in the oracle's own state. If `always` has
fewer wrong labels, the step is a full restart, else an append. Only the oracle's own work is counted. Words that have
left the window have the labels that `always` gives them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from encoder.restart.policies import Always, Never
from encoder.restart.standing import PolicyBatch
from encoder.tagger import Tagger
from stream.evaluation.metrics.chart_metrics import Chart
from stream.evaluation.replay.examples import LabelledText
from stream.evaluation.replay.shown_spans import EmissionLevels
from stream.evaluation.replay.stream_replay import (
    NO_LEVELS,
    Advance,
    ReplayedSession,
    ReplayJob,
    StreamReplay,
    ignore_progress,
)
from stream.evaluation.replay.update_stream import word_stream
from stream.labelling.labeller import Labeller, SessionLabels, decode_single

ORACLE = "oracle"


@dataclass(slots=True)
class _ForcedPolicy:
    """Policy that is told what to do in each step."""

    full: bool = False

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Return to the first word, or append."""
        return (Always() if self.full else Never()).restart_points(batch)


class OracleReplay(StreamReplay):
    """Replay of labelled text under the oracle policy.

    Args:
        labeller: as for `StreamReplay`; so are `levels` and `tagger`.
        examples: as for `word_stream`; so are `names` and `closing`.
    """

    def __init__(
        self,
        labeller: Labeller[Any],
        examples: Sequence[LabelledText],
        names: tuple[str, ...],
        *,
        closing: bool,
        levels: EmissionLevels = NO_LEVELS,
        tagger: Tagger | None = None,
    ) -> None:
        super().__init__(labeller, Never(), word_stream(examples, names, closing=closing), levels, tagger)
        self._always = StreamReplay(labeller, Always(), word_stream(examples, names, closing=False))
        self._full: list[Chart] = []
        self._forced: dict[ReplayedSession, _ForcedPolicy] = {}
        self._shadows: dict[ReplayedSession, SessionLabels[Any]] = {}

    def run(self, advance: Advance = ignore_progress) -> list[Chart]:
        """Replay the text, once; returns the charts in the order of the examples."""
        self._full = self._always.run()
        charts = super().run(advance)
        for shadow in self._shadows.values():
            shadow.free()
        return charts

    def _open_session(self) -> ReplayedSession:
        forced = _ForcedPolicy()
        session = ReplayedSession(self._labeller.open_session(forced))
        self._forced[session], self._shadows[session] = forced, self._labeller.open_session(Never())
        return session

    def _update(self, jobs: Sequence[ReplayJob]) -> None:
        self._choose_steps(jobs)
        super()._update(jobs)
        restarted = [job for job in jobs if self._forced[job.session].full]
        self._reopen_shadows(restarted)
        self._labeller.decode(self._plan_shadows(restarted))

    def _choose_steps(self, jobs: Sequence[ReplayJob]) -> None:
        readings = decode_single(self._labeller, self._plan_shadows(jobs))
        for (session, segment, write), reading in zip(jobs, readings, strict=True):
            row = len(segment.rows)
            gold = self.gold[write.offset].gold[: row + 1]
            appended, full = self._row(segment, reading, row), self._full[write.offset].rows[row]
            self._forced[session].full = int((full != gold).sum()) < int((appended != gold).sum())

    def _close(self, jobs: Sequence[ReplayJob]) -> None:
        super()._close(jobs)
        self._reopen_shadows(jobs)

    def _plan_shadows(self, jobs: Sequence[ReplayJob]) -> list[Any]:
        """Label texts by the shadows of their sessions; returns the computed plans."""
        plans = [self._shadows[job.session].plan_segment(job.write.segment, job.write.text, False) for job in jobs]
        self._labeller.compute(plans)
        return plans

    def _reopen_shadows(self, jobs: Sequence[ReplayJob]) -> None:
        """Give shadows the closed context of their sessions; a text that is computed whole needs no history."""
        for session in (job.session for job in jobs):
            self._shadows[session].free()
            self._shadows[session] = self._labeller.open_session(Never(), (), session.labels.save_context())
