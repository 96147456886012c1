"""Addresses: house number and street, with the town, as a block of several parts, and as a corner of two streets."""

import random
import re
from typing import TYPE_CHECKING

from encoder.train.data.pii.locales import LISTS, fill_shape
from encoder.train.data.pii.persons import faker_of
from encoder.train.data.pii.value import Value, fold_accents

if TYPE_CHECKING:
    from faker import Faker

_MILITARY = ("APO", "FPO", "DPO")
_SIGNS = (", ", ", ", ", ", "\n", "\n", "\n", "\n ", "\n ", " ", " ", "\n, ", ",\n", "\n    ", "\n> ")
"""What stands between the parts of a block."""


class AddressData:
    """Draws addresses for one dialogue.

    Args:
        locale: of the dialogue.
        rng: draws everything but what Faker makes.
        faker: of the locale, seeded.
    """

    def __init__(self, locale: str, rng: random.Random, faker: "Faker") -> None:
        self._locale, self._rng, self._faker = locale, rng, faker
        self._shapes = LISTS.locales[locale]

    def town(self) -> str:
        """A town of the locale."""
        return self._rng.choice(self._shapes.towns) if self._rng.random() < 0.55 else fold_accents(self._faker.city())

    def world_place(self) -> str:
        """A town or country, of anywhere."""
        rng = self._rng
        if rng.random() < 0.35:
            return rng.choice(LISTS.countries)
        town = _spaced(self._foreign().city()) if rng.random() < 0.7 else self.town()
        return town.upper() if rng.random() < 0.1 else town

    def street(self) -> str:
        """House number and street, rarely a flat."""
        rng = self._rng
        house = str(
            rng.choice((rng.randint(1, 99), rng.randint(1, 99), rng.randint(100, 999), rng.randint(1000, 9999)))
        )
        house += rng.choice("ABC") if rng.random() < 0.06 else ""
        flat = f"{rng.choice(('Flat', 'Apartment', 'Unit', 'Suite', 'Apt.', 'Apt'))} {rng.randint(1, 40)}"
        written = f"{house} {self._street_name()}"
        if rng.random() < 0.12:
            written = rng.choice((f"{flat}, {written}", f"{written}, {flat}"))
        return written

    def _street_name(self) -> str:
        if self._rng.random() < 0.5:
            return self._rng.choice((*LISTS.streets, *self._shapes.streets))
        return fold_accents(self._faker.street_name())

    def with_town(self) -> str:
        """House number, street and town."""
        return f"{self.street()}, {self.town()}"

    def world_street(self) -> str:
        """House number and street of any country, rarely the street alone."""
        rng = self._rng
        street = self.street() if rng.random() < 0.4 else self._foreign_street()
        return re.sub(r"^\d+ ", "", street) if rng.random() < 0.08 else street

    def corner(self) -> str:
        """Corner of two streets, with or without that word."""
        start = self._rng.choice(("the corner of ", "the corner of ", ""))
        first, second = (self._foreign_street() if self._rng.random() < 0.5 else self._street_name() for _ in "ab")
        return f"{start}{first} and {second}"

    def block(self) -> str:
        """Address as letters, forms and signatures have it: of any country, over several lines or parts.

        With a region, a country or line breaks its postcode belongs to it.
        """
        rng = self._rng
        sign, foreign = rng.choice(_SIGNS), self._foreign()
        code = _spaced(foreign.postcode()) if rng.random() < 0.4 else fill_shape(rng.choice(("#####", "####")), rng)
        kind = rng.random()
        if kind < 0.35:
            street, town = self.street(), self.town()
        elif kind < 0.87:
            street, town = self._foreign_street(), _spaced(foreign.city())
            town = fold_accents(town) if rng.random() < 0.3 else town
        else:
            street, town = fill_shape(rng.choice(LISTS.boxes), rng), self.town()
            if street.startswith(("PSC", "Unit", "CMR")):
                town = f"{rng.choice(_MILITARY)} {rng.choice(('AA', 'AE', 'AP'))}"
        parts = [street]
        if rng.random() < 0.4 and not street.startswith("P"):
            flat = fill_shape(rng.choice(LISTS.flats), rng)
            if rng.random() < 0.5:
                parts[0] += f" {flat}"
            else:
                parts.append(flat)
        town = town.upper() if rng.random() < 0.2 else town
        region = rng.choice(LISTS.regions) if rng.random() < 0.35 else ""
        country = rng.choice(LISTS.countries) if rng.random() < 0.45 else ""
        many = "\n" in sign or bool(region or country)
        place = (
            rng.choice(("before", "after", "after", "last", "")) if many or town[:3] in ("APO", "FPO", "DPO") else ""
        )
        if place == "before":
            town = f"{code} {town}"
        if region:
            town += f"{rng.choice((', ', ', ', ' '))}{region}"
        if place == "after" or (place == "last" and not country):
            town += f" {code}"
        parts.append(town)
        if country:
            parts.append(f"{country} {code}" if place == "last" else country)
        return sign.join(parts)

    def _foreign(self) -> "Faker":
        faker = faker_of(self._rng.choice(LISTS.address_locales))
        faker.seed_instance(self._rng.getrandbits(64))
        return faker

    def _foreign_street(self) -> str:
        street = _spaced(self._foreign().street_address())
        if self._rng.random() < 0.35:
            street = f"{self._rng.choice((self._rng.randint(1, 999), self._rng.randint(1, 99_999)))} {street}"
        return fold_accents(street) if self._rng.random() < 0.3 else street


def make_address(written: str) -> Value:
    """Make the value of an address."""
    return Value("address", "address", written, tuple(re.findall(r"[\w']+", fold_accents(written))))


def _spaced(text: str) -> str:
    return " ".join(text.split())
