"""People of a dialogue: names from Faker in the locale, or of another one, some of them with accents."""

import random
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from encoder.model.config import ConfigError
from encoder.train.data.pii.locales import LISTS
from encoder.train.data.pii.value import fold_accents

if TYPE_CHECKING:
    from faker import Faker

FOREIGN = 0.3
"""Share of the people who come from elsewhere."""
ROMANISED = 0.3
"""Share of these whose names are of other scripts."""
ACCENTS = 0.6
"""Share of these whose names keep their accents in writing."""
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


def draw_person(locale: str, rng: random.Random) -> Person:
    """Draw a person who lives where the locale is spoken."""
    away = rng.random() < FOREIGN
    if away and rng.random() < ROMANISED:
        culture = rng.choice(LISTS.romanised)
        return Person(rng.choice(culture.first), rng.choice(culture.last), "")
    names = faker_of(rng.choice(LISTS.name_locales) if away else locale)
    names.seed_instance(rng.getrandbits(64))
    fold = str if away and rng.random() < ACCENTS else fold_accents
    first = rng.choice(LISTS.common_first_names) if rng.random() < COMMON else fold(names.first_name())
    last = rng.choice(LISTS.common_surnames) if rng.random() < COMMON else fold(names.last_name())
    if rng.random() < 0.04:
        last = f"{last.split('-')[0]}-{fold(names.last_name()).split('-')[0]}"
    other = fold(names.first_name()).split()[0]
    middle = rng.choice(("", other, other[0], f"{other[0]}.", f"{other[0]}.")) if rng.random() < 0.18 else ""
    return Person(first, last, middle)
