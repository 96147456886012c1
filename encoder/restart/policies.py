"""Restart policies: the word of an open segment from which its labels are computed again.

A policy sees the standing words alone (`PolicyBatch`). Whatever it answers, new words and words that have seen
rewritten text are computed. Each policy answers for all segments of a step in one call; the plain version for one
segment, which the tests compare it with, is `tests/encoder/restart/reference.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.kernel_cache import kernel
from encoder.restart.expected_gain import best_point, fill_changes
from encoder.restart.policy_text import read_policy
from encoder.restart.standing import PolicyBatch, combine_heads


class RestartPolicy(Protocol):
    """Standing words in, restart points out."""

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Give the first word to compute again of each segment, 0..standing words; the latter is an append.

        The caller clamps it to the segment's window.
        """
        ...


@dataclass(frozen=True, slots=True)
class Always:
    """Full restart at every step."""

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Give 0: the first word."""
        return [0] * len(batch.segments)


@dataclass(frozen=True, slots=True)
class Never:
    """Append only."""

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Give the first new word."""
        points: list[int] = batch.standing.tolist()
        return points


@dataclass(frozen=True, slots=True)
class Last:
    """The last `count` words: with each new word the `count - 1` words before it."""

    count: int

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Go back over `count - 1` standing words."""
        points: list[int] = np.maximum(batch.standing - (self.count - 1), 0).tolist()
        return points


@dataclass(frozen=True, slots=True)
class Entropy:
    """From the first word whose entropy is above the threshold, in nats."""

    threshold: float

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Go back to the first word that any head doubts."""
        return _find_points(_find_uncertain, batch, np.float32(self.threshold))


@dataclass(frozen=True, slots=True)
class StabilityThreshold:
    """From the first word whose stability is below the threshold tau."""

    threshold: float

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Go back to the first word that is not stable for every head."""
        return _find_points(_find_unstable, batch, np.float32(self.threshold))


@dataclass(frozen=True, slots=True)
class Whether:
    """All or nothing: a full restart if any word's stability is below the threshold, else an append.

    HEAR's question, whether to restart (Kaushal et al. 2023), asked of our stability head: the learned gate that the
    restart from the first unstable word is compared with.
    """

    threshold: float

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Go back to the first word, or to none."""
        unstable = StabilityThreshold(self.threshold).restart_points(batch)
        pairs = zip(unstable, batch.standing.tolist(), strict=True)
        return [0 if point < standing else standing for point, standing in pairs]


@dataclass(frozen=True, slots=True)
class Price:
    """From the word whose expected changes exceed the price of the words computed by most
    (`encoder.restart.expected_gain`).
    """

    price: float
    """Changes that each word computed again has to bring."""

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        """Go back as far as it pays."""
        return _find_points(_find_best, batch, self.price)


def _find_points(find: Callable[..., None], batch: PolicyBatch, number: float | np.float32) -> list[int]:
    points = np.empty(len(batch.segments), np.int64)
    find(batch.words, batch.segments, number, points)
    found: list[int] = points.tolist()
    return found


@kernel(nogil=True)
def _find_uncertain(
    words: NDArray[np.void], segments: NDArray[np.int64], threshold: np.float32, points: NDArray[np.int64]
) -> None:
    """Fill the first standing word of each segment whose entropy is above the threshold for any head."""
    for s in range(len(segments)):
        first, standing, _ = segments[s]
        point = 0
        while point < standing and _highest_entropy(words, first + point) <= threshold:
            point += 1
        points[s] = point


@kernel(nogil=True)
def _highest_entropy(words: NDArray[np.void], index: int) -> np.float32:
    highest = np.float32(0)
    for tagger in range(len(words)):
        highest = max(highest, words[tagger, index]["entropy"])
    return highest


@kernel(nogil=True)
def _find_unstable(
    words: NDArray[np.void], segments: NDArray[np.int64], threshold: np.float32, points: NDArray[np.int64]
) -> None:
    """Fill the first standing word of each segment whose stability is below the threshold for any head."""
    most = _most_standing(segments)
    stability, seen = np.empty(most, np.float32), np.empty(most, np.int32)
    for s in range(len(segments)):
        first, standing, count = segments[s]
        combine_heads(words, first, standing, count, stability, seen)
        points[s] = standing
        for i in range(standing):
            if stability[i] < threshold:
                points[s] = i
                break


@kernel(nogil=True)
def _find_best(words: NDArray[np.void], segments: NDArray[np.int64], price: float, points: NDArray[np.int64]) -> None:
    """Fill the point of each segment whose expected changes exceed the price of its words by most."""
    most = _most_standing(segments)
    stability, seen = np.empty(most, np.float32), np.empty(most, np.int32)
    changes = np.empty(most, np.float64)
    for s in range(len(segments)):
        first, standing, count = segments[s]
        combine_heads(words, first, standing, count, stability, seen)
        fill_changes(stability[:standing], seen[:standing], count, changes[:standing])
        points[s] = best_point(changes[:standing], 0, price)


@kernel(nogil=True)
def _most_standing(segments: NDArray[np.int64]) -> int:
    most = 0
    for s in range(len(segments)):
        most = max(most, segments[s, 1])
    return most


def parse_policy(text: str) -> RestartPolicy:
    """Make a policy from its text, as `read_policy` reads it.

    Raises:
        PolicyError: the text is not a policy in full.
    """
    name, number = read_policy(text)
    return _POLICIES[name](number)


_POLICIES: dict[str, Callable[[float], RestartPolicy]] = {
    "always": lambda _: Always(),
    "never": lambda _: Never(),
    "last": lambda words: Last(int(words)),
    "entropy": Entropy,
    "stability": StabilityThreshold,
    "whether": Whether,
    "price": Price,
}
