"""Confidence in whole spans, fitted on several sets (`hearken calibrate --spans`), and checked on sets left out.

A tagger is surer of text like its training text than of other text. So each set is a domain: the fit is scaled for
domains that it has not seen (`encoder.train.stages.span_states.fit_confidence`), and what is reported of a set is
what was fitted on all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.checkpoints.calibration import SpanConfidence
from encoder.heads.span_model import SPAN_FEATURES, SpanModel, more_features, span_features, span_types
from encoder.model.config import ConfigError
from encoder.progress import progress_bar
from encoder.tagger import load_single_tagger
from encoder.train.config import TextSource, read_train_config
from encoder.train.stages.span_states import SpanRows, fit_confidence
from stream.evaluation.calibration.reliability import measure_reliability
from stream.evaluation.calibration.span_readings import SegmentReadings, SetReadings, read_set
from stream.evaluation.calibration.stability_replay import StabilityPairs, pool
from stream.revisions.emission import WordSpan

SAY = 2000.0
"""Total weight of the rows of a set: all have the same say, against the penalty of the fit."""
FEWEST_SETS = 2
LIMIT = 700
"""Texts of a set without `--limit`: more bring little, and the readings take most of the time."""


class SpanTask(msgspec.Struct, frozen=True, kw_only=True):
    """Calibration of the confidence in spans of a tagger with one head."""

    tagger: str
    config: Path
    """Training configuration; its `[[dev]]` sets with spans of the tagger are the domains."""
    limit: int = LIMIT
    """Most texts of a set."""
    only: tuple[str, ...] = ()
    """Names of sets; empty: all."""


class SpanReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a calibration found."""

    tagger: str
    sets: "list[SetErrors]"
    confidence: SpanConfidence


class SetErrors(msgspec.Struct, frozen=True, kw_only=True):
    """Expected calibration errors of one set, in percent, with the confidence of all other sets."""

    name: str
    texts: int
    spans: int
    """Spans when they were first found."""
    first: float
    """Of stability when a span is first found."""
    every: float
    """Of stability at every update."""
    finals: int
    """Spans of the close that the set can judge."""
    score: float
    """Of their scores."""
    first_before: float
    every_before: float
    score_before: float
    """The same with the confidence that the tagger had."""


def run_span_calibration(task: SpanTask) -> SpanReport:
    """Fit the confidence in spans on all sets, and measure each with that of the others.

    Raises:
        CheckpointError: the tagger cannot be read, or is not one head.
        ConfigError: the configuration or a set cannot be read, or too few sets are left.
    """
    tagger = load_single_tagger(task.tagger)
    names = tagger.config.labels
    sources = choose_sources(task.config, tagger.heads[0].name, task.only)
    if len(sources) < FEWEST_SETS:
        raise ConfigError(
            f"{task.config} has {len(sources)} [[dev]] set with spans for {tagger.heads[0].name}; at least "
            f"{FEWEST_SETS} are needed, since each is measured with what was fitted on the others"
        )
    with progress_bar() as bar:
        shown = bar.add_task(tagger.name, total=len(sources) + 1)
        sets = []
        for source in sources:
            sets.append(read_set(tagger, source, task.limit))
            bar.advance(shown)
        rows = [collect_rows(found, names, number) for number, found in enumerate(sets)]
        errors = [measure_set(x, model) for x, model in zip(sets, fit_without_each(rows, names), strict=True)]
        bar.advance(shown)
    confidence = SpanConfidence(
        weights=[[round(float(x), 6) for x in row] for row in fit_model(rows, names).weights],
        sets=[x.name for x in sets],
        texts=sum(x.texts for x in errors),
        spans=sum(x.spans for x in errors),
        policy=tagger.default_policy or "",
        number_format=tagger.encoder.number_format,
    )
    return SpanReport(tagger=task.tagger, sets=errors, confidence=confidence)


def choose_sources(config: Path, head: str, only: Sequence[str] = ()) -> list[TextSource]:
    """Choose the `[[dev]]` sets with spans of one tagger.

    Raises:
        ConfigError: the configuration cannot be read, or no set is left.
    """
    dev = read_train_config(config).dev
    named = [x for x in dev if x.tagger in (head, "") and x.spans_known and (not only or x.name() in only)]
    if not named:
        raise ConfigError(f"{config} has no [[dev]] with spans for {head}" + (" of that name" if only else ""))
    return named


@dataclass(frozen=True, slots=True)
class SetRows:
    """Rows of one set, and what they are measured by."""

    stands: SpanRows
    right: SpanRows


def collect_rows(found: SetReadings, names: Sequence[str], number: int) -> SetRows:
    """Collect the rows of a set: of spans that were found at any update whether they stood, and were right.

    Where a span is first found weighs as much as all of its later updates, of which those are rows that are a power of
    two after the first one.

    Args:
        found: its readings.
        names: label names of the tagger.
        number: number of the set.
    """
    types = {name: i for i, name in enumerate(span_types(names))}
    stands, right = _Rows(types, number), _Rows(types, number)
    for segment in found.segments:
        _add_segment(segment, stands, right)
    return SetRows(stands.rows(), right.rows())


