"""Runs of digits and letters in a line: where each begins and ends, and whether it may still go on."""

import re
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import NamedTuple

from stream.rules.spoken import SOFT, STARTS, ItemKind, SpokenItem, read_item
from stream.rules.vocabulary import STOP, UNITS, list_words
from stream.rules.words import TextWord

_HARD = frozenset((ItemKind.DIGITS, ItemKind.QUANTITY, ItemKind.CODE))
_LETTERS = frozenset((ItemKind.LETTER, ItemKind.NATO, ItemKind.JOINED))
_BREAKS = frozenset("?!")
_MONTH_REST = re.compile(r"(?:1[89]|20)\d\d|[12]?\d|3[01]", re.ASCII)
"""A year or a day."""
_BEFORE_TIMES = frozenset(("at", "until", "till", "by", "before", "after", "past", "around", "from", "since"))
_NO_PLURAL = frozenset(
    list_words("""
    yours ours hers theirs always sometimes besides afterwards upwards perhaps cheers regards mornings evenings nights
    weekdays weekends afternoons sundays saturdays mondays does goes says means comes seems needs looks ends starts
    includes please
""")
)
"""Words with an "s" at the end that no number counts."""


class NumberRun(NamedTuple):
    """Digits and letters that follow each other."""

    items: tuple[SpokenItem, ...]
    """From the first to the last one that is a digit or a letter."""
    chars: str
    """Digits, capital letters and signs, corrections applied."""
    lead: int
    """First word, or one before it that sounds like a digit ("for one one")."""
    tail: int
    """Index of the word after it, or after words behind it that sound like a digit ("four five too")."""
    stopped_by: str
    """The word after it, in small letters; "" at the end of the line."""
    at_end: bool
    """Whether the line ends with it, or with words that may stand inside a number."""
    counts: bool = False
    """Whether the word after it is what it counts: "23 emails"."""
    timed: bool = False
    """Whether the word before it is one that stands before a time: "until six thirty"."""

    @property
    def first(self) -> int:
        """Index of its first word."""
        return self.items[0].first

    @property
    def end(self) -> int:
        """Index of the word after its last one."""
        return self.items[-1].end

    @property
    def plain(self) -> str:
        """Its letters and digits without signs."""
        return "".join(c for c in self.chars if c.isalnum())

    @property
    def quantity(self) -> bool:
        """Whether it is said as a quantity, or a unit or what is counted follows."""
        return self.stopped_by in UNITS or self.counts or any(x.kind is ItemKind.QUANTITY for x in self.items)

    @property
    def spoken_singly(self) -> bool:
        """Whether it is digits and letters that are said one by one."""
        return all(x.single for x in self.items if x.kind not in SOFT)


def find_runs(
    words: Sequence[TextWord], at: int, asks_letters: Callable[[int], bool]
) -> tuple[list[NumberRun], int | None]:
    """Find the runs of a line from a word on.

    Args:
        words: words of the line; what follows the last one is not known.
        at: index of the first word to read.
        asks_letters: whether the words before a word ask for a value with letters.

    Returns:
        The runs, the one at the end of the line included; and the first word of what may still become a run or go on,
        None if nothing may.
    """
    runs: list[NumberRun] = []
    open_from: int | None = None
    while at < len(words):
        # nothing goes on over a question mark: what is read does not look past it
        end = next((i + 1 for i in range(at, len(words)) if not _BREAKS.isdisjoint(words[i].after)), 0)
        open_from = _find_in_sentence(words[:end] if end else words, at, asks_letters, runs)
        if not end:
            break
        open_from, at = None, end
    return runs, open_from


def _find_in_sentence(
    words: Sequence[TextWord], at: int, asks_letters: Callable[[int], bool], runs: list[NumberRun]
) -> int | None:
    open_from: int | None = None
    while at < len(words):
        low = words[at].low
        letters = asks_letters(at)
        if len(low) > 4 and low not in STARTS and low.isalpha():
            at += 1  # most words
            continue
        item = read_item(words, at, inside=False, letters=letters)
        if item is None:
            at += 1
            continue
        items, end = _read_run(words, item, letters)
        stopped = end < len(words)
        if not stopped:
            open_from = items[0].first
        run = _make_run(words, items, words[end].low if stopped else "", not stopped, letters)
        if run is not None:
            runs.append(run)
        at = end
    return open_from


