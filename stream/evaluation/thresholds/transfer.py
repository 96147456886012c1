"""A threshold of our score in place of one of another service's score: at equal precision, recall or number.

Precision and recall need to be told what is right. Without decisions of people, what the other service flagged counts
as right, and the thresholds are those at which we agree with it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
CONFIDENCE = 0.95
MIN_REACHED = 0.5
"""Share of the resamples that must reach an aim, below which it counts as out of reach."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class TransferError(ValueError):
    """No threshold can be found; the message says why, and what to give instead."""


class FoundThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """Our threshold for one aim, and what it does on the rows."""

    aim: str
    threshold: float | None
    """A text is flagged from it on; None: no threshold reaches the aim."""
    low: float | None
    high: float | None
    """Confidence interval, by the bootstrap."""
    flagged: int
    precision: float | None
    recall: float | None


class TransferReport(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds for all aims."""

    rows: int
    decided: bool
    """Whether people decided what is right; else the other service did."""
    right: int
    """Rows that are to be flagged."""
    flagged: int
    """Rows that the other service flagged."""
    precision: float | None
    """Of the other service; None without decisions."""
    recall: float | None
    found: list[FoundThreshold]


class _ThresholdCurve(NamedTuple):
    """What each possible threshold does, from the highest one on; weights are how often a row was drawn."""

    thresholds: Floats
    flagged: Floats
    hits: Floats
    right: float

    def first_with_recall(self, aim: float) -> int | None:
        """Return the highest threshold with at least this recall."""
        return _first(self.hits >= aim * self.right - 1e-9)

    def last_with_precision(self, aim: float) -> int | None:
        """Return the lowest threshold with at least this precision."""
        reached = np.flatnonzero(self.hits >= aim * self.flagged - 1e-9)
        return int(reached[-1]) if len(reached) else None

    def first_with_count(self, count: float) -> int | None:
        """Return the highest threshold that flags at least so many."""
        return _first(self.flagged >= count - 1e-9)


class _Sample:
    """Rows in descending order of our score.

    Args:
        scores: ours (n,).
        flagged: by the other service (n,).
        truth: what is right (n,).
    """

    def __init__(self, scores: Floats, flagged: Flags, truth: Flags) -> None:
        order = np.argsort(-scores, kind="stable")
        self.scores, self.flagged, self.truth = scores[order], flagged[order], truth[order]
        self.ends = np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True))
        """Last row of each group of equal scores: a threshold flags all of a group."""

    def curve(self, weights: Floats) -> _ThresholdCurve:
        """Return what each threshold does with these weights (n,)."""
        flagged, hits = np.cumsum(weights)[self.ends], np.cumsum(weights * self.truth)[self.ends]
        drawn = np.diff(flagged, prepend=0.0) > 0  # a score that was not drawn is no threshold
        return _ThresholdCurve(self.scores[self.ends][drawn], flagged[drawn], hits[drawn], float(hits[-1]))

    def rates(self, weights: Floats) -> tuple[float, float, float]:
        """Return number, precision and recall of the other service's flags."""
        count, hits, right = (
            float(weights[rows].sum()) for rows in (self.flagged, self.flagged & self.truth, self.truth)
        )
        return count, hits / max(count, 1e-9), hits / max(right, 1e-9)


def find_thresholds(
    scores: Sequence[float],
    flagged: Sequence[bool],
    decisions: Sequence[bool] | None = None,
    agreement: float = 0.9,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> TransferReport:
    """Find our thresholds.

    Args:
        scores: ours (n,).
        flagged: whether the other service's score reached its threshold (n,).
        decisions: whether people found that the text is to be flagged (n,); None: nobody did.
        agreement: without decisions, the precision and the recall that are aimed at.
        resamples: of the bootstrap (Efron 1979; here weights are Poisson, which does the same for many rows).
        seed: of the bootstrap; the same one gives the same intervals.

    Raises:
        TransferError: nothing, or everything, is right or flagged.
    """
    ours, theirs = np.asarray(scores, np.float64), np.asarray(flagged, np.bool_)
    truth = theirs if decisions is None else np.asarray(decisions, np.bool_)
    _check(theirs, "reach the other service's threshold", "give another threshold")
    if decisions is not None:
        _check(truth, "have a decision to flag", "give rows of both kinds, or leave the column `label` out")
    sample = _Sample(ours, theirs, truth)
    aims = _decided_aims() if decisions is not None else _agreement_aims(agreement)
    rng, ones = np.random.default_rng(seed), np.ones(len(ours))
    drawn: dict[str, list[float]] = {name: [] for name in aims}
    for _ in range(resamples):
        weights = rng.poisson(1.0, len(ours)).astype(np.float64)
        if any(not 0 < weights[rows].sum() < weights.sum() for rows in (sample.flagged, sample.truth)):
            continue
        curve, rates = sample.curve(weights), sample.rates(weights)
        for name, choose in aims.items():
            place = choose(curve, rates)
            drawn[name].append(float(curve.thresholds[place]) if place is not None else np.inf)
    whole, rates = sample.curve(ones), sample.rates(ones)
    return TransferReport(
        rows=len(ours),
        decided=decisions is not None,
        right=int(truth.sum()),
        flagged=int(theirs.sum()),
        precision=rates[1] if decisions is not None else None,
        recall=rates[2] if decisions is not None else None,
        found=[_describe(name, choose(whole, rates), whole, drawn[name]) for name, choose in aims.items()],
    )


_Choice = Callable[[_ThresholdCurve, tuple[float, float, float]], int | None]


def _decided_aims() -> dict[str, _Choice]:
    return {
        "equal precision": lambda curve, rates: curve.last_with_precision(rates[1]),
        "equal recall": lambda curve, rates: curve.first_with_recall(rates[2]),
        "as many flagged": lambda curve, rates: curve.first_with_count(rates[0]),
    }


def _agreement_aims(agreement: float) -> dict[str, _Choice]:
    share = f"{100 * agreement:g} %"
    return {
        "as many flagged": lambda curve, rates: curve.first_with_count(rates[0]),
        f"{share} of ours it flagged, too": lambda curve, rates: curve.last_with_precision(agreement),
        f"{share} of its flags are found": lambda curve, rates: curve.first_with_recall(agreement),
    }


def _describe(name: str, place: int | None, curve: _ThresholdCurve, drawn: Sequence[float]) -> FoundThreshold:
    reached = np.isfinite(drawn)
    if place is None or not len(drawn) or reached.mean() < MIN_REACHED:
        return FoundThreshold(aim=name, threshold=None, low=None, high=None, flagged=0, precision=None, recall=None)
    side = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(np.minimum(drawn, 1.0), [side, 100 - side], method="nearest")
    hits, flagged = curve.hits[place], curve.flagged[place]
    return FoundThreshold(
        aim=name,
        threshold=float(curve.thresholds[place]),
        low=float(low),
        high=float(high),
        flagged=int(flagged),
        precision=float(hits / flagged),
        recall=float(hits / curve.right),
    )


def _check(flags: Flags, what: str, remedy: str) -> None:
    if (count := int(flags.sum())) in (0, len(flags)):
        raise TransferError(f"{count:,} of {len(flags):,} rows {what}; {remedy}")


def _first(reached: Flags) -> int | None:
    return int(np.argmax(reached)) if reached.any() else None
