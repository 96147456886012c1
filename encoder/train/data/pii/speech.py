"""How values are said: digit by digit or in groups, letters by themselves or by a word, "at", "dot", dates in words.

A spoken value is a list of units, each of one word or more ("double seven", "m as in mike"): nobody pauses inside one.
"""

import random
import re
from typing import NamedTuple

from encoder.train.data.numbers import ONES, say_number
from encoder.train.data.pii.impersonal import cardinal
from encoder.train.data.pii.personal import MONTHS
from encoder.train.data.pii.value import Value, split_words

NATO = split_words("""
    alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec romeo
    sierra tango uniform victor whiskey xray yankee zulu
""")
SPELLING_WORDS = split_words("""
    apple boy cat dog edward frank george henry ink john king london mary nancy orange peter queen robert sugar
    tom uncle violet william xylophone yellow zebra
""")
SIGNS = {
    ".": ("dot", "dot", "dot", "point"), "@": ("at",), "_": ("underscore", "underscore", "under score"),
    "-": ("dash", "hyphen", "dash", "minus"), "/": ("slash", "slash", "forward slash"), ":": ("colon",), "+": ("plus",),
}  # fmt: skip
_BY_LETTER = frozenset(split_words("uk ie au ca io bbc nhs irs hse gmx aol att cv tpg irctc usa"))
"""Parts of web addresses that are said letter by letter."""
_SILENT = ("", "", "", "dash", "space")
"""How signs and blanks in a number are said."""


_TYPED = {"web": 0.6, "ip": 0.7, "code": 0.3, "date": 0.3, "fixed": 0.3}
"""Share of the values, by kind, that a recogniser with digits writes with their signs, such as "jo@lee.net"."""
_TOGETHER = 0.12
"""Probability that letters of a number are written as one word."""


class SpokenValue(NamedTuple):
    """A value as it is said."""

    units: list[str]
    styles: frozenset[str]
    """Names of the forms that were used."""


