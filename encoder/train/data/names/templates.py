"""Templates of text with names: `templates/STYLE.txt`, a line each, and `lists.toml`, with what fills their slots.

`{team}` is a slot; the same slot again is the same value, `{team2}` another one. `{team.short}` is a short form of it,
`{person.first}`, `{person.last}` and `{person.initial}` are of the person `{person}`. `{event=World Cup}` is a name as
it stands there, with its label. `[a|b|]` is one of several wordings, `a(n)` fits the word after it, and ` || ` parts
the turns of a document. Values of the lists have slots of their own; of nested names the longest counts.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

FOLDER = Path(__file__).parent
LABELS = ("person", "organization", "place", "event", "product", "time")
NAME_SLOT = re.compile(r"\{([a-z_]+)(\d?)(?:\.([a-z]+))?\}")
LITERAL = re.compile(rf"\{{({'|'.join(LABELS)})=([^{{}}]+)\}}")
NUMBERS = {
    "goals": (0, 4), "goals_b": (0, 4), "set_won": (6, 7), "set_lost": (0, 5), "rank": (1, 40), "count": (12, 90),
    "hundreds": (110, 980), "day": (1, 28), "modern": (1990, 2026), "past": (1790, 1989), "recent": (1950, 2026),
    "short_year": (10, 29),
    "hour": (1, 12), "minute": (10, 59), "late_hour": (13, 23), "version": (2, 15), "month_number": (10, 12),
    "points": (70, 130), "points_b": (70, 130),
}  # fmt: skip
"""Slots of numbers, without a label: the first and the last value."""
PEOPLE = "person"


class NameStyle(NamedTuple):
    """How often a style is drawn, and the shares of its texts in small letters and in capitals."""

    weight: float
    lower: float
    capitals: float


class NameList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of a slot."""

    values: str
    """Parted by semicolons or line breaks; "|" parts a name from its short forms."""
    label: str = ""

    def __post_init__(self) -> None:
        if self.label and self.label not in LABELS:
            raise ValueError(f"no label is named {self.label!r}")

    def split(self) -> tuple[str, ...]:
        """Give the values."""
        return tuple(value.strip() for value in re.split(r"[;\n]", self.values) if value.strip())


class NameLists(msgspec.Struct, frozen=True):
    """The file `lists.toml`."""

    styles: dict[str, NameStyle]
    slots: dict[str, NameList]


class NameTemplate(NamedTuple):
    """One document with slots."""

    style: str
    number: int
    turns: tuple[str, ...]
    named: bool
    """Whether it has a slot or a literal with a label."""


@cache
def read_name_lists() -> NameLists:
    """Read `lists.toml`."""
    return msgspec.convert(tomllib.loads((FOLDER / "lists.toml").read_text("utf-8")), NameLists)


@cache
def slot_values(slot: str) -> tuple[str, ...]:
    """Give the values of a slot of `lists.toml`."""
    return read_name_lists().slots[slot].split()


@cache
def has_label(slot: str) -> bool:
    """Tell whether a value of the slot has a label, or a slot that has one."""
    if slot == PEOPLE:
        return True
    if slot in NUMBERS:
        return False
    return bool(read_name_lists().slots[slot].label) or any(_is_named(value) for value in slot_values(slot))


def _is_named(text: str) -> bool:
    return bool(LITERAL.search(text)) or any(has_label(slot) for slot, _, _ in NAME_SLOT.findall(text))


@cache
def read_name_templates() -> tuple[NameTemplate, ...]:
    """Read the templates of all styles, in the order of `lists.toml`."""
    return tuple(
        NameTemplate(style, number, tuple(line.split(" || ")), _is_named(line))
        for style in read_name_lists().styles
        for number, line in enumerate((FOLDER / "templates" / f"{style}.txt").read_text("utf-8").splitlines(), 1)
    )
