"""People of a dialogue: names from Faker in the locale, rarely of another, with letters of ASCII only."""

import random
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from encoder.model.config import ConfigError
from encoder.train.data.pii.locales import LISTS

if TYPE_CHECKING:
    from faker import Faker

FOREIGN = 0.2
"""Share of the people who come from elsewhere."""
COMMON = 0.12
"""Probability of a name that is a common word, for first names and surnames."""


class Person(NamedTuple):
    """Somebody with a first name and a surname."""

    first: str
    last: str
    middle: str


@cache
def faker_of(locale: str) -> "Faker":
    """Give the Faker of a locale; seed it before use.

    Raises:
        ConfigError: Faker is not installed.
    """
    try:
        from faker import Faker
    except ImportError as error:
        raise ConfigError(
            "training data: generated text draws its names with Faker: pip install 'hearken[train]'"
        ) from error
    return Faker(locale, use_weighting=False)


def fold_accents(text: str) -> str:
    """Write a name with letters of ASCII ("Muñoz" as "Munoz")."""
    text = text.translate(
        {ord(a): b for a, b in zip("łŁøØßıđĐ", ("l", "L", "o", "O", "ss", "i", "d", "D"), strict=True)}
    )
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def draw_person(locale: str, rng: random.Random) -> Person:
    """Draw a person who lives where the locale is spoken."""
    names = faker_of(rng.choice(LISTS.name_locales) if rng.random() < FOREIGN else locale)
    names.seed_instance(rng.getrandbits(64))
    first = rng.choice(LISTS.common_first_names) if rng.random() < COMMON else fold_accents(names.first_name())
    last = rng.choice(LISTS.common_surnames) if rng.random() < COMMON else fold_accents(names.last_name())
    if rng.random() < 0.04:
        last = f"{last.split('-')[0]}-{fold_accents(names.last_name()).split('-')[0]}"
    middle = rng.choice(("", fold_accents(names.first_name()).split()[0])) if rng.random() < 0.1 else ""
    return Person(first, last, middle)
