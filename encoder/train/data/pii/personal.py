"""Slots with personal data: each draws a value in the locale of its dialogue."""

import datetime
import random
from collections.abc import Callable
from itertools import accumulate

from encoder.train.data.pii.addresses import AddressData, make_address
from encoder.train.data.pii.check_digits import (
    iban_digits,
    luhn_digit,
    medicare_digit,
    nhs_digit,
    pps_letter,
    routing_digit,
    tax_file_digit,
    verhoeff_digit,
)
from encoder.train.data.pii.locales import LISTS, fill_shape
from encoder.train.data.pii.persons import Person, faker_of
from encoder.train.data.pii.value import Value, fold_accents, make_code, make_name, make_web, split_words

MONTHS = split_words("""
    January February March April May June July August September October November December
""")
_CARDS = split_words("visa16 visa16 visa16 mastercard mastercard amex discover visa13 diners jcb16 maestro visa19")
_TODAY = datetime.date(2026, 1, 1)


class PersonalData:
    """Draws the values of one dialogue; those that belong to a person take after the name."""

    def __init__(self, locale: str, rng: random.Random) -> None:
        self.locale = locale
        self._rng = rng
        self._shapes = LISTS.locales[locale]
        self._faker = faker_of(locale)
        self._faker.seed_instance(rng.getrandbits(64))
        self._addresses = AddressData(locale, rng, self._faker)

    def draw(self, slot: str, person: Person) -> Value:
        """Draw the value of a slot, such as "phone" or "person.last", of a person."""
        return _SLOTS[slot](self, person)

    def _pick(self, shapes: tuple[str, ...]) -> str:
        return fill_shape(self._rng.choice(shapes), self._rng)

    def full_name(self, person: Person) -> Value:
        """First name, rarely a middle name, and surname."""
        return make_name("person", " ".join(x for x in (person.first, person.middle, person.last) if x))

    def first_name(self, person: Person) -> Value:
        """First name alone."""
        return make_name("person", person.first)

    def last_name(self, person: Person) -> Value:
        """Surname alone."""
        return make_name("person", person.last)

    def spelled_name(self, person: Person) -> Value:
        """Surname, letter by letter."""
        letters = [c.upper() for c in fold_accents(person.last) if c.isalpha()]
        return Value("person", "spelled", self._rng.choice("- ").join(letters), tuple(x.lower() for x in letters))

    def short_name(self, person: Person) -> Value:
        """Initial and surname."""
        return make_name("person", f"{person.first[0]}{self._rng.choice(('. ', ' '))}{person.last}")

    def town(self, person: Person) -> Value:
        """The town that somebody lives in or comes from."""
        return make_name("place", self._addresses.town())

    def world_place(self, person: Person) -> Value:
        """The town or country, of anywhere, that somebody lives in or comes from."""
        return make_name("place", self._addresses.world_place())

    def address(self, person: Person) -> Value:
        """House number and street; half of the time the town follows."""
        return self.street_address(person) if self._rng.random() < 0.5 else self.town_address(person)

    def street_address(self, person: Person) -> Value:
        """House number and street."""
        return make_address(self._addresses.street())

    def town_address(self, person: Person) -> Value:
        """House number, street and town."""
        return make_address(self._addresses.with_town())

    def world_street(self, person: Person) -> Value:
        """House number and street of any country."""
        return make_address(self._addresses.world_street())

    def corner(self, person: Person) -> Value:
        """Corner of two streets."""
        return make_address(self._addresses.corner())

    def address_lines(self, person: Person) -> Value:
        """Address as letters, forms and signatures have it."""
        return make_address(self._addresses.block())

    def postcode(self, person: Person) -> Value:
        """Postcode in its country's form."""
        written = self._pick(self._shapes.postcode) if self._shapes.postcode else self._faker.postcode()
        if self.locale == "en_CA" and self._rng.random() < 0.7 and " " not in written:
            written = f"{written[:3]} {written[3:]}"
        return make_code("postcode", written)

    def phone(self, person: Person) -> Value:
        """Telephone number; one of seven is of another country."""
        if self._rng.random() < 0.15:
            return make_code("phone", self._pick(LISTS.world_phones))
        return make_code("phone", self._pick(self._shapes.phone))

    def email(self, person: Person) -> Value:
        """Address of mail; its name mostly is the person's."""
        rng = self._rng
        first, last = _plain(person.first), _plain(person.last)
        domain = rng.choice((*LISTS.mail, *self._shapes.mail))
        if rng.random() < 0.25:
            own = rng.choice((last, last + rng.choice(LISTS.hobbies), first + last))
            domain = f"{own}.{rng.choice(LISTS.top_domains)}"
        handle = self._handle(first, last)
        if rng.random() < 0.12:
            handle = [x.capitalize() for x in handle]
        return make_web("email", *handle, "@", domain)

    def _handle(self, first: str, last: str) -> list[str]:
        """Draw the parts of a handle, alternately words and what stands between."""
        rng = self._rng
        number = rng.choice(
            (
                str(rng.randint(1, 99)),
                str(rng.randint(1950, 2009)),
                f"{rng.randint(0, 99):02d}",
                str(rng.randint(100, 9999)),
            )
        )
        sign = rng.choice((".", ".", "_", "-", ""))
        hobby = rng.choice(LISTS.hobbies)
        letter, other = rng.choice("abcdefghijklmnoprstw"), rng.choice(LISTS.hobbies)
        forms: tuple[list[str], ...] = (
            [first, sign, last], [first, sign, last], [first, sign, last, number], [first[0], sign, last],
            [first, number], [last, sign, first], [first, sign, hobby], [hobby, sign, other, number], [last, number],
            [first, sign, letter, sign, last], [first[0], last[0], number], [first, sign, "the", sign, hobby],
        )  # fmt: skip
        return rng.choice(forms)

    def username(self, person: Person) -> Value:
        """Name of an account."""
        return make_web("username", *self._handle(_plain(person.first), _plain(person.last)))

    def url(self, person: Person) -> Value:
        """Page of a person: a profile, or a site of their own."""
        rng = self._rng
        first, last = _plain(person.first), _plain(person.last)
        start = rng.choice(("", "", "www.", "https://", "https://www."))
        if rng.random() < 0.5:
            return make_web("url", start, rng.choice(LISTS.profiles), *self._handle(first, last))
        own = rng.choice(
            (
                [first, last],
                [first, "-", last],
                [last, rng.choice(LISTS.hobbies)],
                [rng.choice(LISTS.hobbies), "with", first],
            )
        )
        page = rng.choice(([], [], ["/", rng.choice(("blog", "cv", "photos", "me"))]))
        value = make_web("url", start, *own, ".", rng.choice(LISTS.top_domains), *page)
        return value._replace(written=f"{value.written}/") if start and not page and rng.random() < 0.3 else value

    def card(self, person: Person) -> Value:
        """Number of a payment card, with its check digit."""
        number = self._faker.credit_card_number(self._rng.choice(_CARDS))
        groups = {15: (4, 6, 5), 14: (4, 6, 4), 16: (4, 4, 4, 4)}.get(len(number), (len(number),))
        return make_code("card", _group(number, groups, self._rng.choice((" ", " ", "-", ""))))

    def iban(self, person: Person) -> Value:
        """IBAN with its check digits; of another country where the locale's has none."""
        own = {"en_GB": "GB", "en_IE": "IE"}.get(self.locale)
        country = own if own and self._rng.random() < 0.7 else self._rng.choice([*LISTS.iban])
        rest = fill_shape(LISTS.iban[country], self._rng)
        whole = f"{country}{iban_digits(country, rest)}{rest}"
        if self._rng.random() < 0.75:
            whole = " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))
        return make_code("iban", whole)

    def account(self, person: Person) -> Value:
        """Number of a bank account."""
        return make_code("account", self._pick(self._shapes.account))

    def bank_code(self, person: Person) -> Value:
        """Sort code, routing number, transit number, BSB or IFSC, which belong to an account."""
        if self._shapes.bank_code:
            return make_code("account", self._pick(self._shapes.bank_code))
        digits = fill_shape(f"{self._rng.choice(('0', '1', '2', '3'))}%######", self._rng)
        return make_code("account", digits + routing_digit(digits))

    def national_id(self, person: Person) -> Value:
        """National number: social security, insurance, health or tax, with its check digit."""
        return make_code("national_id", _NATIONAL[self.locale](self._rng))

    def licence(self, person: Person) -> Value:
        """Number of a driving licence, which identifies somebody as a national number does."""
        return make_code("national_id", self._pick(LISTS.licences))

    def passport(self, person: Person) -> Value:
        """Number of a passport."""
        return make_code("passport", self._pick(self._shapes.passport))

    def date_of_birth(self, person: Person) -> Value:
        """Date of birth of somebody of up to 95 years."""
        day = _TODAY - datetime.timedelta(days=self._rng.randint(100, 365 * 95))
        return make_date("date_of_birth", day, self._shapes.day_first, self._rng)

    def plate(self, person: Person) -> Value:
        """Licence plate of a vehicle."""
        own = (
            self._faker.license_plate()
            if self.locale in ("en_US", "en_CA", "en_GB") and self._rng.random() < 0.3
            else ""
        )
        return make_code("license_plate", own or self._pick(self._shapes.plate))

    def medical(self, person: Person) -> Value:
        """Number of a medical record."""
        return make_code("medical_record", self._pick(LISTS.medical))

    def ip(self, person: Person) -> Value:
        """Address of a machine, rarely of version 6."""
        rng = self._rng
        if rng.random() < 0.08:
            return make_code("ip", ":".join(f"{rng.getrandbits(16):x}" for _ in range(4)) + "::1", "ip")
        private = f"{rng.choice(('10.0', '192.168', '172.16'))}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
        return make_code("ip", rng.choice((private, self._faker.ipv4())), "ip")


