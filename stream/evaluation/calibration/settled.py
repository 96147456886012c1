"""Threshold of settled text: the lowest one whose risk is controlled (docs/redaction.md).

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster 2022). The loss of a unit (a session, or a
document) at a threshold is the share of its labelled characters of which the promise was broken
(`stream.revisions.settled_watch`): it is in [0, 1] and falls as the threshold rises. With n units that are exchangeable
with those to come, the expected loss of the next one is at most alpha at

    inf {threshold: n / (n + 1) * mean loss + 1 / (n + 1) <= alpha}.

Text needs no gold labels: it is replayed as live text, and the same readings are shown under every threshold, as an
engine would. Holding back what settled text forbids can make a loss rise a little where it should fall, so the largest
loss at any higher threshold counts. Units without a labelled character are none.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.checkpoints.calibration import LabelRisk, SettledThreshold
from encoder.progress import progress_bar
from encoder.restart.policies import RestartPolicy, parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger
from stream.evaluation.calibration.calibrate import short_name
from stream.evaluation.calibration.unit_replay import UnitTask, collect_units
from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.replay.shown_spans import ShownSegment
from stream.evaluation.replay.stream_replay import Advance, ReplayJob, StreamReplay, ignore_progress
from stream.evaluation.replay.update_stream import UpdateStream
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.labeller import Labeller, Labelling
from stream.messages.word_times import word_extents
from stream.revisions.emission import LEVELS, Level
from stream.revisions.settled import SettledRule
from stream.revisions.settled_watch import compare_settled
from stream.revisions.whole_words import fit_to_words

THRESHOLDS = (
    0.5,
    0.6,
    0.7,
    0.8,
    0.85,
    0.9,
    0.93,
    0.95,
    0.97,
    0.98,
    0.985,
    0.99,
    0.993,
    0.995,
    0.998,
    0.999,
    0.9995,
    1.0,
)
"""Thresholds that are tried; nothing settles before the close at the last one."""
LEVEL: Level = "medium"
"""Emission level of the replay: that of a service by default."""


class SettledTask(UnitTask, frozen=True, kw_only=True):
    """Calibration of a tagger's settled text."""

    alpha: float = 0.01


class SettledRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one threshold gives."""

    threshold: float
    risk: float
    """Mean loss of a unit."""
    bound: float
    """Expected loss of the next unit, at most."""
    characters: float
    """Share of all labelled characters of which the promise was broken."""
    delay: float
    """Mean number of words behind the newest one at which a word was settled."""
    delay_p95: float


class SettledReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report of one calibration of settled text."""

    tagger: str
    alpha: float
    data: str
    unit: str
    units: int
    """Units with a labelled character."""
    policy: str
    rows: list[SettledRow]
    chosen: SettledThreshold | None

    def refusal(self) -> str:
        """Return one line that says why there is no threshold, and what to do."""
        needed = int(np.ceil(1 / self.alpha)) - 1
        return (
            f"refused: {self.units} {self.unit}s with labels say nothing of a risk of {self.alpha:g}; "
            f"at least {needed} are needed: give more data, or a larger --settled-risk"
        )


class UnitLosses:
    """Outcomes of one unit at every threshold."""

    def __init__(self) -> None:
        self.labels: dict[str, NDArray[np.int64]] = {}
        """By label, "" for any: (thresholds, 2) labelled and broken characters."""
        self.delays: list[list[NDArray[np.int64]]] = [[] for _ in THRESHOLDS]
        """For each threshold (words,) of each closed segment."""

    def add(self, label: str, number: int, labelled: int, broken: int) -> None:
        """Add characters of one segment at threshold `number`."""
        self.labels.setdefault(label, np.zeros((len(THRESHOLDS), 2), np.int64))[number] += labelled, broken


class SettledReplay(StreamReplay):
    """Replay that follows the settled text of open segments under each threshold, as an engine would find it."""

    def __init__(self, labeller: Labeller[Any], policy: RestartPolicy, stream: UpdateStream) -> None:
        super().__init__(labeller, policy, stream)
        self.outcomes: dict[str, UnitLosses] = {}
        """By session."""
        self._shown: dict[tuple[str, str], list[ShownSegment]] = {}
        """Open segments by session and name."""
        self._history: dict[tuple[str, str], list[list[int]]] = {}
        """Of each after each update the number of words, then the offset of each threshold."""

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
        make = partial(ShownSegment, LEVELS[LEVEL])
        shown = self._shown.setdefault(key, [make(rule=SettledRule(threshold)) for threshold in THRESHOLDS])
        fitted = fit_to_words(write.text, reading)
        unit = self.outcomes.setdefault(write.session, UnitLosses())
        for number, segment in enumerate(shown):
            before = segment.text_spans
            segment.update(write.text, fitted, final=closing)
            if closing:
                after = segment.text_spans
                for label in ("", *dict.fromkeys(x[2] for x in (*before, *after))):
                    found = compare_settled(
                        [x for x in before if label in ("", x[2])],
                        [x for x in after if label in ("", x[2])],
                        segment.kept,
                    )
                    unit.add(label, number, found.labelled, found.broken)
        history = self._history.setdefault(key, [])
        history.append([len(word_extents(write.text)), *(x.settled for x in shown)])
        if closing:
            for delays, late in zip(unit.delays, _delays(write.text, np.array(history, np.int64)), strict=True):
                delays.append(late)
            del self._shown[key], self._history[key]


