"""What a restart is worth: the labels that it is expected to change, against the words that it computes again.

The expected changes of a word are its doubt, 1 - stability, times the share of that doubt that what was said since will
have resolved. Measured (dev sets of SNIPS, full restarts on every word): of a doubt d the word `k` places on resolves
about d / (2 k), whatever d is, and a label read three words late changes as often as in the three steps that it was
spared. So with `r` words to its right seen when its label was read, and `R` standing there now,

    changes = RESOLVED * (1 - stability) * log((R + 1/2) / (r + 1/2))

where the logarithm is the sum of 1 / k over the words not yet seen. Doubt alone is a worse guide: most of it belongs to
words that stay ambiguous whatever comes, or that were read a moment ago.

A restart's cost is counted in words. Tokens a word even out, and attention makes a word at the end of a full window
only a few per cent dearer than the first; what is spent in the end is measured, not estimated
(`stream.overload.budget`).
"""

from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from encoder.restart.policies import StandingWords

RESOLVED = 0.4
"""Changes a unit of doubt and of the logarithm."""


def expected_changes(standing: "StandingWords") -> NDArray[np.float64]:
    """Give for each standing word the probability (words,) that its label changes if it is read again now."""
    words = standing.words
    seen = np.arange(1, words + 1, dtype=np.int32) if standing.seen is None else standing.seen
    changes = np.empty(words, np.float64)
    fill_changes(standing.stability, seen, words + standing.coming, changes)
    return changes


@numba.njit(cache=True, nogil=True)
def fill_changes(
    stability: NDArray[np.float32], seen: NDArray[np.int32], count: int, changes: NDArray[np.float64]
) -> None:
    """Fill `expected_changes` (words,), given the words `seen` by each and the `count` that there are now."""
    for i in range(len(stability)):
        right = count - 1 - i
        was = min(max(seen[i] - 1 - i, 0), right)
        doubt = 1.0 - np.float64(stability[i])
        changes[i] = RESOLVED * doubt * np.log((right + 0.5) / (was + 0.5))


@numba.njit(cache=True, nogil=True)
def best_point(changes: NDArray[np.float64], point: int, price: float) -> int:
    """Give the restart point, `point` or later, of which the expected changes exceed the price of its words by most.

    Args:
        changes: (words,) of `expected_changes`.
        point: the earliest; `words` is an append.
        price: changes that a word computed again has to bring. 0 buys all; infinity nothing.
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
