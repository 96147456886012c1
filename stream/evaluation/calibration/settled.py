"""Thresholds of settled text: the lowest ones whose risk is controlled (docs/redaction.md).

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster 2022). There is one threshold for words without a
label, and one for words with a label. The loss of a unit (a session, or a document) is a share of its labelled
characters (`stream.revisions.settled_watch`): for the first one of those that were settled without their label, for the
second one of those whose shown label was taken back or exchanged. Each is measured while the other threshold is 0, so
that as much text settles as can, and each is in [0, 1] and falls as its threshold rises. With n units that are
exchangeable with those to come, the expected loss of the next one is at most alpha at

    inf {threshold: n / (n + 1) * mean loss + 1 / (n + 1) <= alpha}.

Both have half of the risk, so that the sum of both losses is within it.

Text needs no gold labels: it is replayed as live text, and the same readings are shown under every threshold, as an
engine would. Holding back what settled text forbids can make a loss rise a little where it should fall, so the largest
loss at any higher threshold counts. Units without a labelled character are none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from stream.revisions.settled import SettledRule, TextSpan
from stream.revisions.settled_watch import SettledOutcome, compare_settled
from stream.revisions.whole_words import fit_to_words

THRESHOLDS = (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)
"""Thresholds that are tried; nothing settles before the close at the last one of words without a label."""
PLAIN = tuple(SettledRule(x, labelled=0.0) for x in THRESHOLDS)
LABELLED = tuple(SettledRule(0.0, labelled=x) for x in THRESHOLDS)
LEVEL: Level = "medium"
"""Emission level of the replay: that of a service by default."""


MISSED, WITHDRAWN = [SettledOutcome._fields.index("missed")], [SettledOutcome._fields.index("withdrawn")]
BROKEN = [*MISSED, *WITHDRAWN]


class SettledTask(UnitTask, frozen=True, kw_only=True):
    """Calibration of a tagger's settled text."""

    alpha: float = 0.01


class ThresholdLoss(msgspec.Struct, frozen=True, kw_only=True):
    """What one threshold of one kind of words gives."""

    risk: float
    """Mean loss of a unit."""
    bound: float
    """Expected loss of the next unit, at most."""
    delay: float
    """Mean number of words behind the newest one at which a word was settled, if only words of this kind were held."""


class SettledRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one threshold gives."""

    threshold: float
    plain: ThresholdLoss
    """For words without a label: characters that got a label later."""
    labelled: ThresholdLoss
    """For words with a label: characters that lost it, or got another one."""


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
        needed = int(np.ceil(2 / self.alpha)) - 1
        return (
            f"refused: {self.units} {self.unit}s with labels say nothing of a risk of {self.alpha:g}; "
            f"at least {needed} are needed: give more data, or a larger --settled-risk"
        )


class UnitLosses:
    """Outcomes of one unit under every rule.

    Args:
        rules: their number.
    """

    def __init__(self, rules: int) -> None:
        self.labels: dict[str, NDArray[np.int64]] = {}
        """By label, "" for any: (rules, 3) the characters of `SettledOutcome`."""
        self.delays: list[list[NDArray[np.int64]]] = [[] for _ in range(rules)]
        """For each rule (words,) of each closed segment."""

    def add(self, label: str, numbers: Sequence[int], outcome: SettledOutcome) -> None:
        """Add characters of one segment under the rules of these numbers."""
        self.labels.setdefault(label, np.zeros((len(self.delays), 3), np.int64))[numbers] += outcome

    def merge(self, more: "UnitLosses") -> None:
        """Add another part of the unit."""
        for label, counts in more.labels.items():
            self.labels[label] = self.labels.get(label, 0) + counts
        for delays, found in zip(self.delays, more.delays, strict=True):
            delays += found


@dataclass(slots=True)
class _Readers:
    """Readers of one segment who see the same under several rules."""

    shown: ShownSegment
    numbers: list[int]
    """Of the rules."""

    def part(self, offsets: Sequence[int]) -> "Iterator[_Readers]":
        """Yield the readers by what is settled for them; `offsets` are those of the rules in order."""
        by_offset: dict[int, list[int]] = {}
        for number, offset in zip(self.numbers, offsets, strict=True):
            by_offset.setdefault(offset, []).append(number)
        for offset, numbers in by_offset.items():
            yield _Readers(replace(self.shown, settled=offset), numbers)


class SettledReplay(StreamReplay):
    """Replay that follows the settled text of open segments under each rule, as an engine would find it.

    Args: as for `StreamReplay`, and the rules.
    """

    def __init__(
        self, labeller: Labeller[Any], policy: RestartPolicy, stream: UpdateStream, rules: Sequence[SettledRule]
    ) -> None:
        super().__init__(labeller, policy, stream)
        self.outcomes: dict[str, UnitLosses] = {}
        """By session."""
        self._rules = rules
        self._shown: dict[tuple[str, str], list[_Readers]] = {}
        """Open segments by session and name."""
        self._history: dict[tuple[str, str], list[list[int]]] = {}
        """Of each after each update the number of words, then the offset of each rule."""

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
        readers = self._shown.pop(key, None) or [_Readers(ShownSegment(LEVELS[LEVEL]), [*range(len(self._rules))])]
        fitted = fit_to_words(write.text, reading)
        unit = self.outcomes.setdefault(write.session, UnitLosses(len(self._rules)))
        offsets = [len(write.text)] * len(self._rules)
        after: dict[tuple[int, tuple[TextSpan, ...]], _Readers] = {}
        for x in readers:
            before = x.shown.text_spans
            x.shown.update(write.text, fitted, final=closing)
            if closing:
                now, kept = x.shown.text_spans, x.shown.kept
                for label in ("", *dict.fromkeys(y[2] for y in (*before, *now))):
                    old, new = ([y for y in spans if label in ("", y[2])] for spans in (before, now))
                    unit.add(label, x.numbers, compare_settled(old, new, kept))
                continue
            for part in x.part(x.shown.settle([self._rules[number] for number in x.numbers])):
                same = after.setdefault((part.shown.settled, tuple(part.shown.text_spans)), part)
                if same is not part:
                    same.numbers += part.numbers
                for number in part.numbers:
                    offsets[number] = part.shown.settled
        history = self._history.setdefault(key, [])
        history.append([len(word_extents(write.text)), *offsets])
        if closing:
            for delays, late in zip(unit.delays, _delays(write.text, np.array(history, np.int64)), strict=True):
                delays.append(late)
            del self._history[key]
        else:
            self._shown[key] = [*after.values()]


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
        follow = bar.add_task(f"{tagger.heads[0].name} {policy}", total=2 * count or None)
        advance = partial(bar.advance, follow)
        units, kind = measure_losses(task, tagger, policy, (*PLAIN, *LABELLED), advance)
        rows, chosen = _rows(units), None
        best = [choose_threshold_number(x, task.alpha / 2) for x in _both_losses(units)]
        if None not in best:
            threshold, labelled = (THRESHOLDS[number or 0] for number in best)
            held, _ = measure_losses(task, tagger, policy, [SettledRule(threshold, labelled=labelled)], advance)
            chosen = _settled_threshold(task, tagger, policy, kind, units, held, (threshold, labelled))
    return SettledReport(
        tagger=task.tagger,
        alpha=task.alpha,
        data=short_name(task.data),
        unit=kind,
        units=len(unit_losses(units, "", MISSED)),
        policy=policy,
        rows=rows,
        chosen=chosen,
    )


def measure_losses(
    task: SettledTask, tagger: Tagger, policy: str, rules: Sequence[SettledRule], advance: Advance = ignore_progress
) -> tuple[list[UnitLosses], str]:
    """Replay the text of a task; returns the outcomes of each unit under each rule, and the kind of unit."""
    labeller, restarts = HybridLabeller(tagger), parse_policy(policy)
    found, kind = collect_units(
        task, tagger.config.labels, lambda stream: SettledReplay(labeller, restarts, stream, rules), advance
    )
    units = []
    for sessions in found:
        units.append(UnitLosses(len(rules)))
        for session in sessions:
            units[-1].merge(session)
    return units, kind


def unit_losses(units: Sequence[UnitLosses], label: str, outcomes: Sequence[int]) -> NDArray[np.float64]:
    """Return (units with such characters, rules) the losses of a label, which fall from rule to rule.

    Args:
        units: outcomes of each.
        label: "" for any.
        outcomes: fields of `SettledOutcome` that are lost.
    """
    counts = [unit.labels[label] for unit in units if label in unit.labels and unit.labels[label][:, 0].any()]
    if not counts:
        return np.zeros((0, len(units[0].delays) if units else 0))
    found = np.array(counts, np.float64)
    losses = found[:, :, outcomes].sum(axis=2) / np.maximum(found[:, :, 0], 1)
    rising: NDArray[np.float64] = np.maximum.accumulate(losses[:, ::-1], axis=1)[:, ::-1]
    return rising


def _both_losses(units: Sequence[UnitLosses], label: str = "") -> list[NDArray[np.float64]]:
    """Return (units, thresholds) the losses of words without and of words with a label."""
    n = len(THRESHOLDS)
    parts = [slice(n), slice(n, None)]
    found = []
    for part, outcome in zip(parts, (MISSED, WITHDRAWN), strict=True):
        own = []
        for unit in units:
            own.append(UnitLosses(n))
            own[-1].labels = {name: counts[part] for name, counts in unit.labels.items()}
        found.append(unit_losses(own, label, outcome))
    return found


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


def _rows(units: Sequence[UnitLosses]) -> list[SettledRow]:
    both = [
        [
            ThresholdLoss(risk=float(risk), bound=float(bound), delay=mean_delay(units, first + i)[0])
            for i, (risk, bound) in enumerate(zip(_mean(losses), bound_risk(losses), strict=True))
        ]
        for first, losses in zip((0, len(THRESHOLDS)), _both_losses(units), strict=True)
    ]
    return [
        SettledRow(threshold=threshold, plain=plain, labelled=labelled)
        for threshold, plain, labelled in zip(THRESHOLDS, *both, strict=True)
    ]


def _mean(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    return losses.mean(axis=0) if len(losses) else np.zeros(losses.shape[1])


def mean_delay(units: Sequence[UnitLosses], number: int) -> tuple[float, float]:
    """Return the mean and the 95th percentile of the words behind the newest one under a rule."""
    delays = np.concatenate([np.zeros(0, np.int64), *(x for unit in units for x in unit.delays[number])])
    return (float(delays.mean()), float(np.percentile(delays, 95))) if len(delays) else (0.0, 0.0)


def _settled_threshold(
    task: SettledTask,
    tagger: Tagger,
    policy: str,
    kind: str,
    units: Sequence[UnitLosses],
    held: Sequence[UnitLosses],
    chosen: tuple[float, float],
) -> SettledThreshold:
    """Describe the chosen thresholds; `held` has the outcomes under both of them."""
    emission, losses = LEVELS[LEVEL], unit_losses(held, "", BROKEN)
    delay, delay_p95 = mean_delay(held, 0)
    return SettledThreshold(
        threshold=chosen[0],
        labelled=chosen[1],
        alpha=task.alpha,
        risk=float(_mean(losses)[0]),
        delay=delay,
        delay_p95=delay_p95,
        labels={
            label: risk
            for label in sorted({name[2:] for name in tagger.config.labels if name != "O"})
            if (risk := _label_risk(units, held, label, task.alpha))
        },
        policy=policy,
        show=emission.show,
        change=emission.change,
        wait=emission.wait,
        unit=kind,
        units=len(losses),
        **task.provenance(tagger),
    )


def _label_risk(units: Sequence[UnitLosses], held: Sequence[UnitLosses], label: str, alpha: float) -> LabelRisk | None:
    """Return what is known of one label; None if it has too few units for a threshold of its own."""
    plain, _ = _both_losses(units, label)
    own = choose_threshold_number(plain, alpha / 2)
    if own is None:
        return None
    risk = float(_mean(unit_losses(held, label, BROKEN))[0])
    return LabelRisk(threshold=THRESHOLDS[own], risk=risk, sessions=len(plain))
