"""Dialogues from templates: values in the slots, in one of four forms, with the spans of the personal ones."""

import random
import re
from typing import Literal, NamedTuple

from encoder.train.data.pii.disfluency import BACKCHANNELS, FILLERS, disturb
from encoder.train.data.pii.impersonal import ImpersonalData
from encoder.train.data.pii.locales import LISTS
from encoder.train.data.pii.personal import MONTHS, PERSONAL_SLOTS, PersonalData
from encoder.train.data.pii.persons import Person, draw_person
from encoder.train.data.pii.speech import NATO, SPELLING_WORDS, Speech, SpokenValue
from encoder.train.data.pii.templates import SLOT, WORDING, DialogueTemplate
from encoder.train.data.pii.value import Value

DialogueForm = Literal["words", "digits", "punctuated", "written"]
FORMS: dict[DialogueForm, float] = {"words": 0.45, "digits": 0.17, "punctuated": 0.13, "written": 0.25}
"""Shares of the forms. `words` and `digits` are what recognisers write without capitals and punctuation; `punctuated`
is spoken, with both; `written` is typed, with values as forms and messages have them."""
SPLITS = 0.3
"""Probability that a long value is said in two turns, for the first one of a spoken dialogue."""
HESITATES_AFTER = 0.05
"""Probability that words follow a value which say nothing and are no part of it."""
CASUAL = 0.2
"""Share of typed dialogues in small letters."""
OPENERS = ("uh", "um", "yeah", "so", "okay so", "well", "right", "hi", "yes", "no", "oh", "sorry", "okay")
_SHOUTED = ("person", "place", "address")
_CAPITALS = frozenset((*NATO, *SPELLING_WORDS, *(x.lower() for x in MONTHS)))


class PersonalSpan(NamedTuple):
    """Personal data in a turn, in characters, end exclusive."""

    start: int
    end: int
    label: str
    value: str
    """As it is written, also where it is said or only a part of it."""


class DialogueTurn(NamedTuple):
    """What one party says or types at once."""

    speaker: str
    text: str
    spans: tuple[PersonalSpan, ...]


class Dialogue(NamedTuple):
    """A dialogue with its spans."""

    template: str
    domain: str
    locale: str
    form: DialogueForm
    styles: frozenset[str]
    """Ways of speaking that occur in it."""
    turns: tuple[DialogueTurn, ...]


RECORDS = "records"
"""End of the domains that are typed mostly: forms, logs, signatures and terse messages."""
TYPED_RECORDS = 0.7


def draw_dialogue(template: DialogueTemplate, locale: str, rng: random.Random) -> Dialogue:
    """Fill a template in with values of a locale, in a form by chance."""
    form = rng.choices([*FORMS], [*FORMS.values()])[0]
    if template.domain.endswith(RECORDS) and rng.random() < TYPED_RECORDS:
        form = "written"
    writer = _Writer(form, locale, rng)
    for turn in template.turns:
        text = writer.begin(turn.speaker, WORDING.sub(lambda match: rng.choice(match[1].split("|")), turn.text))
        end = 0
        for slot in SLOT.finditer(text):
            writer.frame(text[end : slot.start()])
            writer.value(slot[1] + slot[3], slot[2])
            end = slot.end()
        writer.frame(text[end:])
    writer.close()
    return Dialogue(template.name, template.domain, locale, form, frozenset(writer.styles), tuple(writer.turns))