def _read_run(words: Sequence[TextWord], item: SpokenItem, letters: bool) -> tuple[list[SpokenItem], int]:
    """Read items from the first one on, and return the index of the word after them."""
    items = [item]
    while (end := items[-1].end) < len(words):
        following = read_item(words, end, inside=True, letters=letters)
        if following is None:
            break
        last = items[-1]
        if following.kind is ItemKind.ALIKE and not (last.single or last.kind in SOFT):
            break
        if following.kind is last.kind is ItemKind.JOINED:
            break
        if last.kind is ItemKind.ALIKE and not (following.single or following.kind in SOFT) and len(items) > 1:
            return items[:-1], last.first  # "from 1200 to 1500" are two numbers, and "to" is no digit
        items.append(following)
    return items, items[-1].end


def _make_run(
    words: Sequence[TextWord], items: list[SpokenItem], stopped_by: str, at_end: bool, letters: bool
) -> NumberRun | None:
    """Cut what belongs to the words around, and put the characters together."""
    lead, whole = items[0].first, items
    while items and (items[-1].kind in SOFT or _is_loose(items, len(items) - 1, letters)):
        items = items[:-1]
    while items and ((items[0].kind in SOFT and items[0].chars != "+") or _is_loose(items, 0, letters)):
        items = items[1:]
    if not items:
        return None
    if words[items[0].first].low == "november" and _MONTH_REST.fullmatch(_characters(items[1:])):
        items = items[1:]  # a month, and no letter
    hard = [words[x.first].low for x in items if x.kind in _HARD]
    if hard == ["oh"] and not any(x.kind in (ItemKind.LETTER, ItemKind.NATO) for x in items):
        return None  # "oh nice"
    if not any(x.kind in _HARD and words[x.first].low != "o" for x in items):  # "k o v a c s"
        items = [x._replace(kind=ItemKind.LETTER, chars="O") if x.kind in _HARD else x for x in items]
    after = [x for x in whole if x.first >= items[-1].end]
    tail = max((x.end for x in after if x.kind is ItemKind.ALIKE and x.chars.isdigit()), default=items[-1].end)
    counts = not at_end and items[-1].end == whole[-1].end and not words[whole[-1].end - 1].after
    counts = counts and names_things(stopped_by) and not (len(items) > 2 and all(x.single for x in items))
    timed = items[0].first > 0 and words[items[0].first - 1].low in _BEFORE_TIMES
    return NumberRun(tuple(items), _characters(items), lead, tail, stopped_by, at_end, counts, timed)


def names_things(low: str) -> bool:
    """Whether a word in small letters may be a plural, which the number before it counts."""
    plural = len(low) > 3 and low.isalpha() and low[-1] == "s" and low[-2] not in "sui"
    return plural and low not in STOP and low not in _NO_PLURAL


def _is_loose(items: list[SpokenItem], at: int, letters: bool) -> bool:
    """Whether the first or last item is a word of its own: "a" or "i" not beside a letter, "mike" not spelled."""
    item = items[at]
    if item.kind not in (ItemKind.LETTER, ItemKind.NATO, ItemKind.JOINED):
        return False
    others = (x for x in (items[1:] if at == 0 else reversed(items[:at])) if x.kind not in SOFT)
    neighbour = next(others, None)
    if item.kind is ItemKind.LETTER and item.end - item.first > 1:
        return False
    if item.kind is ItemKind.LETTER and item.chars not in ("A", "I"):
        return False
    if neighbour is None:
        return True
    if item.kind is ItemKind.LETTER:
        rest = [x for x in items if x is not item and x.kind not in SOFT]
        article = item.chars == "A" and all(x.kind in _HARD for x in rest) and sum(len(x.chars) for x in rest) < 5
        return neighbour.kind not in _LETTERS and not (letters and at == 0 and not article)
    return neighbour.kind not in _LETTERS and neighbour.kind not in _HARD


def _characters(items: list[SpokenItem]) -> str:
    """Put characters together. A correction takes the place of the item before it, or of the end of a longer one."""
    chars: list[str] = []
    for i, item in enumerate(items):
        if item.kind is ItemKind.CORRECTION:
            if chars:
                chars.append(_without_end(chars.pop(), items[i + 1 :]))
        elif item.kind is not ItemKind.FILLER and item.chars:
            chars.append(item.chars)
    return "".join(chars)


def _without_end(corrected: str, items: Sequence[SpokenItem]) -> str:
    """Return what stays of "555-0142" before "no, 0147": what is not said again."""
    said = list(takewhile(lambda x: x.kind is not ItemKind.CORRECTION, items))
    kept = sum(map(str.isalnum, corrected)) - sum(c.isalnum() for x in said for c in x.chars)
    places = [i for i, c in enumerate(corrected) if c.isalnum()]
    return corrected[: places[kept]] if 0 < kept < len(places) else ""
