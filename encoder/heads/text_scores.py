"""Scores of a whole text: the probability that a label fits the segment as it stands.

Each word has two columns of the encoder's head for each score: a value, and the weight of its value in a softmax over
the words of the segment (attention pooling with a learned query: Yang et al. 2016, section 2.2). So a word costs what
it costs for a label, words that a restart leaves alone keep their columns, and the pooled score of a text follows from
its words' columns alone. Training's scale and shift, which make it a probability, are part of the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.kernel_cache import kernel


@dataclass(frozen=True, slots=True)
class TextScores:
    """The text scores of one tagger."""

    names: tuple[str, ...]
    first: int
    """Its first column of the encoder's scores: values of all names, then their weights."""

    @property
    def end(self) -> int:
        """Column after its last one."""
        return self.first + 2 * len(self.names)

    def pool(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the scores of a text.

        Args:
            columns: (words, columns) of the encoder's head, of all words of the segment; at least one.

        Returns:
            (names,) probabilities.
        """
        scores: NDArray[np.float32] = self.pool_texts([columns])[0]
        return scores

    def pool_texts(self, texts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Give the scores of several texts in one call; each is the same, to the bit, whatever is given with it.

        Args:
            texts: of each the columns as for `pool`.

        Returns:
            (texts, names) probabilities.
        """
        found = np.empty((len(texts), len(self.names)), np.float32)
        if texts:
            own = [columns[:, self.first : self.end] for columns in texts]
            _pool(np.concatenate(own), np.cumsum([len(columns) for columns in own]), found)
        return found


@kernel(nogil=True)
def _pool(columns: NDArray[np.float32], ends: NDArray[np.int64], found: NDArray[np.float32]) -> None:
    """Pool the columns (words of all texts, 2 * names); `ends` are the ends of the texts (texts,)."""
    names, start = found.shape[1], 0
    for s in range(len(ends)):
        for k in range(names):
            most = columns[start, names + k]
            for i in range(start + 1, ends[s]):
                most = max(most, columns[i, names + k])
            total, weights = 0.0, 0.0
            for i in range(start, ends[s]):
                weight = np.exp(np.float64(columns[i, names + k]) - most)
                total += weight * columns[i, k]
                weights += weight
            found[s, k] = 1.0 / (1.0 + np.exp(-total / weights))
        start = ends[s]
