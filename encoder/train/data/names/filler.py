"""Documents from templates: values in the slots, one of three forms, with spans."""

import random
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from encoder.train.data.convention import FUNCTION_WORDS
from encoder.train.data.names.templates import (
    LITERAL,
    NAME_SLOT,
    NUMBERS,
    PEOPLE,
    NameTemplate,
    read_name_lists,
    slot_values,
)
from encoder.train.data.pii.locales import LISTS
from encoder.train.data.pii.persons import Person, draw_person

NameForm = Literal["written", "lower", "capitals"]
_WORDING = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"\b([Aa])\(n\)(?= +(?:\x02\w+\x05)?(\w))")
_NAME = re.compile(r"\x02(?!time)\w+\x05")
_TWICE = re.compile(r"(\b(?:the|an?|our|my|your|this|a\(n\)) |\()(\x02\w+\x05)the ", re.IGNORECASE)
"""An article or a bracket before a name that brings its own article."""
_MARK = re.compile(r"(\x02\w+\x05|\x03)")
_PARTICLES = ("van der", "van", "de", "de la", "von", "al-", "bin", "di", "da")
_CELTIC = ("O'Neil", "O'Brien", "O'Connor", "O'Hara", "D'Angelo", "McKay", "MacLeod", "McAllister", "D'Souza", "O'Shea")
_TITLES = ("Mr.", "Mrs.", "Ms.", "Dr.", "Professor", "Mr", "Dr", "President", "Senator", "Captain", "Judge", "Minister")
_WITHOUT_ARTICLES = ("headlines", "sports_results", "datelines")


class NameTurn(NamedTuple):
    """One turn of a document."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    """In characters, end exclusive."""
    written: bool
    """Whether it has a handle, a hashtag or an address, of which a listener would not hear what they are."""


class NamedText(NamedTuple):
    """A document with its labels."""

    style: str
    template: str
    """Its style, and the numbers in the style's file."""
    form: NameForm
    turns: tuple[NameTurn, ...]


def draw_named_text(templates: Sequence[NameTemplate], rng: random.Random) -> NamedText:
    """Fill templates of one style in, one after the other, in a form by chance; names return in the later ones."""
    first = templates[0]
    style = read_name_lists().styles[first.style]
    shares = (1 - style.lower - style.capitals, style.lower, style.capitals)
    forms: tuple[NameForm, ...] = ("written", "lower", "capitals")
    form = rng.choices(forms, shares)[0]
    filler = _NameFiller(rng)
    turns: list[NameTurn] = []
    for template in templates:
        turns += [_read_turn(_drop_articles(filler.fill(turn), first.style), form) for turn in template.turns]
        filler.end_template()
    return NamedText(first.style, f"{first.style} {' '.join(str(x.number) for x in templates)}", form, tuple(turns))


