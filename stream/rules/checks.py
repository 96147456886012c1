"""Shapes and check digits of numbers: which label the characters of a run have, and how sure that is.

A check digit that holds raises the score. One that does not hold may change the label, and never releases the number:
people misread digits, and recognisers mishear them.
"""

import re
from functools import lru_cache
from typing import NamedTuple

REGIONS = ("US", "GB", "AU", "IE", "IN", "NZ", "ZA", "DE", "FR", "ES", "IT", "NL")
"""Countries whose numbers are looked up without a country code. Canada's have the form of the United States'."""


class ShapeLabel(NamedTuple):
    """A label that characters suggest by themselves."""

    label: str
    score: float
    """Probability that it is right, by the shape alone: a rough one, 0 to 1."""
    checked: bool = False
    """Whether a check digit holds."""


_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", re.ASCII)
_IP = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)
_IP6 = re.compile(r"(?=.*:.*:)[0-9A-F:]{6,39}", re.ASCII)
_SHAPES = (
    ("postcode", 0.8, re.compile(r"[A-Z]{1,2}\d[A-Z\d]?\d[ABD-HJLNP-UW-Z]{2}", re.ASCII)),  # United Kingdom
    ("postcode", 0.7, re.compile(r"[ABCEGHJ-NPRSTVXY]\d[A-Z]\d[A-Z]\d", re.ASCII)),  # Canada
    ("national_id", 0.85, re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", re.ASCII)),  # insurance, UK
    ("national_id", 0.85, re.compile(r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]", re.ASCII)),  # PAN, India
    ("account", 0.85, re.compile(r"[A-Z]{4}0\d{6}", re.ASCII)),  # IFSC, India
    ("national_id", 0.7, re.compile(r"\d{7}[A-W][AHWTX]?", re.ASCII)),  # PPS, Ireland
    ("postcode", 0.7, re.compile(r"[AC-FHKNPRTV-Y]\d[\dW][A-Z0-9]{2}(?=.*\d)[A-Z0-9]{2}", re.ASCII)),  # Ireland
    ("license_plate", 0.75, re.compile(r"[A-Z]{2}\d{2}[A-Z]{3}", re.ASCII)),  # United Kingdom
    ("license_plate", 0.7, re.compile(r"[A-Z]{2}\d{1,2}[A-Z]{1,3}\d{4}", re.ASCII)),  # India
    ("license_plate", 0.6, re.compile(r"\d{2,3}[A-Z]{1,2}\d{3,6}", re.ASCII)),  # Ireland
)
_BY_COUNTRY = (
    (9, "stdnum.us.ssn"), (10, "stdnum.gb.nhs"), (9, "stdnum.ca.sin"), (9, "stdnum.au.tfn"), (12, "stdnum.in_.aadhaar"),
    (11, "stdnum.de.idnr"), (11, "stdnum.pl.pesel"), (9, "stdnum.nl.bsn"), (11, "stdnum.br.cpf"), (8, "stdnum.au.tfn"),
)  # fmt: skip
_LETTERED = ("stdnum.ie.pps", "stdnum.es.dni", "stdnum.es.nie", "stdnum.it.codicefiscale", "stdnum.in_.pan")


_DATE = re.compile(r"(?:19|20)\d\d[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}([-/.])\d{1,2}\1(?:19|20)\d\d", re.ASCII)

_YEARS = re.compile(r"(?:1[89]|20)\d\d-(?:(?:1[89]|20)\d\d|\d\d)", re.ASCII)
_VERSION = re.compile(r"(?:^|\.)\d\..*\.|\..*\.\d(?:\.|$)", re.ASCII)
"""Dots with single digits between, such as "1.6.15": no telephone number has them."""


def is_date(chars: str) -> bool:
    """Whether it is a date with a year of four digits, in digits."""
    return _DATE.fullmatch(chars) is not None


@lru_cache(maxsize=4096)
def find_shape(chars: str) -> ShapeLabel | None:
    """Return the label that digits, capital letters and signs suggest by themselves; None if they suggest none.

    Args:
        chars: characters of a run with signs, such as "+44 7911" or "192.168.0.1".
    """
    match = _IP.fullmatch(chars)
    if match and all(int(x) < 256 for x in match.groups()):
        return ShapeLabel("ip", 0.95)
    if _IP6.fullmatch(chars):
        return ShapeLabel("ip", 0.85)
    plain = "".join(c for c in chars if c.isalnum())
    if not plain.isascii():
        return None
    if _IBAN.fullmatch(plain):
        held = is_iban(plain)
        return ShapeLabel("iban", 0.99 if held else 0.7, held)
    if plain.isdigit():
        return _find_digits(chars, plain)
    for label, score, shape in _SHAPES:
        if shape.fullmatch(plain):
            return ShapeLabel(label, score)
    return None


def _find_digits(chars: str, digits: str) -> ShapeLabel | None:
    n = len(digits)
    if is_date(chars) or _VERSION.search(chars) or _YEARS.fullmatch(chars):
        return None
    if 13 <= n <= 19 and digits[0] in "23456":
        if has_luhn_digit(digits):
            return ShapeLabel("card", 0.95, checked=True)
        if n in (15, 16) and digits[0] in "3456":
            return ShapeLabel("card", 0.5)
    if re.fullmatch(r"\d{3}-\d{2}-\d{4}", chars, re.ASCII):
        return ShapeLabel("national_id", 0.85)
    if re.fullmatch(r"\d{2}-\d{2}-\d{2}", chars, re.ASCII):
        return ShapeLabel("account", 0.4)
    if chars.startswith("+") and n > 2:
        return ShapeLabel("phone", 0.95 if is_phone(chars) else 0.8)
    if 9 <= n <= 12 and is_phone(digits):
        return ShapeLabel("phone", 0.7)
    if 7 <= n <= 14:
        return ShapeLabel("phone", 0.45)
    return ShapeLabel("account", 0.4) if n > 14 else None


def is_iban(plain: str) -> bool:
    """Whether the check digits of an IBAN hold (ISO 13616, modulo 97) and its country has this form."""
    from stdnum import iban

    return bool(iban.is_valid(plain))


def has_luhn_digit(digits: str) -> bool:
    """Whether the last digit is the check digit of Luhn's algorithm."""
    from stdnum import luhn

    return bool(luhn.is_valid(digits))


@lru_cache(maxsize=4096)
def is_phone(digits: str) -> bool:
    """Whether it is a telephone number of one of the countries, or of any after a plus sign."""
    import phonenumbers

    regions: tuple[str | None, ...] = (None,) if digits.startswith("+") else REGIONS
    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(digits, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


@lru_cache(maxsize=4096)
def has_check_digits(label: str, plain: str) -> bool | None:
    """Whether the check digits hold that a label's numbers have.

    Args:
        label: what the number is said to be.
        plain: its digits and capital letters.

    Returns:
        True or False; None if numbers of this label and length have no check digits that are known here.
    """
    if label == "card":
        return has_luhn_digit(plain) if plain.isdigit() and len(plain) > 11 else None
    if label == "iban":
        return is_iban(plain)
    if label == "account" and len(plain) == 9 and plain.isdigit():
        return _is_valid("stdnum.us.rtn", plain) or None  # an account of nine digits has none
    if label == "national_id":
        names = [x for n, x in _BY_COUNTRY if n == len(plain)] if plain.isdigit() else _LETTERED
        return any(_is_valid(x, plain) for x in names) if names else None
    if label == "phone":
        return is_phone(plain)
    return None


def _is_valid(module: str, plain: str) -> bool:
    from importlib import import_module

    return bool(import_module(module).is_valid(plain))
