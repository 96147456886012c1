"""Numbers as they are said: years, ordinals, decades, times of day and plain numbers, in English words.

Some recognisers write digits and others words, so spoken text is trained in both forms.
"""

import re


def _words(text: str) -> list[str]:
    return text.split()


ONES = _words("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
""")
TENS = _words("- - twenty thirty forty fifty sixty seventy eighty ninety")
SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MONTHS = frozenset(
    _words("""
        january february march april may june july august september october november december
        jan feb mar apr jun jul aug sep sept oct nov dec
    """)
)
LONGEST = 12
"""Digits of the longest number that is said; longer ones are read out, and mostly are no numbers."""
_PLAIN = re.compile(r"(\d{1,3}(,\d{3})+|\d+)(\.\d+)?")
_ORDINAL = re.compile(r"(\d+)(st|nd|rd|th)", re.IGNORECASE)
_DECADE = re.compile(r"['’]?(\d{2}|\d{4})['’]?s", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")


def say_number(word: str, before: str = "") -> list[str]:
    """Say a word that is a number, in lower case words; nothing if it is none. `before` is the word before it."""
    if match := _CLOCK.fullmatch(word):
        hour, minute = int(match[1]), int(match[2])
        if hour < 24 and minute < 60:
            return [*_cardinal(hour), *(["oh"] if 0 < minute < 10 else []), *(_cardinal(minute) if minute else [])]
    if (match := _ORDINAL.fullmatch(word)) and len(match[1]) <= LONGEST:
        return _ordinal(_cardinal(int(match[1])))
    if match := _DECADE.fullmatch(word):
        said = _year(int(match[1])) if len(match[1]) == 4 else _cardinal(int(match[1]))
        return [*said[:-1], said[-1][:-1] + "ies" if said[-1].endswith("ty") else said[-1] + "s"] if said else []
    match = _PLAIN.fullmatch(word)
    if match is None or len(digits := match[1].replace(",", "")) > LONGEST:
        return []
    whole, value = match[1], int(digits)
    if match[3]:
        return [*_cardinal(value), "point", *(ONES[int(digit)] for digit in match[3][1:])]
    if before.lower().rstrip(".") in MONTHS and 0 < value < 32:
        return _ordinal(_cardinal(value))
    return (_year(value) if len(whole) == 4 else []) or _cardinal(value)


def _cardinal(value: int) -> list[str]:
    if value < 20:
        return [ONES[value]]
    if value < 100:
        return [TENS[value // 10], *([ONES[value % 10]] if value % 10 else [])]
    scale, name = next((scale, name) for scale, name in SCALES if value >= scale)
    rest = value % scale
    return [*_cardinal(value // scale), name, *(_cardinal(rest) if rest else [])]


def _ordinal(said: list[str]) -> list[str]:
    last = said[-1]
    return [*said[:-1], IRREGULAR.get(last, last[:-1] + "ieth" if last.endswith("y") else last + "th")]


def _year(value: int) -> list[str]:
    """Say a year from 1100 to 2099 in two halves; nothing for another number, or for 2000 to 2009."""
    century, rest = divmod(value, 100)
    if not 11 <= century <= 20 or (century == 20 and rest < 10):
        return []
    return [*_cardinal(century), *(["hundred"] if not rest else ["oh"] * (rest < 10) + _cardinal(rest))]