class _NameFiller:
    """Fills the slots of one document; the same slot again is the same value."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._values: dict[str, str] = {}
        self._short: dict[str, str] = {}
        self._people: dict[str, Person] = {}
        self._known: set[str] = set()

    def end_template(self) -> None:
        """Forget times and plain words, and keep names, which may be short from now on."""
        self._values = {key: value for key, value in self._values.items() if _NAME.search(value)}
        self._short = {key: self._short[key] for key in self._values}
        self._known = {*self._values, *(PEOPLE + number for number in self._people)}

    def fill(self, text: str) -> str:
        """Give the text with values, in marks where they have a label."""
        while _WORDING.search(text):
            text = _WORDING.sub(lambda found: self._rng.choice(found[1].split("|")), text)
        filled = NAME_SLOT.sub(self._value, LITERAL.sub("\x02\\1\x05\\2\x03", text))
        filled = _TWICE.sub(r"\1\2", filled)
        return _ARTICLE.sub(lambda found: found[1] + "n" * (found[2] in "aeioAEIO"), filled)

    def _value(self, slot: re.Match[str]) -> str:
        kind, number, part = slot.groups()
        if kind == PEOPLE:
            return self._person(number, part or "")
        key = kind + number
        if key not in self._values:
            self._values[key], self._short[key] = self._draw(kind)
        short = part == "short" or (key in self._known and self._rng.random() < 0.5)
        return self._short[key] if short else self._values[key]

    def _draw(self, kind: str) -> tuple[str, str]:
        """Draw a value that no other slot of the kind has, and a short form of it."""
        if kind in NUMBERS:
            number = str(self._rng.randint(*NUMBERS[kind]))
            return number, number
        label = read_name_lists().slots[kind].label
        for _ in range(20):
            value, *short = self._rng.choice(slot_values(kind)).split("|")
            # slots of a value are drawn anew, and are no others of the document
            inner = _NameFiller(self._rng)
            whole = inner.fill(value)
            brief = inner.fill(self._rng.choice(short)) if short else whole
            whole, brief = (f"\x02{label}\x05{x}\x03" if label else x for x in (whole, brief))
            if not {whole, brief} & {*self._values.values(), *self._short.values()}:
                break
        return whole, brief

    def _person(self, number: str, part: str) -> str:
        if number not in self._people:
            self._people[number] = _draw_name(self._rng)
        person = self._people[number]
        title = ""
        if not part and PEOPLE + number in self._known:
            part = self._rng.choice(("", "first", "last"))
        if part == "first":
            name = person.first
        elif part == "last":
            name = person.last
        elif part == "initial":
            name = f"{person.first[0]}. {person.last}"
        elif part == "title":
            title, name = self._rng.choice(_TITLES) + " ", person.last
        else:
            middle = f" {person.middle}" if person.middle else ""
            name = f"{person.first}{middle} {person.last}"
        return f"{title}\x02person\x05{name}\x03"


def _draw_name(rng: random.Random) -> Person:
    """Draw somebody of any country; some have an initial, a particle or an apostrophe."""
    person = draw_person(rng.choice(LISTS.name_locales), rng)
    while not FUNCTION_WORDS.isdisjoint({person.first.lower(), person.last.lower()} - {"will"}):
        person = draw_person(rng.choice(LISTS.name_locales), rng)  # "Do" and "So" are surnames, but hardly ever
    first, last = person.first, person.last
    chance = rng.random()
    if chance < 0.05:
        particle = rng.choice(_PARTICLES)
        last = f"{particle}{'' if particle.endswith('-') else ' '}{last.split()[-1]}"
    elif chance < 0.09:
        last = rng.choice(_CELTIC)
    elif chance < 0.11:
        first = f"{first.split()[0]}-{rng.choice(('Marie', 'Luc', 'Paul', 'Anne', 'Min', 'Hyun', 'Jan'))}"
    elif chance < 0.16:
        return Person(first, last, f"{rng.choice('ABCDEFGHJKLMNPRSTW')}.")
    return Person(first, last, person.middle)


def _drop_articles(marked: str, style: str) -> str:
    """Take the articles of names out in styles that have none."""
    return marked.replace("\x05the ", "\x05") if style in _WITHOUT_ARTICLES else marked


def _read_turn(marked: str, form: NameForm) -> NameTurn:
    """Take the marks out; of nested spans the outer one counts."""
    text, label, depth, start = "", "", 0, 0
    spans: list[tuple[int, int, str]] = []
    for part in _MARK.split(marked):
        if part.startswith("\x02"):
            if not depth:
                start, label = len(text), part[1:-1]
            depth += 1
        elif part == "\x03":
            depth -= 1
            if not depth:
                spans.append((start, len(text), label))
        else:
            text += part
    written = any(sign in text for sign in ("@", "#", "://"))
    if form == "lower":
        text = text.lower()
    elif form == "capitals":
        text = text.upper()
    else:
        text = text[:1].upper() + text[1:]
    return NameTurn(text, tuple(spans), written)
