"""Restart policies as text: names, numbers, defaults. Imports neither torch nor numba: a typo is refused at once."""

from collections.abc import Sequence

FALLBACK = "last:3"
"""Default policy of taggers without a stability head."""
DEFAULT_PRICE = "price:0.005"
"""Default policy of taggers with a stability head, until they are calibrated; chosen on dev sets (docs/results.md)."""


class PolicyError(ValueError):
    """A policy cannot be parsed; the message says what is allowed."""


INFINITY = float("inf")
_FORMS = (
    "always",
    "never",
    "last:K (K >= 1 words)",
    "entropy:T (T >= 0 nats)",
    "stability:T (0 <= T <= 1; without :T the tagger's own)",
    "whether:T (0 <= T <= 1)",
    "price:P (P >= 0 changes a word; without :P the tagger's own)",
)
_LIMITS = {
    "last": (1, INFINITY),
    "entropy": (0, INFINITY),
    "stability": (0, 1),
    "whether": (0, 1),
    "price": (0, INFINITY),
}
"""Smallest and largest number of each policy that has one; infinity itself is not valid."""


def read_policy(text: str) -> tuple[str, float]:
    """Read a policy in full: `always`, `never`, `last:K` (K words, at least 1), `entropy:T` (T nats, at least 0),
    `stability:T` or `whether:T` (T from 0 to 1), `price:P` (P changes per word, at least 0).

    Returns:
        Its name and number; 0 for a policy without number.

    Raises:
        PolicyError: anything else.
    """
    name, colon, argument = text.partition(":")
    if text in ("always", "never"):
        return text, 0.0
    if name not in _LIMITS or not colon:
        raise PolicyError(f"policy {text!r} is unknown: use {', '.join(_FORMS)}")
    least, most = _LIMITS[name]
    try:
        number = int(argument) if name == "last" else float(argument)
        if not least <= number <= most or number == INFINITY:
            raise ValueError
    except ValueError:
        raise PolicyError(f"policy {text!r} has a bad number: use {', '.join(_FORMS)}") from None
    return name, number


def resolve_policy(text: str, default: str | None) -> str:
    """Spell a policy out in the form that `read_policy` reads.

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
    read_policy(text)
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