class Speech:
    """The habits of one speaker; each value is said anew."""

    def __init__(self, rng: random.Random, *, digits: bool, day_first: bool) -> None:
        """Draw habits; with `digits` the recogniser writes digits."""
        self._rng = rng
        self._digits = digits
        self._day_first = day_first
        self._zero = rng.choice(("zero", "zero", "oh", "oh", "nought"))
        self._doubles = rng.random() < 0.55
        self._used: set[str] = set()

    def say(self, value: Value) -> SpokenValue:
        """Say a value; with digits the recogniser sometimes writes it as it is typed."""
        self._used = set()
        if self._digits and self._chance(_TYPED.get(value.kind, 0)):
            return SpokenValue(value.written.lower().split(), frozenset(("typed",)))
        units = {
            "name": lambda v: list(v.parts),
            "fixed": lambda v: v.parts[self._digits].split(),
            "spelled": lambda v: self._letters("".join(v.parts)),
            "code": self._code,
            "ip": self._ip,
            "address": self._address,
            "web": self._web,
            "date": self._date,
        }[value.kind](value)
        return SpokenValue(units, frozenset(self._used))

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _mark(self, style: str, unit: str) -> str:
        self._used.add(style)
        return unit

    def _letters(self, letters: str) -> list[str]:
        """Spell letters: plain, by the NATO alphabet, or by a word that begins with them."""
        style = self._rng.choice(("plain", "plain", "plain", "nato", "as in"))
        link, every = self._rng.choice(("as in", "as in", "for", "like")), self._chance(0.5)
        words = NATO if self._chance(0.6) else SPELLING_WORDS
        said = []
        for letter in letters.lower():
            place = ord(letter) - ord("a")
            if style == "nato":
                said.append(self._mark("nato", NATO[place]))
            elif style == "as in" and (every or letter in "bdfmnpstv"):
                said.append(self._mark(f"letter {link}", f"{letter} {link} {words[place]}"))
            else:
                said.append(self._mark("letters", letter))
        return said

    def _code(self, value: Value) -> list[str]:
        if self._digits:
            return self._formatted(value.parts)
        style = self._rng.choice(("singles", "singles", "singles", "pairs", "hundreds"))
        silent = self._rng.choice(_SILENT)
        units: list[str] = []
        for part in value.parts:
            if part.isdigit():
                units += self._run(part, style)
            elif part.isalpha():
                together = len(part) > 1 and self._chance(_TOGETHER)
                units += [self._mark("letters together", part.lower())] if together else self._letters(part)
            elif part == "+":
                units.append(self._mark("plus", "plus"))
            elif part == "/":
                units.append(self._mark("slash", "slash"))
            elif silent:
                units.append(self._mark("dash", silent))
        return units

    def _formatted(self, parts: tuple[str, ...]) -> list[str]:
        """Write a number as recognisers do that write digits: in its groups, in one, or digit by digit."""
        plain = [x.lower() for x in parts if x.isalnum()]
        layout = self._rng.choice(("groups", "groups", "groups", "one", "single", "single", "pairs", "mixed"))
        self._used.add(f"digits {layout}")
        plus = ["plus"] if parts[0] == "+" and self._chance(0.6) else []
        if layout == "one":
            return [*plus, "".join(plain)]
        if layout == "mixed":  # some groups in words
            runs = [self._run(x, "singles") if x.isdigit() and self._chance(0.4) else [x] for x in plain]
            return [*plus, *(unit for run in runs for unit in run)]
        size = {"groups": 99, "single": 1, "pairs": 2}[layout]
        return [*plus, *(x[i : i + size] for x in plain for i in range(0, len(x), size))]

    def _run(self, run: str, style: str) -> list[str]:
        """Say a run of digits in words."""
        if 3 <= len(run) <= 4 and run[0] != "0" and (style == "hundreds" or (run.endswith("00") and self._chance(0.4))):
            return self._hundreds(run)
        units: list[str] = []
        i = len(run) % 2 if style == "pairs" and self._chance(0.5) else 0
        units += [self._digit(run[0])] if i else []
        while i < len(run):
            pair = run[i : i + 2]
            same = len(run[i:]) - len(run[i:].lstrip(run[i]))
            if same > 1 and self._doubles:
                times = min(same, 3) if same != 4 else 2
                times_word = "double" if times == 2 else "triple"
                units.append(self._mark(times_word, f"{times_word} {self._digit(run[i])}"))
                i += times
            elif style == "pairs" and len(pair) == 2 and pair[0] != "0":
                units.append(self._mark("pairs", cardinal(int(pair))))
                i += 2
            else:
                units.append(self._digit(run[i]))
                i += 1
        return units

    def _hundreds(self, run: str) -> list[str]:
        rest = int(run[-2:])
        if run.endswith("000"):
            return [self._mark("hundreds", f"{ONES[int(run[0])]} thousand")]
        first = cardinal(int(run[:-2]))
        if not rest:
            return [self._mark("hundreds", f"{first} hundred")]
        if len(run) == 3 and self._chance(0.6):
            joint = " and" if self._chance(0.5) else ""
            return [self._mark("hundreds", f"{first} hundred{joint}"), cardinal(rest)]
        return [self._mark("pairs", first), f"{self._digit('0')} {cardinal(rest)}" if rest < 10 else cardinal(rest)]

    def _digit(self, digit: str) -> str:
        if digit == "0":
            return self._mark(self._zero, self._zero)
        return self._mark("digits", ONES[int(digit)])

    def _ip(self, value: Value) -> list[str]:
        sign, style = (
            self._rng.choice(("dot", "dot", "dot", "point", "")),
            self._rng.choice(("singles", "hundreds", "cardinal")),
        )
        units: list[str] = []
        for part in value.parts:
            if part.isdigit() and self._digits:
                units.append(part)
            elif part.isdigit():
                units += [cardinal(int(part))] if style == "cardinal" else self._run(part, style)
            elif part.isalpha():
                units += list(part.lower())
            elif part == ":":
                units.append("colon")
            elif sign:
                units.append(self._mark("dot", sign))
        return units

    def _address(self, value: Value) -> list[str]:
        units: list[str] = []
        style = self._rng.choice(("cardinal", "pairs", "singles"))
        for part in value.parts:
            low = part.lower()
            house = re.fullmatch(r"(\d+)([a-z]?)", low)
            if self._digits or not low[0].isdigit():
                units.append(low)
            elif house:
                units += self._run(house[1], style) if style != "cardinal" else [cardinal(int(house[1]))]
                units += [house[2]] if house[2] else []
            else:
                units += [" ".join(say_number(low)) or low]
        return units

    def _web(self, value: Value) -> list[str]:
        parts = list(value.parts)
        if parts[:4] == ["https", ":", "/", "/"] and self._chance(0.7):
            parts = parts[4:]
        spell, style = self._chance(0.08), self._rng.choice(("singles", "pairs"))
        signs = {sign: self._rng.choice(said) for sign, said in SIGNS.items()} | {".": "dot"}
        units: list[str] = []
        for part in parts:
            if part == "www":
                units.append(self._rng.choice(("w w w", "www", "triple w")))
            elif part == "https" or part in _BY_LETTER:
                units += list(part) if self._chance(0.6) else [part]
            elif part.isdigit():
                units += [part] if self._digits else self._run(part, style)
            elif part in SIGNS:
                units.append(self._mark(signs[part], signs[part]))
            elif spell or len(part) == 1:
                units += self._letters(part)
            else:
                units.append(part)
        return units

    def _date(self, value: Value) -> list[str]:
        month, day = int(value.parts[1]), int(value.parts[2])
        number = str if self._digits else cardinal
        name = MONTHS[month - 1].lower()
        said_year = self._year(value.parts[0])
        ordinal = f"{day}{_ordinal_ending(day)}" if self._digits else " ".join(say_number(f"{day}th"))
        two = (number(day), number(month)) if self._day_first else (number(month), number(day))
        form = self._rng.randrange(8)
        self._used.add(f"date {form}")
        if form == 7:  # digit by digit
            padded = [value.parts[2], value.parts[1]] if self._day_first else [value.parts[1], value.parts[2]]
            padded.append(value.parts[0])
            return padded if self._digits else [unit for part in padded for unit in self._run(part, "singles")]
        words: tuple[str, ...] = (
            ("the", ordinal, "of", name), (ordinal, "of", name), (name, ordinal), (name, "the", ordinal),
            (ordinal, name), (number(day), name), two,
        )[form]  # fmt: skip
        return [*words, *said_year]

    def _year(self, year: str) -> list[str]:
        short = self._chance(0.2)
        if self._digits:
            return [year[2:] if short else year]
        if short:
            return [f"{self._digit('0')} {cardinal(int(year[2:]))}" if year[2] == "0" else cardinal(int(year[2:]))]
        return [" ".join(say_number(year))]


def _ordinal_ending(number: int) -> str:
    return "th" if 10 < number < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
