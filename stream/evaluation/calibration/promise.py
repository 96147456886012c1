"""Promises of a tagger: of its published spans, by label and emission level, how many the model takes back at most.

Text needs no gold labels: it is replayed as live text, and the spans that readers are shown at each level are followed
to their fates (`stream.revisions.span_fates`). The loss of a unit (a session, or a document) is the share of its spans
that were taken back. docs/promise.md derives the bounds.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from encoder.checkpoints.calibration import LabelPromise, LevelPromise, Promise
from encoder.progress import progress_bar
from encoder.restart.policies import RestartPolicy, parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger
from stream.evaluation.calibration.promise_bound import bound_mean
from stream.evaluation.calibration.unit_replay import UnitTask, collect_units
from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.replay.shown_spans import ShownSegment
from stream.evaluation.replay.stream_replay import Advance, ReplayJob, StreamReplay, ignore_progress
from stream.evaluation.replay.update_stream import UpdateStream
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.labeller import Labeller, Labelling
from stream.revisions.emission import LEVELS, Emission, Level
from stream.revisions.span_fates import find_fates
from stream.revisions.whole_words import fit_to_words

MOST_ALPHA = 0.5
"""Bounds that are not below it promise nothing, and are not stored."""

UnitFates = dict[tuple[str, str], tuple[int, int]]
"""Of one unit, by level and label: published spans that the model took back, and all whose fate became known."""


class PromiseTask(UnitTask, frozen=True, kw_only=True):
    """Calibration of a tagger's promises."""

    epsilon: float = 0.05


class PromiseRow(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the published spans of one label at one level."""

    level: str
    label: str
    units: int
    """Units that published such spans."""
    spans: int
    taken_back: int
    share: float
    """Mean of the units' shares; 0 without units."""
    bound: float
    """It is at most this; 1 if nothing is known."""


class PromiseReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report of one calibration of promises."""

    tagger: str
    rows: list[PromiseRow]
    promise: Promise


class FateReplay(StreamReplay):
    """Replay that follows the spans which readers are shown under each level, as an engine would show them.

    Args: as for `StreamReplay`, and the levels by name.
    """

    def __init__(
        self, labeller: Labeller[Any], policy: RestartPolicy, stream: UpdateStream, emissions: Mapping[Level, Emission]
    ) -> None:
        super().__init__(labeller, policy, stream)
        self.outcomes: dict[str, UnitFates] = {}
        """By session."""
        self._emissions = emissions
        self._shown: dict[tuple[str, str], dict[Level, ShownSegment]] = {}
        """Open segments by session and name."""

    def _compute(self, jobs: Sequence[ReplayJob], *, closing: bool) -> tuple[list[Labelling], int]:
        readings, flops = super()._compute(jobs, closing=closing)
        for job, reading in zip(jobs, readings, strict=True):
            # an engine labels and closes a final text in one step, so readers see nothing in between
            if not job.segment.closed and (closing or not job.write.final):
                self._show(job, reading, closing)
        return readings, flops

    def _show(self, job: ReplayJob, reading: Labelling, closing: bool) -> None:
        write = job.write
        key = write.session, write.segment
        shown = self._shown.setdefault(key, {name: ShownSegment(x) for name, x in self._emissions.items()})
        unit = self.outcomes.setdefault(write.session, {})
        fitted = fit_to_words(write.text, reading)
        for level, segment in shown.items():
            fates = find_fates(segment.update(write.text, fitted, final=closing), closing)
            for labels, lost in ((fates.taken_back, 1), (fates.stood, 0)):
                for label in labels:
                    before = unit.get((level, label), (0, 0))
                    unit[level, label] = before[0] + lost, before[1] + 1
        if closing:
            del self._shown[key]


def run_promise(task: PromiseTask) -> PromiseReport:
    """Bound the share of published spans that the model takes back; no file is written.

    Raises:
        CheckpointError: the tagger cannot be read.
        ConfigError: the file cannot be read.
        EvaluationError: a number is out of range, or the file lacks the units that were asked for.
    """
    if not 0 < task.epsilon < 1:
        raise EvaluationError(f"--epsilon must be between 0 and 1, not {task.epsilon:g}")
    tagger = load_single_tagger(task.tagger)
    policy = resolve_policy("default", tagger.default_policy)
    with progress_bar() as bar:
        count = len(task.messages or ())
        follow = bar.add_task(f"{tagger.heads[0].name} {policy}", total=count or None)
        units, kind = measure_fates(task, tagger, policy, partial(bar.advance, follow))
    labels = sorted({name[2:] for name in tagger.config.labels if name != "O"})
    rows = [
        bound_share(units, level, label, task.epsilon / len(labels) / len(LEVELS))
        for level in LEVELS
        for label in labels
    ]
    return PromiseReport(
        tagger=task.tagger,
        rows=rows,
        promise=Promise(
            epsilon=task.epsilon,
            policy=policy,
            unit=kind,
            units=len(units),
            levels={name: _promise_level(name, emission, rows) for name, emission in LEVELS.items()},
            **task.provenance(tagger),
        ),
    )


def measure_fates(
    task: PromiseTask, tagger: Tagger, policy: str, advance: Advance = ignore_progress
) -> tuple[list[UnitFates], str]:
    """Replay the text of a task; returns what became of the spans of each unit, and the kind of unit."""
    labeller, rule = HybridLabeller(tagger), parse_policy(policy)
    found, kind = collect_units(
        task, tagger.config.labels, lambda stream: FateReplay(labeller, rule, stream, LEVELS), advance
    )
    return [_merge_fates(sessions) for sessions in found], kind


def _merge_fates(sessions: Sequence[UnitFates]) -> UnitFates:
    unit: UnitFates = {}
    for fates in sessions:
        for key, (lost, known) in fates.items():
            before = unit.get(key, (0, 0))
            unit[key] = before[0] + lost, before[1] + known
    return unit


def bound_share(units: Sequence[UnitFates], level: str, label: str, epsilon: float) -> PromiseRow:
    """Bound the mean share of one label at one level; it exceeds the bound with a probability of at most epsilon."""
    found = [unit[level, label] for unit in units if (level, label) in unit]
    lost, known = (np.array(x, np.float64) for x in (zip(*found, strict=True) if found else ([], [])))
    shares = lost / known
    return PromiseRow(
        level=level,
        label=label,
        units=len(found),
        spans=int(known.sum()),
        taken_back=int(lost.sum()),
        share=float(shares.mean()) if found else 0.0,
        bound=bound_mean(shares, epsilon),
    )


def _promise_level(level: str, emission: Emission, rows: Sequence[PromiseRow]) -> LevelPromise:
    return LevelPromise(
        show=emission.show,
        change=emission.change,
        wait=emission.wait,
        labels={
            x.label: LabelPromise(
                alpha=x.bound, share=x.share, sessions=x.units, spans=x.spans, taken_back=x.taken_back
            )
            for x in rows
            if x.level == level and x.bound < MOST_ALPHA
        },
    )