class _Rows:
    def __init__(self, types: dict[str, int], number: int) -> None:
        self._types, self._number = types, number
        self._inputs: list[NDArray[np.float32]] = []
        self._weight: list[float] = []
        self._outcome: list[bool] = []

    def add(
        self, span: WordSpan, words: NDArray[np.float32], others: NDArray[np.float32], weight: float, outcome: bool
    ) -> None:
        first, end, name = span
        kinds = np.zeros(2 * len(self._types), np.float32)
        kinds[self._types[name]] = 1
        if end == len(words):
            kinds[len(self._types) + self._types[name]] = 1
        own, more = span_features(words, first, end), more_features(words, others, first, end)
        self._inputs.append(np.concatenate([own, kinds, more]))
        self._weight.append(weight)
        self._outcome.append(outcome)

    def rows(self) -> SpanRows:
        weight = np.array(self._weight, np.float32)
        weight *= np.float32(SAY / max(1e-9, float(weight.sum())))
        width = len(self._inputs[0]) if self._inputs else SPAN_FEATURES
        inputs = np.array(self._inputs, np.float32).reshape(-1, width)
        return SpanRows(inputs, weight, np.array(self._outcome, np.bool_), np.full(len(weight), self._number, np.int64))


def _add_segment(segment: SegmentReadings, stands: _Rows, right: _Rows) -> None:
    final, since = set(segment.close.spans), dict[WordSpan, int]()
    for step, reading in enumerate(segment.readings):
        for span in reading.spans:
            age = step - since.setdefault(span, step)
            if age & (age - 1):
                continue
            weight = 1.0 if not age else 0.25
            stands.add(span, reading.stability, reading.probability, weight, span in final)
            judged = segment.gold.judge(segment.close, span)
            if judged is not None:
                right.add(span, reading.probability, reading.probability, 0.25 * weight, judged)
    for span in segment.close.spans:
        judged = segment.gold.judge(segment.close, span)
        if judged is not None:
            right.add(span, segment.close.probability, segment.close.probability, 1.0, judged)


def fit_model(rows: Sequence[SetRows], names: Sequence[str]) -> SpanModel:
    """Fit both regressions on the rows of several sets."""
    weights = np.stack(
        [fit_confidence(SpanRows.join([getattr(x, part) for x in rows])) for part in ("stands", "right")]
    )
    return SpanModel(weights, {name: i for i, name in enumerate(span_types(names))})


def fit_without_each(rows: Sequence[SetRows], names: Sequence[str]) -> list[SpanModel]:
    """Fit a model for each set on all others."""
    return [fit_model([x for x in rows if x is not own], names) for own in rows]


class SpanPairs(msgspec.Struct, frozen=True):
    """Predictions for the spans of one session."""

    first: StabilityPairs
    every: StabilityPairs
    score: StabilityPairs


def pair_sessions(found: SetReadings, model: SpanModel | None) -> list[SpanPairs]:
    """Predict spans and compare, by session; None: with the model that the readings came with."""
    sessions: dict[int, list[SpanPairs]] = {}
    for segment in found.segments:
        sessions.setdefault(segment.session, []).append(_pair(segment, model))
    return [
        SpanPairs(*(pool([getattr(x, part) for x in parts]) for part in SpanPairs.__struct_fields__))
        for parts in sessions.values()
    ]


def _pair(segment: SegmentReadings, model: SpanModel | None) -> SpanPairs:
    final, known = set(segment.close.spans), set[WordSpan]()
    first, every = [], []
    for reading in segment.readings:
        given = reading if model is None else reading.replace(span_model=model)
        stability = given.confidence(reading.spans)[:, 0]
        stood = np.array([span in final for span in reading.spans], np.bool_)
        new = np.array([span not in known for span in reading.spans], np.bool_)
        every.append(StabilityPairs(stability, stood))
        first.append(StabilityPairs(stability[new], stood[new]))
        known.update(reading.spans)
    given = segment.close if model is None else segment.close.replace(span_model=model.at_close)
    judged = [segment.gold.judge(segment.close, span) for span in segment.close.spans]
    there = np.array([x is not None for x in judged], np.bool_)
    right = np.array([x is True for x in judged], np.bool_)
    scores = given.confidence(segment.close.spans)[:, 1]
    return SpanPairs(pool(first), pool(every), StabilityPairs(scores[there], right[there]))


def measure_set(found: SetReadings, model: SpanModel) -> SetErrors:
    """Measure the errors of one set with a model that was fitted without it, and with the tagger's own."""
    after, before = pair_sessions(found, model), pair_sessions(found, None)

    def error(sessions: Sequence[SpanPairs], part: str) -> float:
        return 100 * measure_reliability([getattr(x, part) for x in sessions]).ece

    return SetErrors(
        name=found.name,
        texts=len(found.segments),
        spans=sum(len(x.first.stood) for x in after),
        first=error(after, "first"),
        every=error(after, "every"),
        finals=sum(len(x.score.stood) for x in after),
        score=error(after, "score"),
        first_before=error(before, "first"),
        every_before=error(before, "every"),
        score_before=error(before, "score"),
    )
