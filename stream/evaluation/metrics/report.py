"""What an evaluation found, and what several seeds of one recipe come to together: mean and spread.

The names are those of the JSON that `hearken evaluate` writes; plots and tables are made of it.
"""

from collections.abc import Iterable, Sequence
from math import sqrt

import msgspec

from stream.evaluation.metrics.corpus_metrics import Metrics


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Final labels against those of the same tagger restarting fully on every update (streams have no gold labels)."""

    words: float
    """Share of the words with the same label."""
    segments: float
    """Share of the segments with the same labels throughout."""
    f1: float
    """Of the spans, in strict IOB2."""


class PolicyResult(msgspec.Struct, frozen=True, kw_only=True):
    """One tagger under one policy."""

    tagger: str
    policy: str
    closing: bool
    """With a closing restart after the last word, whose labels then take the last row's place."""
    metrics: Metrics
    emission: str = ""
    """What was shown of what was found, as the settings name it; empty: everything."""
    agreement: Agreement | None = None


class SeedSpread(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over several seeds."""

    mean: float
    low: float
    high: float
    sd: float | None
    """Standard deviation of the sample (n - 1); None for one seed."""


class PolicySummary(msgspec.Struct, frozen=True, kw_only=True):
    """All seeds under one policy; a metric that one of them lacks is left out."""

    baseline: bool
    policy: str
    emission: str
    closing: bool
    seeds: int
    metrics: dict[str, SeedSpread]


class BaselineGain(msgspec.Struct, frozen=True, kw_only=True):
    """All seeds under one policy against the bidirectional baseline: each against its own, if there are as many."""

    policy: str
    emission: str
    closing: bool
    seeds: int
    offline_f1: SeedSpread | None
    """Ours less the baseline's; so is streaming EM. None: there is no reference."""
    streaming_em: SeedSpread | None
    flips_ratio: SeedSpread | None
    """Flips a word that the input does not explain, ours out of the baseline's; None if a baseline has none."""
    flops_saved: SeedSpread


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one evaluation found."""

    data: str
    sequences: int
    words: int
    results: list[PolicyResult]
    command: str = ""
    """What was typed, so that the figures can be had again."""
    spoken: bool = False
    join: int | None = None
    updates: int | None = None
    """Of recorded streams, whose segments the sequences are."""
    baselines: list[str] = []
    summary: list[PolicySummary] = []
    gains: list[BaselineGain] = []


def spread(values: Sequence[float]) -> SeedSpread:
    """Take the mean and the spread of one figure (at least one value)."""
    mean = sum(values) / len(values)
    squares = sum((value - mean) ** 2 for value in values)
    sd = sqrt(squares / (len(values) - 1)) if len(values) > 1 else None
    return SeedSpread(mean=mean, low=min(values), high=max(values), sd=sd)


def summarize(results: Iterable[PolicyResult], baselines: Sequence[str]) -> list[PolicySummary]:
    """Pool the seeds of each policy, in the order in which policies were measured."""
    groups: dict[tuple[bool, str, str, bool], list[Metrics]] = {}
    for x in results:
        groups.setdefault((x.tagger in baselines, x.policy, x.emission, x.closing), []).append(x.metrics)
    return [
        PolicySummary(
            baseline=baseline,
            policy=policy,
            emission=emission,
            closing=closing,
            seeds=len(found),
            metrics=_pool(found),
        )
        for (baseline, policy, emission, closing), found in groups.items()
    ]


def _pool(found: Sequence[Metrics]) -> dict[str, SeedSpread]:
    columns = {name: [getattr(metrics, name) for metrics in found] for name in Metrics.__struct_fields__}
    return {name: spread(values) for name, values in columns.items() if None not in values}


def compare(results: Sequence[PolicyResult], baselines: Sequence[str]) -> list[BaselineGain]:
    """Set each policy against the baselines: seed by seed if there are as many of both, else against their mean."""
    theirs = [x.metrics for x in results if x.tagger in baselines]
    groups: dict[tuple[str, str, bool], list[Metrics]] = {}
    for x in results:
        if x.tagger not in baselines:
            groups.setdefault((x.policy, x.emission, x.closing), []).append(x.metrics)
    if not theirs:
        return []
    return [_gain(key, ours, theirs) for key, ours in groups.items()]


def _gain(key: tuple[str, str, bool], ours: Sequence[Metrics], theirs: Sequence[Metrics]) -> BaselineGain:
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
    policy, emission, closing = key
    return BaselineGain(
        policy=policy,
        emission=emission,
        closing=closing,
        seeds=len(ours),
        offline_f1=less("offline_f1"),
        streaming_em=less("streaming_em"),
        flips_ratio=spread([a / b for a, b in flips]) if all(b for _, b in flips) else None,
        flops_saved=spread([x.flops_saved or 0.0 for x in ours]),
    )
