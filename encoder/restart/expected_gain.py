"""Expected gain of a restart: the label changes that it is expected to bring, against the words that it computes again.

The expected changes of a word are its doubt, 1 - stability, times the share of that doubt that the words which followed
since will have resolved. Measured (dev sets of SNIPS, full restarts on every word): of a doubt d the word `k` places
further on resolves about d / (2 k), whatever d is, and a label that is computed again three words late changes as often
as in the three steps that were skipped. If `r` words to the right were seen when the label was computed, and `R` are
there now,

    changes = RESOLVED * (1 - stability) * log((R + 1/2) / (r + 1/2))

where the logarithm is the sum of 1 / k over the words not yet seen. Doubt alone is a worse guide: most of it belongs to
words that stay ambiguous whatever follows, or that were computed a moment ago.

A restart's cost is counted in words. Tokens a word even out, and attention makes a word at the end of a full window
only a few per cent dearer than the first. What is spent in the end is measured, not estimated
(`stream.overload.budget`).
"""

import numpy as np
from numpy.typing import NDArray

from encoder.kernel_cache import kernel
from encoder.restart.standing import PolicyBatch, combine_heads

RESOLVED = 0.4
"""Changes for each unit of doubt and of the logarithm."""


def expected_changes(batch: PolicyBatch, segment: int) -> NDArray[np.float64]:
    """Give the probability, for each standing word (words,) of a segment, that its label changes if computed now."""
    first, standing, count = batch.segments[segment].tolist()
    changes = np.empty(standing, np.float64)
    _fill_segment_changes(batch.words, first, standing, count, changes)
    return changes


@kernel(nogil=True)
def _fill_segment_changes(
    words: NDArray[np.void], first: int, standing: int, count: int, changes: NDArray[np.float64]
) -> None:
    stability, seen = np.empty(standing, np.float32), np.empty(standing, np.int32)
    combine_heads(words, first, standing, count, stability, seen)
    fill_changes(stability, seen, count, changes)


@kernel(nogil=True)
def fill_changes(
    stability: NDArray[np.float32], seen: NDArray[np.int32], count: int, changes: NDArray[np.float64]
) -> None:
    """Fill the expected changes (words,) of one segment.

    Args:
        stability: (words,) of each standing word now.
        seen: (words,) words that the segment had when the word was computed.
        count: words that it has now.
        changes: (words,) filled.
    """
    for i in range(len(stability)):
        right = count - 1 - i
        was = min(max(seen[i] - 1 - i, 0), right)
        doubt = 1.0 - np.float64(stability[i])
        changes[i] = RESOLVED * doubt * np.log((right + 0.5) / (was + 0.5))


@kernel(nogil=True)
def best_point(changes: NDArray[np.float64], point: int, price: float) -> int:
    """Give the restart point, not before `point`, whose expected changes exceed the price of its words by most.

    Args:
        changes: (words,) of `expected_changes`.
        point: the earliest that is allowed; `words` is an append.
        price: changes that each word computed again has to bring. 0 allows everything, infinity nothing.
    """
    words = len(changes)
    if price == 0 or point == words:
        return point
    best, most, gain = words, 0.0, 0.0
    if price < np.inf:
        for i in range(words - 1, point - 1, -1):
            gain += changes[i] - price
            if gain > 0 and gain >= most:  # of equal ones the earliest
                best, most = i, gain
    return best