class _Writer:
    """Writes the turns of one dialogue."""

    def __init__(self, form: DialogueForm, locale: str, rng: random.Random) -> None:
        self._form, self._locale, self._rng = form, locale, rng
        self._personal, self._impersonal = PersonalData(locale, rng), ImpersonalData(locale, rng)
        habits = {"digits": form == "digits", "day_first": LISTS.locales[locale].day_first}
        self._speech = {party: Speech(rng, **habits) for party in "ab"}
        self._casual = form == "written" and rng.random() < CASUAL
        self._may_split = form != "written" and rng.random() < SPLITS
        self._people: dict[str, Person] = {}
        self._values: dict[tuple[str, str], Value] = {}
        self.styles: set[str] = set()
        self.turns: list[DialogueTurn] = []
        self._speaker, self._text, self._spans = "", "", list[PersonalSpan]()

    @property
    def _bare(self) -> bool:
        """Whether the form has no capitals and no punctuation."""
        return self._form in ("words", "digits")

    def begin(self, speaker: str, text: str) -> str:
        """Begin a turn, sometimes with a word that says nothing; gives the template's text to go on with."""
        self.close()
        self._speaker = speaker
        if self._form != "written" and self._rng.random() < 0.12:
            self.frame(f"{self._rng.choice(OPENERS)}, ")
            return re.sub(r"^[A-Z](?=[a-z]+ [a-z])", lambda match: match[0].lower(), text)
        return text

    def close(self) -> None:
        """End the turn, if one is open."""
        text = self._text.rstrip()
        if text:
            self.turns.append(DialogueTurn(self._speaker, text, tuple(self._spans)))
        self._text, self._spans = "", []

    def frame(self, text: str) -> None:
        """Add words of the template."""
        if self._form != "written":
            text = text.replace("\n", " ")
        if self._bare:
            text = " ".join(self._repeat(x) for x in re.sub(r"[^\w' ]+", " ", text.lower()).split(" "))
        elif self._casual:
            text = text.lower() if self._rng.random() < 0.5 else re.sub(r"[.,!]+(?= |$)", "", text.lower())
        else:
            start = not self._text or re.search(r"[.?!] $", self._text) is not None
            text = re.sub(r"(^|[.?!] )([a-z])" if start else r"([.?!] )([a-z])", lambda m: m[1] + m[2].upper(), text)
        self._append(text)

    def _repeat(self, word: str) -> str:
        """Say a word of the template twice, or a filler before it, by chance."""
        if not word.strip("'") or self._rng.random() > 0.025 or word.startswith("'"):
            return word
        self.styles.add("disfluency")
        return f"{self._rng.choice((word, *FILLERS[:4]))} {word}"

    def _append(self, text: str) -> None:
        """Add text, with one blank where there are several."""
        text = re.sub(" +", " ", text)
        self._text += text.lstrip() if not self._text or self._text.endswith(" ") else text

    def value(self, slot: str, number: str) -> None:
        """Add the value of a slot; the same slot and number have the same value."""
        value = self._draw(slot, number)
        if self._form == "written":
            self._add(value, self._typed(value))
            return
        plain = value.kind in ("name", "address", "fixed")
        said = disturb(self._speech[self._speaker].say(value), self._rng, FILLERS[:5] if plain else FILLERS)
        if self._form == "punctuated" and plain:
            as_words = value.kind == "fixed" and self._rng.random() < 0.5
            self._add(value, value.parts[0] if as_words else " ".join(value.written.replace(">", "").split()))
            return
        self.styles |= said.styles
        if self._rng.random() < 0.05:
            self.frame(f"{self._rng.choice(FILLERS[:4])} ")
        if self._may_split and value.label and value.kind != "fixed" and len(said.units) > 5:
            self._split(value, said)
        else:
            self._add(value, self._cased(said.units))
        if self._bare and self._rng.random() < HESITATES_AFTER:
            self.frame(f" {self._rng.choice(FILLERS)}")

    def _typed(self, value: Value) -> str:
        """Write a value as it is typed: now and then names and addresses in capitals."""
        if self._casual:
            return value.written.lower()
        shouted = value.label in _SHOUTED and self._rng.random() < 0.04
        return value.written.upper() if shouted else value.written

    def _split(self, value: Value, said: SpokenValue) -> None:
        """Say a value in two turns, between which the other party speaks or reads the first half back."""
        rng = self._rng
        self._may_split = False
        cut = rng.randint(2, len(said.units) - 2)
        speaker, other = self._speaker, "b" if self._speaker == "a" else "a"
        self.styles.add("two turns")
        self._add(value, self._cased(said.units[:cut]))
        self.close()
        self._speaker = other
        if rng.random() < 0.35:
            self.styles.add("echo")
            self._add(value, self._cased(said.units[:cut]))
        else:
            self.frame(rng.choice(BACKCHANNELS) + ("" if self._bare else "."))
        self.close()
        self._speaker = speaker
        self._add(value, self._cased(said.units[cut:]))

    def _cased(self, units: list[str]) -> str:
        text = " ".join(units)
        if self._bare:
            return text
        return " ".join(x.upper() if len(x) == 1 else x.capitalize() if x in _CAPITALS else x for x in text.split())

    def _add(self, value: Value, text: str) -> None:
        """Append a value, and its span if it is personal."""
        start = len(self._text)
        self._text += text
        if value.label:
            self._spans.append(PersonalSpan(start, len(self._text), value.label, value.written))

    def _draw(self, slot: str, number: str) -> Value:
        key = (slot, number)
        if key not in self._values:
            if slot in PERSONAL_SLOTS:
                if number not in self._people:
                    self._people[number] = draw_person(self._locale, self._rng)
                self._values[key] = self._personal.draw(slot, self._people[number])
            else:
                self._values[key] = self._impersonal.draw(slot)
        return self._values[key]
