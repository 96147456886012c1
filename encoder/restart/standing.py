"""The standing words of a step, packed: what restart policies see.

A word stands if neither it nor a word before it has changed since it was computed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoder.heads.stability import stability_at
from encoder.heads.word_record import WORD
from encoder.kernel_cache import kernel


class PolicyBatch(NamedTuple):
    """Standing words of the open segments of one step, of all taggers, before the new words are computed."""

    words: NDArray[np.void]
    """(taggers, N) records of `encoder.heads.word_record`, segment after segment"""
    segments: NDArray[np.int64]
    """(S, 3) index of a segment's first record, number of its standing words, number of its words now"""

    @property
    def standing(self) -> NDArray[np.int64]:
        """Number of standing words of each segment (S,), which is also the index of its first new word."""
        return self.segments[:, 1]


def pack_batch(data: Sequence[Sequence[bytes]], segments: Sequence[tuple[int, int]]) -> PolicyBatch:
    """Pack the word records of several segments.

    Args:
        data: of each tagger the records of each segment, as `encoder.heads.word_record` has them; at least those of the
            standing words.
        segments: of each segment the number of standing words and the number of words now.
    """
    words = np.frombuffer(b"".join(b"".join(x) for x in data), WORD).reshape(len(data), -1)
    packed = np.empty((len(segments), 3), np.int64)
    packed[:, 1:] = np.array(segments, np.int64).reshape(-1, 2)
    sizes = np.array([len(x) // WORD.itemsize for x in data[0]], np.int64)
    packed[:, 0] = np.cumsum(sizes) - sizes
    return PolicyBatch(words, packed)


@kernel(nogil=True)
def combine_heads(
    words: NDArray[np.void],
    first: int,
    standing: int,
    count: int,
    stability: NDArray[np.float32],
    seen: NDArray[np.int32],
) -> None:
    """Combine the heads of one segment: of each standing word its lowest stability and the fewest words seen.

    The point of a policy with a threshold is then the earliest of the points that the heads would have alone.

    Args:
        words: (taggers, N) records.
        first: index of the segment's first record.
        standing: number of its standing words.
        count: number of its words now.
        stability: (standing or more,) filled with the stability of each word now.
        seen: (standing or more,) filled with the words that the segment had when the word was computed.
    """
    for i in range(standing):
        least, fewest = np.float32(np.inf), np.int64(1 << 31)
        for tagger in range(len(words)):
            word = words[tagger, first + i]
            known = np.int64(word["seen"])
            least = min(least, stability_at(word["base"], word["drift"], count - known))
            fewest = min(fewest, known)
        stability[i], seen[i] = least, fewest
