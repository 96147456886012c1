"""Restart policies: the word of an open segment from which its labels are computed again.

A policy sees the standing words alone (`PolicyBatch`). Whatever it answers, new words and words that have seen
rewritten text are computed. Each policy answers for all segments of a step in one call; the plain version for one
segment, which the tests compare it with, is `tests/encoder/restart/reference.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numba
import numpy as np
from numpy.typing import NDArray

from encoder.restart.expected_gain import best_point, fill_changes
from encoder.restart.standing import PolicyBatch, combine_heads

FALLBACK = "last:3"
"""Default policy of taggers without a stability head."""
DEFAULT_PRICE = "price:0.005"
"""Default policy of taggers with a stability head, until they are calibrated; chosen on dev sets (docs/results.md)."""


class PolicyError(ValueError):
    """A policy cannot be parsed; the message says what is allowed."""


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
        return [max(0, standing - self.count + 1) for standing in batch.standing.tolist()]


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
        return [
            0 if point < standing else point for point, standing in zip(unstable, batch.standing.tolist(), strict=True)
        ]


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


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def _highest_entropy(words: NDArray[np.void], index: int) -> np.float32:
    highest = np.float32(0)
    for tagger in range(len(words)):
        highest = max(highest, words[tagger, index].entropy)
    return highest


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def _most_standing(segments: NDArray[np.int64]) -> int:
    most = 0
    for s in range(len(segments)):
        most = max(most, segments[s, 1])
    return most


def resolve_policy(text: str, default: str | None) -> str:
    """Spell a policy out in the form that `parse_policy` reads.

    Args:
        text: as an operator wrote it: a policy in full; `stability` or `price`, with the tagger's own number; or
            `default`: the tagger's default policy, or `FALLBACK` if it has none.
        default: the tagger's default policy, if it has one.

    Raises:
        PolicyError: the text cannot be parsed, or it lacks a number and the tagger has none.
    """
    if text == "default":
        text = default or FALLBACK
    if text in ("stability", "price"):
        if default is None or not default.startswith(f"{text}:"):
            example = {"stability": "stability:0.98", "price": DEFAULT_PRICE}[text]
            raise PolicyError(
                f"policy {text!r} needs a number, as this tagger has none of its own: run `hearken calibrate --policy "
                f"{text}`, or say it, for example {example}"
            )
        text = default
    parse_policy(text)
    return text


def most_cautious_policy(policies: Sequence[str | None]) -> str | None:
    """Choose one policy for several taggers that are restarted together, from the default of each.

    None if one of them has none, or if they are of different kinds.
    """
    kinds = {policy.partition(":")[0] for policy in policies if policy}
    if not policies or None in policies or len(kinds) > 1:
        return None
    pick = max if kinds == {"stability"} else min
    return pick((policy for policy in policies if policy), key=lambda policy: float(policy.partition(":")[2]))


def parse_policy(text: str) -> RestartPolicy:
    """Parse `always`, `never`, `last:K` (K words, at least 1), `entropy:T` (T nats, at least 0), `stability:T` or
    `whether:T` (T from 0 to 1).

    Raises:
        PolicyError: anything else.
    """
    name, colon, argument = text.partition(":")
    if name not in _POLICIES or bool(colon) != (name not in ("always", "never")):
        raise PolicyError(f"policy {text!r} is unknown: use {', '.join(_FORMS)}")
    try:
        return _POLICIES[name](argument)
    except ValueError:
        raise PolicyError(f"policy {text!r} has a bad number: use {', '.join(_FORMS)}") from None


def _last(argument: str) -> RestartPolicy:
    count = int(argument)
    if count < 1:
        raise ValueError
    return Last(count)


def _entropy(argument: str) -> Entropy:
    threshold = float(argument)
    if not 0 <= threshold < float("inf"):
        raise ValueError
    return Entropy(threshold)


def _threshold(argument: str) -> float:
    threshold = float(argument)
    if not 0 <= threshold <= 1:
        raise ValueError
    return threshold


_FORMS = (
    "always",
    "never",
    "last:K (K >= 1 words)",
    "entropy:T (T >= 0 nats)",
    "stability:T (0 <= T <= 1; without :T the tagger's own)",
    "whether:T (0 <= T <= 1)",
    "price:P (P >= 0 changes a word; without :P the tagger's own)",
)
_POLICIES: dict[str, Callable[[str], RestartPolicy]] = {
    "always": lambda _: Always(),
    "never": lambda _: Never(),
    "last": _last,
    "entropy": _entropy,
    "stability": lambda argument: StabilityThreshold(_threshold(argument)),
    "whether": lambda argument: Whether(_threshold(argument)),
    "price": lambda argument: Price(_entropy(argument).threshold),
}
