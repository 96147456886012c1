"""Reader of spoken and written numbers and spellings: words become digits, letters and signs, each with its words.

No word is lost on the way: an item names the words it stands for, so that what is found in the characters has offsets
in the text. One item is a digit or several ("forty one", "double seven", "four hundred and twelve", "411"), a letter
("b", "bravo", "b as in bravo"), letters and digits that are written together ("AB12"), a sign ("dash", "plus"), or
something that may stand inside a number and says nothing: a filler, a correction, a digit that was misheard ("for").
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from stream.rules.vocabulary import (
    ALIKE,
    ALIKE_LETTERS,
    CORRECTIONS,
    FILLERS,
    LINKS,
    NATO,
    ONES,
    REPEATS,
    SCALES,
    SHORT,
    SIGNS,
    STOP,
    TEENS,
    TENS,
    UNITS,
)
from stream.rules.words import Phrases, TextWord


class ItemKind(Enum):
    """What some words stand for."""

    DIGITS = "digits"
    QUANTITY = "quantity"
    """Digits of a number with "thousand" or more."""
    LETTER = "letter"
    NATO = "nato"
    """A letter that is a word of its own, such as "mike"."""
    JOINED = "joined"
    """Letters that are written as one word, such as "AB"."""
    CODE = "code"
    """Letters and digits in one word."""
    SIGN = "sign"
    REPEAT = "repeat"
    ALIKE = "alike"
    """A word that sounds like a digit or a letter."""
    FILLER = "filler"
    CORRECTION = "correction"


SOFT = frozenset((ItemKind.SIGN, ItemKind.ALIKE, ItemKind.FILLER, ItemKind.CORRECTION, ItemKind.REPEAT))
"""Kinds that belong to a number only if something of another kind stands on both sides of them."""


class SpokenItem(NamedTuple):
    """Characters, and the words they were read from."""

    kind: ItemKind
    chars: str
    """Digits, capital letters and signs; "" of a filler."""
    first: int
    """Index of the first word."""
    end: int
    """Index of the word after the last one."""
    single: bool = False
    """Whether it is one digit or letter that was said by itself."""


_SOFT_PHRASES = Phrases((*((x, ItemKind.FILLER) for x in FILLERS), *((x, ItemKind.CORRECTION) for x in CORRECTIONS)))
_LINKS = Phrases((x, x) for x in LINKS)
_DIGITS = re.compile(r"\+?\(?\d[\d()./\-]*\d\)?|\+?\d", re.ASCII)
_DECIMAL = re.compile(r"\d+\.\d{1,2}|\d{1,3}(,\d{3})+(\.\d+)?|\d{1,2}[:.]\d{2}", re.ASCII)
_CODE = re.compile(r"(?=.*\d)(?=.*[a-z])[a-z0-9]+(?:[-/][a-z0-9]+)*", re.ASCII)
_MEASURE = re.compile(r"\d+(st|nd|rd|th|am|pm|kg|km|cm|mm|gb|mb|tb|k|m|x|s|g|h|hz|mg|ml|p|min|mins|ft)", re.ASCII)
STARTS = frozenset((*ONES, *TEENS, *TENS, *REPEATS, *NATO, *ALIKE, "hundred", "plus"))
"""Words of more than four letters with which a number may begin, and shorter ones."""
_VOWELS = frozenset("aeiou")
_MONEY = frozenset("$£€₹¥")
LONGEST_CODE = 40
"""Characters of the longest written word that is read as a code."""


def read_item(words: Sequence[TextWord], at: int, *, inside: bool, letters: bool) -> SpokenItem | None:
    """Read the item that begins at a word.

    Args:
        words: words of a line.
        at: index of the first word.
        inside: whether an item came right before.
        letters: whether the words before ask for letters, so that "ab" may be two of them.

    Returns:
        The item; None if the word is none of these. Words that end in the middle of a phrase, such as "no" of
        "no sorry" or "b as", are read as if the phrase were complete: more words decide.
    """
    word = words[at]
    low = word.low
    if word.before and not _MONEY.isdisjoint(word.before):
        return None
    if low == "o" and at + 1 < len(words) and words[at + 1].low in ("as", "like", "for"):
        letter = _letter(words, at)
        if letter.end > at + 1:
            return letter
    if low in ONES:
        return _spoken_number(words, at)
    if low[0].isdigit() or low[0] in "+(":
        return _written(word, at)
    if inside and low == "i":
        n, kind = _SOFT_PHRASES.match(words, at)
        if n > 1:
            return SpokenItem(kind or ItemKind.CORRECTION, "", at, at + n)
    if len(low) == 1:
        return _letter(words, at) if low.isalpha() and low.isascii() else _sign(low, at, inside)
    if low in TENS or low in TEENS or low == "hundred":
        return _spoken_number(words, at)
    if low in REPEATS:
        return _repeat(words, at)
    if (inside and low in SIGNS) or low == "plus":
        return SpokenItem(ItemKind.SIGN, SIGNS[low], at, at + 1)
    if low in NATO:
        return SpokenItem(ItemKind.NATO, NATO[low], at, at + 1, single=True)
    if low in ALIKE:
        return SpokenItem(ItemKind.ALIKE, ALIKE[low], at, at + 1, single=True)
    if inside:
        n, kind = _SOFT_PHRASES.match(words, at)
        if n:
            return SpokenItem(kind or ItemKind.FILLER, "", at, at + n)
        if low in ALIKE_LETTERS:
            return SpokenItem(ItemKind.ALIKE, ALIKE_LETTERS[low], at, at + 1, single=True)
    if any(c.isdigit() for c in low):
        return _written(word, at)
    if len(low) <= 4 and low.isalpha() and low.isascii() and low not in STOP and low not in SHORT:
        capitals = word.text.isupper() and len(low) < 4
        following = words[at + 1].low if at + 1 < len(words) else "1"
        numbered = following[0].isdigit() or following in ONES or following in REPEATS
        long = len(low) == 4 and not word.text.isupper()
        if long and (low in UNITS or low[-1] == "s" or not (inside or _VOWELS.isdisjoint(low))):
            return None  # "eggs", "sold"
        if capitals or (letters and len(low) < 4) or ((letters or word.text.isupper()) and numbered):
            return SpokenItem(ItemKind.JOINED, low.upper(), at, at + 1)
    return None


def _sign(char: str, at: int, inside: bool) -> SpokenItem | None:
    if inside and char in "-–—/.:_#":
        return SpokenItem(ItemKind.SIGN, char, at, at + 1)
    return None


def _written(word: TextWord, at: int) -> SpokenItem | None:
    low = word.low
    if len(low) > LONGEST_CODE or "%" in word.after or _DECIMAL.fullmatch(low) or _MEASURE.fullmatch(low):
        return None
    if _DIGITS.fullmatch(low):
        single = len(low) == 1
        return SpokenItem(ItemKind.DIGITS, low.replace("(", "").replace(")", ""), at, at + 1, single=single)
    if _CODE.fullmatch(low):
        return SpokenItem(ItemKind.CODE, low.upper(), at, at + 1)
    return None


def _letter(words: Sequence[TextWord], at: int) -> SpokenItem:
    """Read "b", or "b as in bravo"; the word has to begin with the letter."""
    letter = words[at].low
    if at + 1 < len(words):
        n, _ = _LINKS.match(words, at + 1)
        if n and at + 1 + n >= len(words):
            return SpokenItem(ItemKind.LETTER, letter.upper(), at, at + 1 + n, single=True)
        if n and words[at + 1 + n].low.startswith(letter) and words[at + 1 + n].low not in ("four", "five"):
            return SpokenItem(ItemKind.LETTER, letter.upper(), at, at + 2 + n, single=True)
    return SpokenItem(ItemKind.LETTER, letter.upper(), at, at + 1, single=True)


def _repeat(words: Sequence[TextWord], at: int) -> SpokenItem:
    """Read "double seven" or "triple w"; "double" alone if something else follows."""
    if at + 1 < len(words):
        times, low = REPEATS[words[at].low], words[at + 1].low
        if low in ONES:
            return SpokenItem(ItemKind.DIGITS, str(ONES[low]) * times, at, at + 2, single=True)
        if len(low) == 1 and low.isascii() and low.isalnum():
            kind = ItemKind.DIGITS if low.isdigit() else ItemKind.LETTER
            return SpokenItem(kind, low.upper() * times, at, at + 2, single=True)
    return SpokenItem(ItemKind.REPEAT, "", at, at + 1)


def _below_hundred(words: Sequence[TextWord], at: int) -> tuple[int, int]:
    """Return (value, number of words) of a number from 0 to 99; no word if there is none."""
    low = words[at].low if at < len(words) else ""
    if low in TENS:
        following = words[at + 1].low if at + 1 < len(words) else ""
        if not words[at].after and ONES.get(following, 0) and following not in ("tree", "fife"):
            return TENS[low] + ONES[following], 2
        return TENS[low], 1
    if low in TEENS:
        return TEENS[low], 1
    if low in ONES:
        return ONES[low], 1
    return 0, 0


def _spoken_number(words: Sequence[TextWord], at: int) -> SpokenItem:
    """Read a cardinal: "seven", "forty one", "four hundred and twelve", "two thousand"."""
    value, n = _below_hundred(words, at)
    single = n == 1 and value < 10
    end = at + n
    quantity = False
    if end < len(words) and words[end].low == "hundred":
        value, end, single = max(value, 1) * 100, end + 1, False
        skip = end < len(words) and words[end].low == "and"
        rest, n = _below_hundred(words, end + skip)
        if skip and end + skip >= len(words):
            end += 1  # "four hundred and": more words decide
        elif n and (skip or rest >= 10 or value < 1000) and words[end + skip].low not in ("oh", "o", "zero"):
            value, end = value + rest, end + skip + n
    while end < len(words) and words[end].low in SCALES:
        value, end, single, quantity = value * 1000, end + 1, False, True
        rest, n = _below_hundred(words, end)
        if n and end + n < len(words) and words[end + n].low == "hundred":
            rest, n = rest * 100, n + 1
        if n and words[end].low not in ("oh", "o", "zero"):
            value, end = value + rest, end + n
    kind = ItemKind.QUANTITY if quantity else ItemKind.DIGITS
    return SpokenItem(kind, str(value), at, end, single)
