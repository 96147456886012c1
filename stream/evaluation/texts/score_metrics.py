"""Measures of scores of whole texts against labels of 0 and 1; all are pure functions of arrays."""

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from encoder.train.ranking import rank_auc
from stream.evaluation.calibration.reliability import Reliability, measure_reliability
from stream.evaluation.calibration.stability_replay import StabilityPairs
from stream.evaluation.metrics.chart_metrics import Extents, standing_since

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]
LENGTH_GROUPS = 10
RESAMPLED_UNITS = 1000
"""Largest number of units that the bands of a reliability diagram are resampled from; more texts share a unit."""

T = TypeVar("T", bound=Hashable)


def length_groups(words: Integers, groups: int = LENGTH_GROUPS) -> Integers:
    """Return (texts,) the number of each text's group of about equal length, from the shortest.

    Groups have about equally many texts. Texts of one length are in one group, so there may be fewer groups.
    """
    if not len(words):
        return np.zeros(0, np.int64)
    edges = np.unique(np.quantile(words, np.arange(1, groups) / groups, method="higher"))
    return np.unique(np.searchsorted(edges, words), return_inverse=True)[1].astype(np.int64)


def controlled_auc(scores: Floats, positive: Booleans, groups: Integers) -> float | None:
    """Return the probability that a positive text scores higher than a negative one of the same group.

    It is the mean of the groups' `rank_auc`, weighted by their numbers of pairs: a covariate-adjusted area (Janes and
    Pepe 2009). None if no group has both sides.
    """
    won, pairs = 0.0, 0
    for group in np.unique(groups):
        inside = groups == group
        ones = int(positive[inside].sum())
        count = ones * (int(inside.sum()) - ones)
        won += count * (rank_auc(scores[inside], positive[inside]) or 0.0)
        pairs += count
    return won / pairs if pairs else None


def average_precision(scores: Floats, positive: Booleans) -> float | None:
    """Return the sum over thresholds of precision times the recall gained; texts of one score come together.

    None if no text is positive.
    """
    if not positive.any():
        return None
    values, which = np.unique(-scores, return_inverse=True)
    found = np.bincount(which, positive, len(values))
    precision = found.cumsum() / np.bincount(which, minlength=len(values)).cumsum()
    return float((precision * found).sum() / positive.sum())


def brier_score(probabilities: Floats, positive: Booleans) -> float | None:
    """Return the mean squared difference of probability and label (Brier 1950); None if there is no text."""
    return float(np.square(probabilities - positive).mean()) if len(positive) else None


def text_reliability(probabilities: Floats, positive: Booleans) -> Reliability | None:
    """Bin probabilities; `stood` is the share of positive texts. None if there is no text."""
    units = min(len(positive), RESAMPLED_UNITS)
    parts = zip(*(np.array_split(x, max(1, units)) for x in (probabilities.astype(np.float32), positive)), strict=True)
    return measure_reliability([StabilityPairs(*part) for part in parts]) if units else None


def share_of(part: Booleans) -> float | None:
    """Return the share of true values; None of nothing."""
    return float(part.mean()) if len(part) else None


class CoveredCharacters(NamedTuple):
    """Letters and digits of texts under gold and found spans, and the words that hold no gold one."""

    gold: int = 0
    found: int = 0
    both: int = 0
    plain_words: int = 0
    plain_touched: int = 0
    """Plain words with a letter or digit under a found span."""


def count_covered(text: str, ends: NDArray[np.int32], found: Extents, gold: Extents) -> CoveredCharacters:
    """Count the letters and digits of one text that spans cover; spans are in characters.

    Args:
        text: the text.
        ends: (words,) end of each word, exclusive.
        found: spans of the tagger.
        gold: spans that should be there.
    """
    signs = np.array([sign.isalnum() for sign in text], np.bool_)
    ours, theirs = (signs & cover_mask(extents, len(text)) for extents in (found, gold))
    words = np.searchsorted(ends, np.arange(len(text)), side="right")  # the word of each sign
    real, touched, marked = (np.bincount(words[x], minlength=len(ends) + 1) > 0 for x in (signs, ours, theirs))
    plain = real & ~marked
    counts = (theirs.sum(), ours.sum(), (ours & theirs).sum(), plain.sum(), (plain & touched).sum())
    return CoveredCharacters(*map(int, counts))


def cover_mask(extents: Extents, length: int) -> Booleans:
    """Return (length,) whether each character is under one of the spans."""
    mask = np.zeros(length, np.bool_)
    for start, end in extents:
        mask[start:end] = True
    return mask


def moments_of(rows: Sequence[AbstractSet[T]], seen: Sequence[int], words: int) -> dict[T, tuple[float, bool]]:
    """Return when each element of the last row was first there to stay.

    Args:
        rows: what readers had after each revision (spans, or labels that the text was flagged with); the last one is
            that of the close.
        seen: number of words that had arrived at each revision.
        words: number of words of the text, at least 1.

    Returns:
        By element: share of the words that had arrived, 0..1, and whether it took the close.
    """
    return {x: (min(1.0, seen[i] / words), i == len(rows) - 1) for x, i in standing_since(rows)} if rows else {}
