"""Addresses: a house number, the name of a street and the word that makes it one."""

from collections.abc import Sequence
from typing import NamedTuple

from stream.rules.numbers import NumberRun
from stream.rules.spoken import read_item
from stream.rules.vocabulary import FLATS, ORDINALS, STOP, STREETS, TENS, UNITS, WEAK_STREETS, list_words
from stream.rules.words import TextWord

MOST_HOUSE = 6
"""Letters and digits of a house number."""
MOST_NAME_WORDS = 4
"""Words between a house number and "street"."""
_COUNTING = frozenset(("a", "an", "about", "another", "only", "just", "over", "got", "the"))
_DIRECTIONS = frozenset(list_words("north south east west northeast northwest southeast southwest"))


class StreetSpan(NamedTuple):
    """An address, in words."""

    first: int
    end: int
    """Index of the word after it."""
    score: float


def find_streets(
    words: Sequence[TextWord],
    runs: Sequence[NumberRun],
    asked: Sequence[bool],
    near: Sequence[bool],
    house: Sequence[bool],
) -> tuple[list[StreetSpan], int | None]:
    """Find the addresses of a line.

    Args:
        words: words of the line; what follows the last one is not known.
        runs: numbers of the line.
        asked: for each word whether those before it ask for an address.
        near: whether the words right before it do.
        house: whether those right before it ask for the number of a house alone.

    Returns:
        The addresses, and the first word of one that may still go on; None if none may.
    """
    found: list[StreetSpan] = []
    open_from: int | None = None
    for run in runs:
        if not any(c.isdigit() for c in run.plain) or len(run.plain) > MOST_HOUSE:
            continue
        first = _with_flat(words, run.first)
        name = _read_name(words, run.end)
        if name.hit_end and open_from is None:
            open_from = first
        asks = asked[run.first]
        if name.street:
            capital = words[name.end - 1].text[0].isupper()
            long = len(run.plain) > 1 or words[run.first].low[0].isdigit()  # not "one side street"
            if asks or (long and (capital or name.sure)):
                found.append(StreetSpan(first, name.end, 0.8 if asks else 0.7))
        elif near[run.first] and name.end > run.end and not _is_counted(words, run, name.end):
            found.append(StreetSpan(first, name.end, 0.5))
        elif house[run.first] and run.at_end and not run.quantity:
            found.append(StreetSpan(first, run.end, 0.6))
    return found, open_from


def _is_counted(words: Sequence[TextWord], run: NumberRun, end: int) -> bool:
    """Whether a number counts what is behind it: "a 3 credit class", "12 eggs"."""
    if run.quantity and not (run.counts and end > run.end + 1):
        return True
    return run.first > 0 and words[run.first - 1].low in _COUNTING


def _with_flat(words: Sequence[TextWord], first: int) -> int:
    """Go back over "flat 4," before the house number."""
    if first and words[first - 1].low in FLATS:
        return first - 1
    return first


class _StreetName(NamedTuple):
    end: int
    """Index of the word after it."""
    street: bool
    """Whether a word such as "street" is in it."""
    sure: bool
    """Whether that word is rarely used otherwise."""
    hit_end: bool
    """Whether the words ended before it was clear that the name does."""


def _read_name(words: Sequence[TextWord], at: int) -> _StreetName:
    """Read the name of a street after a house number."""
    if words[at - 1].after and words[at - 1].after != ",":
        return _StreetName(at, False, False, False)
    end = at
    for place in range(at, at + MOST_NAME_WORDS + 1):
        if place >= len(words):
            return _StreetName(min(end, at + 3), False, False, True)
        low = words[place].low
        named = place > at
        if named and (low in STREETS or (low in WEAK_STREETS and not _more_name(words, place))):
            end, hit_end = _after_street(words, place + 1)
            return _StreetName(end, True, low in STREETS, hit_end)
        if low in UNITS or (low in STOP and not (low == "the" and not named)):
            break
        if not (low.isalpha() or low in ORDINALS or low in TENS or "'" in low or low[0].isdigit()):
            break
        end = place + 1
        if words[place].after and words[place].after != ".":
            break
    return _StreetName(min(end, at + 3), False, False, False)


def _after_street(words: Sequence[TextWord], end: int) -> tuple[int, bool]:
    """Go on over "north" and "apartment 4"; also say whether the words ended before it was clear."""
    if end < len(words) and words[end].low in _DIRECTIONS:
        end += 1
    if end < len(words) and words[end].low in FLATS:
        if end + 1 >= len(words):
            return end, True
        item = read_item(words, end + 1, inside=False, letters=False)
        if item is not None:
            return item.end if item.chars else end, item.end >= len(words)
    return end, end >= len(words)


def _more_name(words: Sequence[TextWord], place: int) -> bool:
    """Whether a word such as "park" belongs to the name: "park view road"."""
    return place + 1 < len(words) and words[place + 1].low in STREETS