def _delays(text: str, history: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return for each threshold how many words were newer when each word of the final text was settled, (words,)."""
    ends = np.array([end for _, end in word_extents(text)], np.int64)
    words = np.arange(len(ends))
    found = []
    for offsets in history[:, 1:].T:
        row = np.searchsorted(np.maximum.accumulate(offsets), ends)
        found.append(np.maximum(history[row, 0] - 1 - words, 0))
    return found


def run_settled(task: SettledTask) -> SettledReport:
    """Find the lowest threshold of settled text whose risk is at most alpha; no file is written.

    Raises:
        CheckpointError: the tagger cannot be read.
        ConfigError: the file cannot be read.
        EvaluationError: a number is out of range, or the file lacks the units that were asked for.
    """
    if not 0 < task.alpha < 1:
        raise EvaluationError(f"--settled-risk must be between 0 and 1, not {task.alpha:g}")
    tagger = load_single_tagger(task.tagger)
    policy = resolve_policy("default", tagger.default_policy)
    with progress_bar() as bar:
        count = len(task.messages or ())
        follow = bar.add_task(f"{tagger.heads[0].name} {policy}", total=count or None)
        units, kind = measure_losses(task, tagger, policy, partial(bar.advance, follow))
    losses = unit_losses(units, "")
    rows = [_row(units, losses, number, task.alpha) for number in range(len(THRESHOLDS))]
    best = choose_threshold_number(losses, task.alpha)
    return SettledReport(
        tagger=task.tagger,
        alpha=task.alpha,
        data=short_name(task.data),
        unit=kind,
        units=len(losses),
        policy=policy,
        rows=rows,
        chosen=None if best is None else _settled_threshold(task, tagger, policy, kind, units, rows[best]),
    )


def measure_losses(
    task: SettledTask, tagger: Tagger, policy: str, advance: Advance = ignore_progress
) -> tuple[list[UnitLosses], str]:
    """Replay the text of a task; returns the outcomes of each unit, and the kind of unit."""
    labeller, rule = HybridLabeller(tagger), parse_policy(policy)
    found, kind = collect_units(
        task, tagger.config.labels, lambda stream: SettledReplay(labeller, rule, stream), advance
    )
    return [_merge_losses(sessions) for sessions in found], kind


def _merge_losses(sessions: Sequence[UnitLosses]) -> UnitLosses:
    unit = UnitLosses()
    for more in sessions:
        for label, counts in more.labels.items():
            unit.labels[label] = unit.labels.get(label, 0) + counts
        for delays, found in zip(unit.delays, more.delays, strict=True):
            delays += found
    return unit


def unit_losses(units: Sequence[UnitLosses], label: str) -> NDArray[np.float64]:
    """Return (units with such characters, thresholds) the losses of a label, which fall as thresholds rise."""
    counts = [unit.labels[label] for unit in units if label in unit.labels and unit.labels[label][:, 0].any()]
    if not counts:
        return np.zeros((0, len(THRESHOLDS)))
    labelled, broken = np.moveaxis(np.array(counts, np.float64), 2, 0)
    losses = broken / np.maximum(labelled, 1)
    rising: NDArray[np.float64] = np.maximum.accumulate(losses[:, ::-1], axis=1)[:, ::-1]
    return rising


def choose_threshold_number(losses: NDArray[np.float64], alpha: float) -> int | None:
    """Return the number of the lowest threshold whose risk is controlled; None if there are too few units.

    Args:
        losses: (units, thresholds) in [0, 1].
        alpha: the largest expected loss of the next unit.
    """
    held = np.flatnonzero(bound_risk(losses) <= alpha)
    return int(held[0]) if len(held) else None


def bound_risk(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (thresholds,) n / (n + 1) * mean loss + 1 / (n + 1) for losses (units, thresholds)."""
    bounds: NDArray[np.float64] = (losses.sum(axis=0) + 1) / (len(losses) + 1)
    return bounds


def _row(units: Sequence[UnitLosses], losses: NDArray[np.float64], number: int, alpha: float) -> SettledRow:
    delays = np.concatenate([np.zeros(0, np.int64), *(x for unit in units for x in unit.delays[number])])
    counts = np.sum([[0, 0], *(unit.labels[""][number] for unit in units if "" in unit.labels)], axis=0)
    return SettledRow(
        threshold=THRESHOLDS[number],
        risk=float(losses[:, number].mean()) if len(losses) else 0.0,
        bound=float(bound_risk(losses)[number]),
        characters=float(counts[1] / max(1, counts[0])),
        delay=float(delays.mean()) if len(delays) else 0.0,
        delay_p95=float(np.percentile(delays, 95)) if len(delays) else 0.0,
    )


def _settled_threshold(
    task: SettledTask, tagger: Tagger, policy: str, kind: str, units: Sequence[UnitLosses], row: SettledRow
) -> SettledThreshold:
    emission = LEVELS[LEVEL]
    return SettledThreshold(
        threshold=row.threshold,
        alpha=task.alpha,
        risk=row.risk,
        delay=row.delay,
        delay_p95=row.delay_p95,
        labels={
            label: risk
            for label in sorted({name[2:] for name in tagger.config.labels if name != "O"})
            if (risk := _label_risk(unit_losses(units, label), row.threshold, task.alpha))
        },
        policy=policy,
        show=emission.show,
        change=emission.change,
        unit=kind,
        units=len(unit_losses(units, "")),
        **task.provenance(tagger),
    )


def _label_risk(losses: NDArray[np.float64], threshold: float, alpha: float) -> LabelRisk | None:
    """Return what is known of one label; None if it has too few units for a threshold of its own."""
    own = choose_threshold_number(losses, alpha)
    if own is None:
        return None
    risk = float(losses[:, THRESHOLDS.index(threshold)].mean())
    return LabelRisk(threshold=THRESHOLDS[own], risk=risk, sessions=len(losses))
