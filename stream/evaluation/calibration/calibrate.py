"""Calibration of a tagger's restart policy: the cheapest certified threshold or price, and scaled stabilities.

Thresholds are tested on the unscaled stability, from the most cautious down, until one cannot be certified
(`stream.evaluation.calibration.risk_control`). Then scale and shift are fitted to the states that the chosen threshold
reaches. Scaling keeps the order of words, and the threshold is scaled with them, so restarts begin at the same words as
before. Therefore both steps can use all of the data, and the guarantee holds. With prices nothing is scaled.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.checkpoints.calibration import Calibration, Certificate
from encoder.progress import progress_bar
from encoder.restart.policies import Always, Price, RestartPolicy, StabilityThreshold
from encoder.tagger import Tagger, load_single_tagger
from stream.evaluation.calibration.reliability import (
    Reliability,
    Scaling,
    fit_scaling,
    measure_reliability,
    scale_across,
)
from stream.evaluation.calibration.risk_control import Counts, certify, judge, units_needed
from stream.evaluation.calibration.stability_replay import SegmentPredictions, StabilityPairs, pool
from stream.evaluation.calibration.trial import PolicyRun, Trial
from stream.evaluation.replay.examples import EvaluationError, LabelledFile, LabelledText
from stream.evaluation.replay.stream_replay import Advance

TAUS = (1.0, 0.9999, 0.999, 0.998, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
"""Thresholds in the order of the tests; it is fixed before any data is seen."""
PRICES = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.15, 0.3)
"""Prices in the order of the tests; price 0 is a full restart on every word, as `always`."""
Unit = Literal["sequence", "document"]
PolicyKind = Literal["price", "stability"]


class CalibrationTask(LabelledFile, frozen=True, kw_only=True):
    """Calibration of a tagger on a file, and its guarantee."""

    tagger: str
    delta: float = 0.01
    epsilon: float = 0.05
    unit: Unit | None = None
    """Independent unit of the data; None: documents if the file names them, else sequences."""
    policy: PolicyKind = "price"
    """Kind of restart policy whose number is chosen."""
    taus: tuple[float, ...] = ()
    """Numbers to test, from the most cautious to the cheapest; empty: `PRICES` or `TAUS`."""


class ThresholdResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one threshold or price."""

    tau: float
    """Threshold of the unscaled stability; or a price."""
    streaming_em: float
    risk: float
    """Streaming EM lost against a full restart on every word; negative: a gain."""
    bound: float
    p_value: float
    certified: bool
    flops_saved: float
    """Against the same; closing restarts are not counted."""
    words_recomputed: float
    """Per word that arrived."""


class CalibrationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report of one calibration."""

    tagger: str
    data: str
    delta: float
    epsilon: float
    unit: Unit
    units: int
    sequences: int
    words: int
    """Words of the file, which are the rows of the charts."""
    always_em: float
    """Streaming EM of a full restart on every word."""
    tried: list[ThresholdResult]
    needed: int | None
    """If nothing was certified: number of units like these that would suffice; None if no number would."""
    chosen: Calibration | None
    reliability: dict[str, Reliability]
    """"words before" and "words after" scaling; "spans" after every update, "spans first" when they are first found,
    "scores" of the final spans against the gold labels; empty if nothing was certified."""

    @property
    def best(self) -> ThresholdResult | None:
        """The chosen threshold."""
        return choose_threshold(self.tried)

    def refusal(self) -> str:
        """Return one line that says why there is no threshold, and what to do."""
        first, name = self.tried[0], f"{self.unit}s"
        have = f"{self.units} {name}" if self.units != 1 else f"1 {self.unit}"
        if self.needed is None:
            remedy = f"no number of {name} like these would do: give a larger --delta"
        else:
            remedy = f"about {self.needed} {name} like these would do: give more data, or a larger --delta or --epsilon"
        if self.unit == "document":
            remedy += "; or --unit sequence, if sequences of these documents are all that is to be promised about"
        return (
            f"refused: on {have}, not even the most cautious setting (tau {first.tau:g}) is known to lose at most "
            f"{self.delta:g} of streaming EM with probability {1 - self.epsilon:g} (it lost {first.risk:.4f}, and may "
            f"lose {first.bound:.4f}); {remedy}"
        )


def run_calibration(task: CalibrationTask) -> CalibrationReport:
    """Find the cheapest threshold that can be certified, and fit scale and shift of the stability.

    No file is written: `report.chosen` can be stored with the checkpoint; it is None if nothing was certified.

    Raises:
        CheckpointError: the tagger cannot be read.
        ConfigError: the file cannot be read.
        EvaluationError: the file has types that the tagger lacks, or a number is out of range.
    """
    _check_task(task)
    tagger = load_single_tagger(task.tagger, calibrated=False)
    trial, unit = _read(task, tagger)
    with progress_bar() as bar:
        words = int(trial.rows.sum())

        def follow(name: str) -> Advance:
            number = bar.add_task(name, total=words)
            return lambda done: bar.advance(number, done)

        reference, runs = _try_thresholds(trial, task, follow)
        tried = [x for x, _ in runs]
        best = choose_threshold(tried)
        outcomes = (
            trial.record_stability(_policy(task, best.tau), follow(f"{task.policy} {best.tau:g}, its stability"))
            if best
            else []
        )
    lost = trial.sum_by_unit(reference.right - runs[0][1].right)
    scaling = fit_scaling(pool([x.words for x in outcomes]))
    chosen = _make_calibration(task, trial, unit, best, scaling) if best else None
    return CalibrationReport(
        tagger=task.tagger,
        data=short_name(task.data),
        delta=task.delta,
        epsilon=task.epsilon,
        unit=unit,
        units=len(trial.rows),
        sequences=len(trial.examples),
        words=words,
        always_em=float(reference.right.sum() / words),
        tried=tried,
        needed=None if best else units_needed(lost, trial.rows, task.delta, task.epsilon),
        chosen=chosen,
        reliability=_measure_reliability(outcomes) if best else {},
    )


def count_unit_rows(task: CalibrationTask) -> Counts:
    """Return the rows of each unit of the data, (units,): they bound what can be guaranteed.

    Raises:
        CheckpointError, ConfigError, EvaluationError: as `run_calibration`.
    """
    return _read(task, load_single_tagger(task.tagger, calibrated=False))[0].rows


def choose_threshold(tried: Sequence[ThresholdResult]) -> ThresholdResult | None:
    """Return the cheapest certified threshold; the last one of those that cost the same."""
    certified = [x for x in reversed(tried) if x.certified]
    return max(certified, key=lambda x: x.flops_saved, default=None)


def _check_task(task: CalibrationTask) -> None:
    for name, value in (("delta", task.delta), ("epsilon", task.epsilon)):
        if not 0 < value < 1:
            raise EvaluationError(f"--{name} must be between 0 and 1, not {value:g}")
    falls = task.policy == "stability"
    if list(task.taus) != sorted(set(task.taus), reverse=falls):
        way = "thresholds must fall" if falls else "prices must rise"
        raise EvaluationError(f"--tau: {way}, from the most cautious to the cheapest")
    if falls and not all(0 <= tau <= 1 for tau in task.taus):
        raise EvaluationError("--tau: a threshold is a probability, from 0 to 1")
    if not all(tau >= 0 for tau in task.taus):
        raise EvaluationError("--tau: a price is at least 0")


def _policy(task: CalibrationTask, tau: float) -> RestartPolicy:
    return StabilityThreshold(tau) if task.policy == "stability" else Price(tau)


def _read(task: CalibrationTask, tagger: Tagger) -> tuple[Trial, Unit]:
    examples = task.read_examples(tagger.config.labels)
    numbers, unit = number_units(examples, task.data, task.unit)
    return Trial(tagger, examples, numbers), unit


def number_units(examples: Sequence[LabelledText], data: Path, unit: Unit | None) -> tuple[NDArray[np.int64], Unit]:
    """Return (examples,) the number of each example's independent unit, and the kind of unit (`CalibrationTask.unit`).

    Raises:
        EvaluationError: documents are asked for, and the file names none.
    """
    documents = [example.document if data.suffix == ".conll" else "" for example in examples]
    unit = unit or ("document" if any(documents) else "sequence")
    if unit == "document" and not any(documents):
        raise EvaluationError(f"{data} names no documents (lines like `# doc = name`): use --unit sequence")
    # an example without a document, or without a session, is a unit of its own
    names = documents if unit == "document" else [example.session for example in examples]
    keys = [name or i for i, name in enumerate(names)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys]), unit


def _try_thresholds(
    trial: Trial, task: CalibrationTask, follow: Callable[[str], Advance]
) -> tuple[PolicyRun, list[tuple[ThresholdResult, PolicyRun]]]:
    """Run the reference, then the thresholds in order, up to the first that cannot be certified."""
    reference = trial.run_policy(Always(), follow("always"))
    rows, runs = trial.rows, []

    def test() -> Iterator[float]:
        for tau in task.taus or (TAUS if task.policy == "stability" else PRICES):
            run = trial.run_policy(_policy(task, tau), follow(f"{task.policy} {tau:g}"))
            verdict = judge(trial.sum_by_unit(reference.right - run.right), rows, task.delta, task.epsilon)
            tried = ThresholdResult(
                tau=tau,
                streaming_em=float(run.right.sum() / rows.sum()),
                risk=float((reference.right - run.right).sum() / rows.sum()),
                bound=verdict.bound,
                p_value=verdict.p_value,
                certified=False,
                flops_saved=1 - run.flops / reference.flops,
                words_recomputed=run.computed / max(1, reference.arrived),
            )
            runs.append((tried, run))
            yield verdict.p_value

    certified = len(list(certify(test(), task.epsilon)))
    return reference, [
        (msgspec.structs.replace(tried, certified=i < certified), run) for i, (tried, run) in enumerate(runs)
    ]


def _make_calibration(
    task: CalibrationTask, trial: Trial, unit: Unit, best: ThresholdResult, scaling: Scaling
) -> Calibration:
    options = {"limit": task.limit, "rename": task.rename, "spoken": task.spoken, "join": task.join}
    certificate = Certificate(
        delta=task.delta,
        epsilon=task.epsilon,
        risk=best.risk,
        bound=best.bound,
        p_value=best.p_value,
        streaming_em=best.streaming_em,
        flops_saved=best.flops_saved,
        data=short_name(task.data),
        data_digest=blake2b(task.data.read_bytes(), digest_size=16).hexdigest(),
        unit=unit,
        units=len(trial.rows),
        sequences=len(trial.examples),
        words=int(trial.rows.sum()),
        options=" ".join(f"{name}={value}" for name, value in options.items() if value),
        number_format=trial.tagger.encoder.number_format,
    )
    if task.policy == "price":  # a price depends on the stabilities themselves: they are not scaled
        return Calibration(policy="price", tau=best.tau, scale=1.0, shift=0.0, certificate=certificate)
    scaled = scaling.apply(np.array([best.tau], np.float32))[0]
    tau = float(str(scaled)) if best.tau < 1 else 1.0  # the digits that a float32 has
    return Calibration(tau=tau, scale=scaling.scale, shift=scaling.shift, certificate=certificate)


def _measure_reliability(outcomes: Sequence[SegmentPredictions]) -> dict[str, Reliability]:
    """Measure reliability; the scales of "words after" are fitted to the words of the other half of the units."""
    words = [x.words for x in outcomes]
    found: dict[str, Sequence[StabilityPairs]] = {
        "words before": words,
        "words after": scale_across(words, words),
        "spans": [x.spans for x in outcomes],
        "spans first": [x.first for x in outcomes],
        "scores": [x.scores for x in outcomes],
    }
    return {name: measure_reliability(units) for name, units in found.items()}


def short_name(path: Path) -> str:
    """Return folder and name of a file, which reports and calibrations name it by."""
    return "/".join(path.resolve().parts[-2:])
