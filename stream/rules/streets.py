"""Addresses: a house number, the name of a street and the word that makes it one."""

from collections.abc import Sequence
from typing import NamedTuple

from stream.rules.numbers import NumberRun
from stream.rules.vocabulary import FLATS, ORDINALS, STOP, STREETS, TENS, WEAK_STREETS
from stream.rules.words import TextWord

MOST_NAME_WORDS = 4
"""Words between a house number and "street"."""
_DIRECTIONS = frozenset("north south east west northeast northwest southeast southwest".split())


class StreetSpan(NamedTuple):
    """An address, in words."""

    first: int
    end: int
    """Index of the word after it."""
    score: float


def find_streets(
    words: Sequence[TextWord], runs: Sequence[NumberRun], asked: Sequence[bool]
) -> tuple[list[StreetSpan], int | None]:
    """Find the addresses of a line.

    Args:
        words: words of the line; what follows the last one is not known.
        runs: numbers of the line.
        asked: for each word whether those before it ask for an address.

    Returns:
        The addresses, and the first word of one that may still go on; None if none may.
    """
    found: list[StreetSpan] = []
    open_from: int | None = None
    for run in runs:
        if not _is_house(run):
            continue
        first = _with_flat(words, run.first)
        end, hit_end, strong = _name_end(words, run.end)
        if hit_end and open_from is None:
            open_from = first
        if end and (strong or asked[run.first] or words[end - 1].text[0].isupper()):
            if not asked[run.first] and len(run.plain) < 2 and not words[end - 1].text[0].isupper():
                continue  # "one side street"
            found.append(StreetSpan(first, end, 0.8 if asked[run.first] else 0.7))
    return found, open_from


def _is_house(run: NumberRun) -> bool:
    plain = run.plain
    return len(plain) <= 6 and any(c.isdigit() for c in plain) and not run.at_end or (run.at_end and len(plain) <= 6)


def _with_flat(words: Sequence[TextWord], first: int) -> int:
    """Go back over "flat 4," before the house number."""
    if first and words[first - 1].low in FLATS:
        return first - 1
    return first


def _name_end(words: Sequence[TextWord], at: int) -> tuple[int, bool, bool]:
    """Return the word after the street's, 0 if there is none; whether the words ended before; whether it is a sure one."""
    for place in range(at, at + MOST_NAME_WORDS + 1):
        if place >= len(words):
            return 0, True, False
        low = words[place].low
        named = place > at
        if named and low in STREETS or named and low in WEAK_STREETS and not _more_name(words, place):
            end = place + 1
            if end < len(words) and words[end].low in _DIRECTIONS:
                end += 1
            return end, end >= len(words), low in STREETS
        if low in STOP or not (low.isalpha() or low in ORDINALS or low in TENS or "'" in low or low[0].isdigit()):
            return 0, False, False
        if words[place].after and words[place].after != ".":
            return 0, False, False
    return 0, False, False


def _more_name(words: Sequence[TextWord], place: int) -> bool:
    """Whether a word such as "park" belongs to the name: "park view road"."""
    return place + 1 < len(words) and words[place + 1].low in STREETS
