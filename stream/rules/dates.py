"""Dates of birth: dates after words that ask for one."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from stream.rules.numbers import find_runs, names_things
from stream.rules.spoken import ItemKind, read_item
from stream.rules.vocabulary import MONTHS, ORDINALS, TENS, UNITS
from stream.rules.words import TextWord

_AGES = frozenset(("turns", "turned", "turning", "aged", "age", "at"))
"""Words before how old somebody is, or a time."""
_LINKS = frozenset(("of", "the", "th", "st", "nd", "rd"))
_NUMBERS = frozenset((ItemKind.DIGITS, ItemKind.QUANTITY))
_SOFT = frozenset((ItemKind.FILLER, ItemKind.CORRECTION, ItemKind.SIGN, ItemKind.ALIKE, ItemKind.REPEAT))


class DateSpan(NamedTuple):
    """A date, in words."""

    first: int
    end: int
    """Index of the word after it."""
    score: float


def find_dates(words: Sequence[TextWord], at: int, asked: Sequence[bool]) -> tuple[list[DateSpan], int | None]:
    """Find the dates of a line, from a word on, where a date of birth is asked for.

    Args:
        words: words of the line; what follows the last one is not known.
        at: index of the first word to read.
        asked: for each word whether those before it ask for a date of birth.

    Returns:
        The dates, and the first word of one that may still go on or begin; None if none may.
    """
    found: list[DateSpan] = []
    open_from: int | None = None
    while at < len(words):
        if not asked[at] or not _begins(words, at):
            at += 1
            continue
        end, digits, names, last = _read(words, at)
        if end >= len(words) and open_from is None:
            open_from = at
        if (
            last > at
            and not _is_count(words, at, last)
            and _is_birth(words[at:last], digits, names, unfinished=end >= len(words), second=bool(found))
        ):
            found.append(DateSpan(at, last, 0.9 if names and digits else 0.8))
        at = max(end, at + 1)
    return found, open_from


def _is_birth(words: Sequence[TextWord], digits: int, names: int, *, unfinished: bool, second: bool) -> bool:
    if second:
        return bool(names and digits)
    if names:
        return digits > 0 or names > 1 or unfinished
    return not _is_year(words) and (digits > 3 or (unfinished and digits > 1 and len(words) > 1))


def _is_count(words: Sequence[TextWord], at: int, end: int) -> bool:
    """Whether words say how old somebody is, or how many of something there are."""
    if at and words[at - 1].low in _AGES:
        return True
    if end < len(words) and (words[end].low in UNITS or names_things(words[end].low)):
        return not any(x.low in MONTHS for x in words[at:end])
    low = [x.low for x in words[at:end]]
    return "hundred" in low and not {"eighteen", "nineteen", *MONTHS}.intersection(low)


def _is_year(words: Sequence[TextWord]) -> bool:
    """Whether words say a year alone: nobody's birthday."""
    runs, _ = find_runs(words, 0, lambda _: False)
    return len(runs) == 1 and re.fullmatch(r"(1[89]|20)\d\d", runs[0].chars, re.ASCII) is not None


def _begins(words: Sequence[TextWord], at: int) -> bool:
    low = words[at].low
    if low == "the":
        at += 1
        while at < len(words) and (item := read_item(words, at, inside=True, letters=False)) and item.kind in _SOFT:
            at = item.end
        if at >= len(words) or _ordinal(words, at):
            return True
        return words[at].low in TENS and at + 1 >= len(words)  # "the twenty" may become "the twenty first"
    return low in MONTHS or _ordinal(words, at) > 0 or _number(words, at) is not None


def _number(words: Sequence[TextWord], at: int) -> tuple[int, int] | None:
    low = words[at].low
    item = read_item(words, at, inside=True, letters=False)
    if item is not None and item.kind in _NUMBERS:
        return sum(c.isdigit() for c in item.chars), item.end
    return (len(low), at + 1) if low.isdigit() else None


def _ordinal(words: Sequence[TextWord], at: int) -> int:
    """Return the number of words of an ordinal, such as "twenty first" or "21st"."""
    low = words[at].low
    if low in ORDINALS or (low[:-2].isdigit() and low[-2:] in ("st", "nd", "rd", "th")):
        return 1
    if low in TENS and at + 1 < len(words) and words[at + 1].low in ORDINALS:
        return 2
    return 0


def _read(words: Sequence[TextWord], at: int) -> tuple[int, int, int, int]:
    """Return the word after all that may belong to a date, its digits, its names of days and months, and its end."""
    digits = names = 0
    last = at
    while at < len(words):
        low = words[at].low
        if low in MONTHS:
            names, at = names + 1, at + 1
        elif n := _ordinal(words, at):
            names, at = names + 1, at + n
        elif (number := _number(words, at)) is not None:
            digits, at = digits + number[0], number[1]
        elif low in _LINKS:
            at += 1
            continue
        elif (item := read_item(words, at, inside=True, letters=False)) is not None and item.kind in _SOFT:
            at = item.end
            continue
        else:
            break
        last = at
    return at, digits, names, last
