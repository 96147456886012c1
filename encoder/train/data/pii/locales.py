"""Shapes of numbers and lists of names, by locale, from `lists.toml`."""

import random
from pathlib import Path

import msgspec

from encoder.files import read_fields


class LocaleShapes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What personal data looks like in a country."""

    day_first: bool
    """Whether a date in digits begins with the day."""
    currency: tuple[str, str, str]
    """Sign; one of it and several in words."""
    phone: tuple[str, ...]
    account: tuple[str, ...]
    bank_code: tuple[str, ...]
    """Empty: routing numbers with their check digit."""
    passport: tuple[str, ...]
    plate: tuple[str, ...]
    postcode: tuple[str, ...]
    """Empty: those of Faker."""
    hotline: tuple[str, ...]
    """Numbers that everybody may call."""
    towns: tuple[str, ...]
    """Beside Faker's, of which many are made up."""
    streets: tuple[str, ...]
    """Beside Faker's, and those of all countries."""
    mail: tuple[str, ...]
    """Domains of mail, beside those of all countries."""


class Culture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of one script, in letters of ASCII."""

    first: tuple[str, ...]
    last: tuple[str, ...]


class ValueLists(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that values are drawn from, beside Faker."""

    name_locales: tuple[str, ...]
    """Locales of Faker that the names of people are of who come from elsewhere."""
    romanised: tuple[Culture, ...]
    address_locales: tuple[str, ...]
    """Locales of Faker that written addresses are of, beside those of the dialogue's."""
    boxes: tuple[str, ...]
    """Shapes of addresses without a street."""
    flats: tuple[str, ...]
    """Shapes of what follows the street."""
    regions: tuple[str, ...]
    """What follows a town."""
    world_phones: tuple[str, ...]
    """Shapes of telephone numbers of other countries, and with an extension."""
    licences: tuple[str, ...]
    """Shapes of the numbers of driving licences."""
    words: dict[str, tuple[str, ...]]
    """Names without personal data, by slot: titles, jobs, nationalities, hosts, packages ..."""
    brand_parts: tuple[str, ...]
    """Syllables of invented names of firms."""
    company_ends: tuple[str, ...]
    common_first_names: tuple[str, ...]
    """First names that are words of their own."""
    common_surnames: tuple[str, ...]
    streets: tuple[str, ...]
    medical: tuple[str, ...]
    """Shapes of medical record numbers, which each hospital chooses."""
    mail: tuple[str, ...]
    top_domains: tuple[str, ...]
    profiles: tuple[str, ...]
    """Sites on which people have pages."""
    hobbies: tuple[str, ...]
    """Words of handles."""
    sites: tuple[str, ...]
    """Of the public."""
    offices: tuple[str, ...]
    """Names in the addresses of offices."""
    famous: tuple[str, ...]
    companies: tuple[str, ...]
    cities: tuple[str, ...]
    countries: tuple[str, ...]
    public_places: tuple[str, ...]
    iban: dict[str, str]
    """By country: the shape of what follows the check digits."""
    impersonal: dict[str, tuple[str, ...]]
    """Shapes by slot."""
    locales: dict[str, LocaleShapes]
    """By Faker's name of the locale."""


LISTS = read_fields(Path(__file__).parent / "lists.toml", ValueLists, form="TOML")
_CHOICES = {"#": "0123456789", "%": "123456789", "@": "23456789", "?": "ABCDEFGHJKLMNPQRSTUVWXYZ"}


def fill_shape(shape: str, rng: random.Random) -> str:
    """Draw a text of a shape, as `lists.toml` has them."""
    return "".join(rng.choice(_CHOICES[c]) if c in _CHOICES else c for c in shape)
