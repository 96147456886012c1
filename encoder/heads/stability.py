"""The stability of a word's label: the probability that it will be the word's label when the segment closes.

The stability head (`encoder.heads.stability_head`) is evaluated when a word is computed. It gives two numbers, from
which the stability at any later step follows without another evaluation:

    stability = sigmoid(base + drift * log(1 + unseen))

`unseen` is the number of words that came since, which the word's tail states have not seen.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.kernel_cache import kernel


class StabilityLogit(NamedTuple):
    """The head's result for words, as of the moment they were computed."""

    base: NDArray[np.float32]  # (words,) logit of the stability while no word is unseen
    drift: NDArray[np.float32]  # (words,) change of the logit for each unit of log(1 + unseen words)


@kernel(nogil=True)
def stability_at(base: np.float32, drift: np.float32, unseen: int | np.int64) -> np.float32:
    """Give the stability of one word. Every caller uses this function, so that the result is the same everywhere.

    A negative number of unseen words, after a text has shrunk, counts as 0.
    """
    logit = base + drift * np.log1p(np.float32(unseen if unseen > 0 else 0))
    stability: np.float32 = np.float32(1) / (np.float32(1) + np.exp(-logit))
    return stability


@kernel(nogil=True)
def stability_of(logit: StabilityLogit, unseen: NDArray[np.int32]) -> NDArray[np.float32]:
    """Give the stability (words,), 0..1, of words that have not seen the last `unseen` (words,) words."""
    stability = np.empty(len(unseen), np.float32)
    for i in range(len(unseen)):
        stability[i] = stability_at(logit.base[i], logit.drift[i], unseen[i])
    return stability
