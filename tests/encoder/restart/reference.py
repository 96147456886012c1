"""Reference of the restart policies: one segment, in plain numpy, as the papers and the docstrings say it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.heads.word_record import WORD
from encoder.restart.expected_gain import RESOLVED
from encoder.restart.policies import (
    Always,
    Entropy,
    Last,
    Never,
    Price,
    RestartPolicy,
    StabilityThreshold,
    Whether,
)
from encoder.restart.standing import PolicyBatch, pack_batch


@dataclass(frozen=True, slots=True)
class StandingWords:
    """The standing words of one segment, one element a word."""

    entropy: NDArray[np.float32]
    stability: NDArray[np.float32]
    seen: NDArray[np.int32]
    """Words of the segment when each was computed."""
    coming: int = 1
    """New words that follow."""

    @property
    def words(self) -> int:
        return len(self.entropy)


def combine_heads_reference(standings: Sequence[StandingWords]) -> StandingWords:
    """Of each word the worst that any head says of it."""
    return StandingWords(
        np.maximum.reduce([x.entropy for x in standings]),
        np.minimum.reduce([x.stability for x in standings]),
        np.minimum.reduce([x.seen for x in standings]),
        standings[0].coming,
    )


def expected_changes_reference(standing: StandingWords) -> NDArray[np.float64]:
    right = standing.words + standing.coming - 1 - np.arange(standing.words)
    saw = np.clip(standing.seen - 1 - np.arange(standing.words), 0, right)
    return RESOLVED * (1.0 - standing.stability.astype(np.float64)) * np.log((right + 0.5) / (saw + 0.5))


def best_point_reference(changes: NDArray[np.float64], price: float) -> int:
    """All points are tried; of equally good ones the earliest, an append if none pays."""
    if price == 0:
        return 0
    gains = np.cumsum((changes - price)[::-1])[::-1]
    return int(gains.argmax()) if len(gains) and gains.max() > 0 else len(changes)


def restart_point_reference(policy: RestartPolicy, standing: StandingWords) -> int:
    """First word that a policy computes again."""
    match policy:
        case Always():
            return 0
        case Never():
            return standing.words
        case Last(count):
            return max(0, standing.words - count + 1)
        case Entropy(threshold):
            return _first(standing.entropy > np.float32(threshold))
        case StabilityThreshold(threshold):
            return _first(standing.stability < np.float32(threshold))
        case Whether(threshold):
            return 0 if (standing.stability < np.float32(threshold)).any() else standing.words
        case Price(price):
            return best_point_reference(expected_changes_reference(standing), price)
    raise TypeError(policy)


def _first(chosen: NDArray[np.bool_]) -> int:
    return int(chosen.argmax()) if chosen.any() else len(chosen)


def batch_of(*standings: StandingWords) -> PolicyBatch:
    """One tagger's segments, each with these standing words."""
    data = []
    for standing in standings:
        words = np.zeros(standing.words, WORD)
        with np.errstate(divide="ignore"):
            words["base"] = np.log(standing.stability) - np.log1p(-standing.stability)
        words["entropy"], words["probability"], words["seen"] = standing.entropy, standing.stability, standing.seen
        data.append(words.tobytes())
    return pack_batch([data], [(x.words, x.words + x.coming) for x in standings])


def doubtful(doubt: Sequence[float], seen: Sequence[int] | None = None, coming: int = 1) -> StandingWords:
    """Standing words of which entropy and 1 - stability are the doubt; by default each has seen up to itself."""
    x = np.array(doubt, np.float32)
    read = range(1, len(x) + 1) if seen is None else seen
    return StandingWords(x, 1 - x, np.array(read, np.int32), coming)


def point_of(policy: RestartPolicy, standing: StandingWords) -> int:
    """The product's point of one segment."""
    (point,) = policy.restart_points(batch_of(standing))
    return point
