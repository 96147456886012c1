"""Report of an evaluation: results, and mean and spread over several seeds of one recipe.

The names are those of the JSON that `hearken evaluate` writes; plots and tables are made from it.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import NamedTuple

import msgspec

from stream.evaluation.metrics.corpus_metrics import Metrics


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Agreement of final labels with those of the same tagger under `always` (streams have no gold labels)."""

    words: float
    """Share of the words with the same label."""
    segments: float
    """Share of the segments with the same labels throughout."""
    f1: float
    """F1 of the spans, in strict IOB2."""


class PolicyResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one tagger under one policy."""

    tagger: str
    policy: str
    closing: bool
    """Whether a closing restart after the last word replaces the labels of the last row."""
    metrics: Metrics
    emission: str = ""
    """Emission level; empty: the labels that were found are measured."""
    agreement: Agreement | None = None


class SeedSpread(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over several seeds."""

    mean: float
    low: float
    high: float
    sd: float | None
    """Sample standard deviation (n - 1); None for one seed."""


class PolicySummary(msgspec.Struct, frozen=True, kw_only=True):
    """All seeds under one policy; a metric that a seed lacks is left out."""

    baseline: bool
    policy: str
    emission: str
    closing: bool
    seeds: int
    metrics: dict[str, SeedSpread]


class BaselineGain(msgspec.Struct, frozen=True, kw_only=True):
    """All seeds under one policy compared with the bidirectional baseline; in pairs if there are equally many."""

    policy: str
    emission: str
    closing: bool
    seeds: int
    offline_f1: SeedSpread | None
    """Difference to the baseline, as `streaming_em`; None: there are no gold labels."""
    streaming_em: SeedSpread | None
    flips_ratio: SeedSpread | None
    """Ratio of the flips per word that the input does not explain; None if a baseline has none."""
    flops_saved: SeedSpread


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report of one evaluation."""

    data: str
    sequences: int
    words: int
    results: list[PolicyResult]
    command: str = ""
    """Command line that reproduces it."""
    spoken: bool = False
    join: int | None = None
    updates: int | None = None
    """Number of updates of recorded streams, whose segments are the sequences; None: labelled text."""
    baselines: list[str] = []
    summary: list[PolicySummary] = []
    gains: list[BaselineGain] = []


def spread(values: Sequence[float]) -> SeedSpread:
    """Return the mean and spread of one metric (at least one value)."""
    mean = sum(values) / len(values)
    squares = sum((value - mean) ** 2 for value in values)
    sd = sqrt(squares / (len(values) - 1)) if len(values) > 1 else None
    return SeedSpread(mean=mean, low=min(values), high=max(values), sd=sd)


def summarize(results: Iterable[PolicyResult], baselines: Sequence[str]) -> list[PolicySummary]:
    """Pool the seeds of each policy, in the order of the results."""
    return [
        PolicySummary(**key._asdict(), seeds=len(metrics), metrics=_pool(metrics))
        for key, metrics in _group(results, baselines).items()
    ]


class _PolicyKey(NamedTuple):
    baseline: bool
    policy: str
    emission: str
    closing: bool


def _group(results: Iterable[PolicyResult], baselines: Sequence[str]) -> dict[_PolicyKey, list[Metrics]]:
    groups: dict[_PolicyKey, list[Metrics]] = {}
    for x in results:
        groups.setdefault(_PolicyKey(x.tagger in baselines, x.policy, x.emission, x.closing), []).append(x.metrics)
    return groups


def _pool(found: Sequence[Metrics]) -> dict[str, SeedSpread]:
    columns = {name: [getattr(metrics, name) for metrics in found] for name in Metrics.__struct_fields__}
    return {name: spread(values) for name, values in columns.items() if None not in values}


def compare(results: Iterable[PolicyResult], baselines: Sequence[str]) -> list[BaselineGain]:
    """Compare each policy with the baselines: seed by seed if there are equally many, else with their mean."""
    groups = _group(results, baselines)
    theirs = [x for key, metrics in groups.items() if key.baseline for x in metrics]
    return [_gain(key, ours, theirs) for key, ours in groups.items() if theirs and not key.baseline]


def _gain(key: _PolicyKey, ours: Sequence[Metrics], theirs: Sequence[Metrics]) -> BaselineGain:
    def against(name: str) -> list[tuple[float, float]] | None:
        mine, other = [getattr(x, name) for x in ours], [getattr(x, name) for x in theirs]
        if None in mine or None in other:
            return None
        if len(other) != len(mine):
            other = [sum(other) / len(other)] * len(mine)
        return list(zip(mine, other, strict=True))

    def less(name: str) -> SeedSpread | None:
        pairs = against(name)
        return spread([a - b for a, b in pairs]) if pairs else None

    flips = against("flips_per_word") or []
    return BaselineGain(
        policy=key.policy,
        emission=key.emission,
        closing=key.closing,
        seeds=len(ours),
        offline_f1=less("offline_f1"),
        streaming_em=less("streaming_em"),
        flips_ratio=spread([a / b for a, b in flips]) if all(b for _, b in flips) else None,
        flops_saved=spread([x.flops_saved or 0.0 for x in ours]),
    )
