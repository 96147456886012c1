"""Restart points of many segments at once: what `encoder.restart.policies`'s policies say, in one call over packed
words.

A policy that is not of that room is asked segment by segment, unless it can be asked for all of them (`BatchPolicy`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from encoder.heads.stability import Settled, stability_at, stability_of
from encoder.heads.word_record import WORD
from encoder.restart.expected_gain import best_point, fill_changes
from encoder.restart.policies import (
    Always,
    Entropy,
    Last,
    Never,
    Price,
    RestartPolicy,
    StabilityThreshold,
    StandingWords,
    Whether,
    combine_heads,
)

_ALWAYS, _NEVER, _LAST, _ENTROPY, _STABILITY, _WHETHER, _PRICE = range(7)


class PolicyBatch(NamedTuple):
    """The words of open segments that stand unchanged, of all taggers of each, before the new ones are computed."""

    words: NDArray[np.void]
    """(taggers, N) records of `encoder.heads.word_record`, segment after segment"""
    segments: NDArray[np.int64]
    """(S, 3) a segment's first record, how many of its words stand, and how many words it has now"""

    def standing(self, segment: int) -> StandingWords:
        """What a policy is asked of one of them."""
        first, words, count = self.segments[segment].tolist()
        return combine_heads([_standing(x, count) for x in self.words[:, first : first + words]])


class BatchPolicy(ABC):
    """A policy that answers for all segments of a step together."""

    @abstractmethod
    def point(self, standing: StandingWords) -> int:
        """See `RestartPolicy`."""

    @abstractmethod
    def points(self, ask: PolicyBatch) -> list[int]:
        """Give the point of each segment, between 0 and the words that stand."""


def restart_points(policy: RestartPolicy, ask: PolicyBatch) -> list[int]:
    """Give each segment's restart point as `policy.point` does, between 0 and the words that stand."""
    if isinstance(policy, BatchPolicy):
        return policy.points(ask)
    known = _known(policy)
    if known is None:
        asked = map(ask.standing, range(len(ask.segments)))
        return [min(max(policy.point(standing), 0), standing.words) for standing in asked]
    points = np.empty(len(ask.segments), np.int64)
    _fill_points(ask.words, ask.segments, *known, points)
    found: list[int] = points.tolist()
    return found


def pack_batch(data: Sequence[Sequence[bytes]], segments: Sequence[tuple[int, int]]) -> PolicyBatch:
    """Lay words out.

    Args:
        data: of each tagger the words of each segment, as `encoder.heads.word_record` has them.
        segments: of each segment how many words stand, and how many it has now; that many of its words are told.
    """
    words = np.frombuffer(b"".join(b"".join(x) for x in data), WORD).reshape(len(data), -1)
    told = np.empty((len(segments), 3), np.int64)
    told[:, 1:] = np.array(segments, np.int64).reshape(-1, 2)
    sizes = np.array([len(x) // WORD.itemsize for x in data[0]], np.int64)
    told[:, 0] = np.cumsum(sizes) - sizes
    return PolicyBatch(words, told)


def _standing(words: NDArray[np.void], count: int) -> StandingWords:
    seen = words["seen"].astype(np.int32)
    settled = Settled(words["base"].astype(np.float32), words["drift"].astype(np.float32))
    stability = stability_of(settled, count - seen)
    return StandingWords(
        words["entropy"].astype(np.float32),
        words["probability"].astype(np.float32),
        stability,
        seen,
        count - len(words),
    )


def _known(policy: RestartPolicy) -> tuple[int, float] | None:
    """Which policy it is, and its number; None: none of those that are known here."""
    match policy:
        case Price(price):
            return _PRICE, price
        case StabilityThreshold(threshold):
            return _STABILITY, threshold
        case Whether(threshold):
            return _WHETHER, threshold
        case Entropy(threshold):
            return _ENTROPY, threshold
        case Last(count):
            return _LAST, float(count)
        case Always():
            return _ALWAYS, 0.0
        case Never():
            return _NEVER, 0.0
    return None


@numba.njit(cache=True, nogil=True)
def _fill_points(
    words: NDArray[np.void], segments: NDArray[np.int64], policy: int, number: float, points: NDArray[np.int64]
) -> None:
    most = 0
    for s in range(len(segments)):
        most = max(most, segments[s, 1])
    stability, changes = np.empty(most, np.float32), np.empty(most, np.float64)
    seen = np.empty(most, np.int32)
    for s in range(len(segments)):
        first, stand, count = segments[s]
        if policy == _NEVER:
            points[s] = stand
        elif policy == _LAST:
            points[s] = min(max(0, stand - np.int64(number) + 1), stand)
        elif policy == _ALWAYS or (number == 0 and policy == _PRICE):
            points[s] = 0
        elif policy == _ENTROPY:
            points[s] = _first_doubtful(words, first, stand, np.float32(number))
        else:
            _worst(words, first, stand, count, stability, seen)
            if policy == _PRICE:
                fill_changes(stability[:stand], seen[:stand], count, changes[:stand])
                points[s] = best_point(changes[:stand], 0, number)
            else:
                point = _first_unsettled(stability[:stand], np.float32(number))
                points[s] = 0 if policy == _WHETHER and point < stand else point


@numba.njit(cache=True, nogil=True)
def _worst(
    words: NDArray[np.void],
    first: int,
    stand: int,
    count: int,
    stability: NDArray[np.float32],
    seen: NDArray[np.int32],
) -> None:
    """Fill what `combine_heads` says of each word of a segment."""
    for i in range(stand):
        least, fewest = np.float32(np.inf), np.int64(1 << 31)
        for tagger in range(len(words)):
            word = words[tagger, first + i]
            known = np.int64(word.seen)
            least = min(least, stability_at(word.base, word.drift, count - known))
            fewest = min(fewest, known)
        stability[i], seen[i] = least, fewest


@numba.njit(cache=True, nogil=True)
def _first_doubtful(words: NDArray[np.void], first: int, stand: int, threshold: np.float32) -> int:
    for i in range(stand):
        for tagger in range(len(words)):
            if words[tagger, first + i].entropy > threshold:
                return i
    return stand


@numba.njit(cache=True, nogil=True)
def _first_unsettled(stability: NDArray[np.float32], threshold: np.float32) -> int:
    for i in range(len(stability)):
        if stability[i] < threshold:
            return i
    return len(stability)