def make_date(label: str, day: datetime.date, day_first: bool, rng: random.Random) -> Value:
    """Make a date, written in one of the ways of its country."""
    month = MONTHS[day.month - 1]
    two = (f"{day.day:02d}", f"{day.month:02d}") if day_first else (f"{day.month:02d}", f"{day.day:02d}")
    sign = rng.choice("//-.")
    written = rng.choice((
        sign.join((*two, str(day.year))),
        sign.join((*two, f"{day.year % 100:02d}")),
        day.isoformat(),
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{_ordinal_sign(day.day)} of {month} {day.year}",
        f"{day.day} {month[:3]} {day.year}",
    ))  # fmt: skip
    return Value(label, "date", written, (str(day.year), f"{day.month:02d}", f"{day.day:02d}"))


def _ordinal_sign(number: int) -> str:
    ending = "th" if 10 < number < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _plain(text: str) -> str:
    return "".join(c for c in fold_accents(text).lower() if "a" <= c <= "z") or "x"


def _social_security(rng: random.Random) -> str:
    area = rng.choice([x for x in range(1, 900) if x != 666])
    return rng.choice(("{:03d}-{:02d}-{:04d}", "{:03d} {:02d} {:04d}", "{:03d}{:02d}{:04d}")).format(
        area, rng.randint(1, 99), rng.randint(1, 9999)
    )


