"""Check digits of cards, accounts and national numbers, so that validators accept generated values."""

from collections.abc import Iterable

_VERHOEFF_ROTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _digits(text: str) -> list[int]:
    return [int(c) for c in text]


def _weighted(text: str, weights: Iterable[int]) -> int:
    return sum(w * d for w, d in zip(weights, _digits(text), strict=True))


def luhn_digit(digits: str) -> str:
    """Give the last digit of a card or of a Canadian social insurance number, from those before it."""
    doubled = [2 * d - 9 * (d > 4) if i % 2 == 0 else d for i, d in enumerate(reversed(_digits(digits)))]
    return str(-sum(doubled) % 10)


def iban_digits(country: str, account: str) -> str:
    """Give the two check digits of an IBAN (ISO 13616), from its country and what follows the digits."""
    number = "".join(str(int(c, 36)) for c in f"{account}{country}00")
    return f"{98 - int(number) % 97:02d}"


def routing_digit(digits: str) -> str:
    """Give the last digit of a bank's routing number in the United States, from the eight before it."""
    return str(-_weighted(digits, (3, 7, 1, 3, 7, 1, 3, 7)) % 10)


def nhs_digit(digits: str) -> str:
    """Give the last digit of an NHS number, from the nine before it; "" if no such number is issued."""
    rest = -_weighted(digits, range(10, 1, -1)) % 11
    return "" if rest == 10 else str(rest)


def tax_file_digit(digits: str) -> str:
    """Give the last digit of an Australian tax file number, from the eight before it; "" if none is issued."""
    # weights 1 4 3 7 5 8 6 9 10: the sum is a multiple of 11, and 10 is its own inverse with the sign changed
    rest = _weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9)) % 11
    return "" if rest == 10 else str(rest)


def medicare_digit(digits: str) -> str:
    """Give the ninth digit of an Australian Medicare number, from the eight before it."""
    return str(_weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9)) % 10)


def pps_letter(digits: str) -> str:
    """Give the letter of an Irish PPS number, from its seven digits."""
    return "WABCDEFGHIJKLMNOPQRSTUV"[_weighted(digits, range(8, 1, -1)) % 23]


def verhoeff_digit(digits: str) -> str:
    """Give the last digit of an Indian Aadhaar number (Verhoeff's code), from those before it."""
    state = 0
    for place, digit in enumerate(reversed(_digits(digits)), 1):
        for _ in range(place % 8):
            digit = _VERHOEFF_ROTATION[digit]
        state = _dihedral(state, digit)
    return str(next(d for d in range(10) if _dihedral(state, d) == 0))


def _dihedral(a: int, b: int) -> int:
    """Multiply in the dihedral group of the pentagon: 0 to 4 are rotations, 5 to 9 reflections."""
    turn = a % 5 + (b % 5 if a < 5 else -(b % 5))
    return turn % 5 + 5 * ((a >= 5) != (b >= 5))
