"""Restart policies: the word from which the labels of an open segment are computed again.

A policy sees only the standing words. Whatever it answers, new words and words that have seen rewritten text are
computed (docs/architecture.md, "Restart policies").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.restart.expected_gain import best_point, expected_changes

FALLBACK = "last:3"
"""The default of taggers without a stability head."""
DEFAULT_PRICE = "price:0.005"
"""The default of taggers with one, until they are calibrated; chosen on dev sets (docs/results.md)."""


class PolicyError(ValueError):
    """A policy that cannot be parsed; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class StandingWords:
    """The words of an open segment that stand unchanged before the new ones are computed, one element a word."""

    entropy: NDArray[np.float32]  # (words,) of the label's distribution, nats
    probability: NDArray[np.float32]  # (words,) of the standing label
    stability: NDArray[np.float32]  # (words,) probability that the standing label stands at the close
    seen: NDArray[np.int32] | None = None  # (words,) words of the segment when each was read; None: up to itself
    coming: int = 1
    """New words that follow the standing ones."""

    @property
    def words(self) -> int:
        """Number of standing words, which is also the number of the first new one."""
        return len(self.entropy)


def combine_heads(standings: Sequence[StandingWords]) -> StandingWords:
    """Give each word the worst figures that it has in any of several labellings of the same words (at least one).

    The point of a policy that has a threshold is then the earliest of its points for each of them.
    """
    if len(standings) == 1:
        return standings[0]
    seen = [x.seen for x in standings if x.seen is not None]
    return StandingWords(
        np.maximum.reduce([x.entropy for x in standings]),
        np.minimum.reduce([x.probability for x in standings]),
        np.minimum.reduce([x.stability for x in standings]),
        np.minimum.reduce(seen) if len(seen) == len(standings) else None,
        standings[0].coming,
    )


class RestartPolicy(Protocol):
    """Standing words in, restart point out."""

    def point(self, standing: StandingWords) -> int:
        """Word from which the tail is computed, 0..words; `words` is an append. The caller clamps it to its window."""
        ...


@dataclass(frozen=True, slots=True)
class Always:
    """Every step is a full restart."""

    def point(self, standing: StandingWords) -> int:
        """Go back to the first word."""
        return 0


@dataclass(frozen=True, slots=True)
class Never:
    """Only append."""

    def point(self, standing: StandingWords) -> int:
        """Begin at the first new word."""
        return standing.words


@dataclass(frozen=True, slots=True)
class Last:
    """The last `count` words: with every new word the `count - 1` before it."""

    count: int

    def point(self, standing: StandingWords) -> int:
        """Go back over `count - 1` standing words."""
        return max(0, standing.words - self.count + 1)


@dataclass(frozen=True, slots=True)
class Entropy:
    """From the first word whose entropy is above the threshold."""

    threshold: float

    def point(self, standing: StandingWords) -> int:
        """Go back to the first word in doubt."""
        doubtful = standing.entropy > self.threshold
        return int(doubtful.argmax()) if doubtful.any() else standing.words


@dataclass(frozen=True, slots=True)
class StabilityThreshold:
    """From the first word that is not settled: whose stability is below the threshold tau."""

    threshold: float

    def point(self, standing: StandingWords) -> int:
        """Go back to the first word that is not settled."""
        unsettled = standing.stability < self.threshold
        return int(unsettled.argmax()) if unsettled.any() else standing.words


@dataclass(frozen=True, slots=True)
class Whether:
    """All or nothing: a full restart when any word is below the threshold, else an append.

    HEAR's question, whether to restart (Kaushal et al. 2023), asked of our stability head: the learned gate that the
    restart from the first unsettled word is compared with.
    """

    threshold: float

    def point(self, standing: StandingWords) -> int:
        """Go back to the first word, or to none."""
        return 0 if bool((standing.stability < self.threshold).any()) else standing.words


def resolve_policy(text: str, own: str | None) -> str:
    """Spell out a policy as `parse_policy` reads it.

    Args:
        text: what an operator wrote: a policy in full; `stability` or `price`, with the tagger's own number; or
            `default`: the tagger's own policy, or `FALLBACK` where it has none.
        own: the tagger's own policy (`own_policy`), if it has one.

    Raises:
        PolicyError: it cannot be parsed, or a number is missing that the tagger has not.
    """
    if text == "default":
        text = own or FALLBACK
    if text in ("stability", "price"):
        if own is None or not own.startswith(f"{text}:"):
            example = {"stability": "stability:0.98", "price": DEFAULT_PRICE}[text]
            raise PolicyError(
                f"policy {text!r} needs a number, as this tagger has none of its own: run `hearken calibrate --policy "
                f"{text}`, or say it, for example {example}"
            )
        text = own
    parse_policy(text)
    return text


def own_policy(known: Sequence[str | None]) -> str | None:
    """The policy for several taggers that are restarted together, given each one's own: the most cautious.

    None where one has none, or where they are of different kinds.
    """
    kinds = {policy.partition(":")[0] for policy in known if policy}
    if not known or None in known or len(kinds) > 1:
        return None
    pick = max if kinds == {"stability"} else min
    return pick((policy for policy in known if policy), key=lambda policy: float(policy.partition(":")[2]))


@dataclass(frozen=True, slots=True)
class Price:
    """From the word of which the changes that are expected exceed the price of the words by most
    (`encoder.restart.expected_gain`).
    """

    price: float
    """Changes that a word computed again has to bring."""

    def point(self, standing: StandingWords) -> int:
        """Go back as far as it pays."""
        return best_point(expected_changes(standing), 0, self.price)


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