def _british(rng: random.Random) -> str:
    if rng.random() < 0.5:
        letters = ""
        while letters in ("", "BG", "GB", "KN", "NK", "NT", "TN", "ZZ"):  # not issued
            letters = rng.choice("ABCEGHJKLMNPRSTWXYZ") + rng.choice("ABCEGHJKLMPRSTWXYZ")
        return fill_shape(rng.choice(("-- ## ## ## ", "--######")).replace("--", letters), rng) + rng.choice("ABCD")
    return _checked(rng, "%########", nhs_digit, (3, 3, 4))


def _checked(rng: random.Random, shape: str, digit: Callable[[str], str], groups: tuple[int, ...]) -> str:
    """Draw digits until they have a check digit, and write them in groups, or mostly so."""
    last = ""
    while not last:
        digits = fill_shape(shape, rng)
        last = digit(digits)
    whole = digits + last
    if rng.random() < 0.25:
        return whole
    return _group(whole, groups, " ")


def _group(text: str, sizes: tuple[int, ...], sign: str) -> str:
    """Write a text in groups of given sizes."""
    ends = accumulate(sizes)
    return sign.join(text[end - size : end] for size, end in zip(sizes, ends, strict=True))


def _australian(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return _checked(rng, "%#######", tax_file_digit, (3, 3, 3))
    first = fill_shape(f"{rng.choice('23456')}#######", rng)
    return f"{first[:4]} {first[4:]}{medicare_digit(first)} {rng.randint(1, 9)}"


def _irish(rng: random.Random) -> str:
    digits = fill_shape("%######", rng)
    return f"{digits}{pps_letter(digits)}"


def _indian(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return _checked(rng, "@##########", verhoeff_digit, (4, 4, 4))
    return fill_shape("???P?####?", rng)


_NATIONAL: dict[str, Callable[[random.Random], str]] = {
    "en_US": _social_security,
    "en_GB": _british,
    "en_CA": lambda rng: _checked(rng, "%#######", luhn_digit, (3, 3, 3)),
    "en_AU": _australian,
    "en_IE": _irish,
    "en_IN": _indian,
}
_SLOTS: dict[str, Callable[[PersonalData, Person], Value]] = {
    "person": PersonalData.full_name,
    "person.first": PersonalData.first_name,
    "person.last": PersonalData.last_name,
    "person.spelled": PersonalData.spelled_name,
    "person.short": PersonalData.short_name,
    "place": PersonalData.town,
    "place.world": PersonalData.world_place,
    "address": PersonalData.address,
    "address.town": PersonalData.town_address,
    "address.lines": PersonalData.address_lines,
    "address.street": PersonalData.world_street,
    "address.corner": PersonalData.corner,
    "postcode": PersonalData.postcode,
    "phone": PersonalData.phone,
    "email": PersonalData.email,
    "username": PersonalData.username,
    "url": PersonalData.url,
    "card": PersonalData.card,
    "iban": PersonalData.iban,
    "account": PersonalData.account,
    "sort": PersonalData.bank_code,
    "national_id": PersonalData.national_id,
    "licence": PersonalData.licence,
    "passport": PersonalData.passport,
    "dob": PersonalData.date_of_birth,
    "plate": PersonalData.plate,
    "medical": PersonalData.medical,
    "ip": PersonalData.ip,
}
PERSONAL_SLOTS = frozenset(_SLOTS)
"""Names of the slots with personal data."""
