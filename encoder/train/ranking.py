"""Area under the ROC curve, without torch: training chooses by it, evaluation reports it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def rank_auc(
    scores: Sequence[float] | NDArray[np.float64], positive: Sequence[bool] | NDArray[np.bool_]
) -> float | None:
    """Return the probability that a positive has a higher score than a negative; ties count half.

    It is the area under the ROC curve (Mann and Whitney 1947; Hanley and McNeil 1982), computed from mean ranks.

    Args:
        scores: (n,) numbers of any scale.
        positive: (n,) which are positive.

    Returns:
        The area, 0..1; None if one of the two sides is empty.
    """
    values, is_positive = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    ones, zeros = int(is_positive.sum()), int((~is_positive).sum())
    if not ones or not zeros:
        return None
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return float((ranks[is_positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
