"""Numbers as they are said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.train.data.numbers import ONES, SCALES, TENS, say_number


@pytest.mark.parametrize(
    ("word", "before", "said"),
    [
        ("7", "", "seven"),
        ("21", "may", "twenty first"),
        ("12", "Sept.", "twelfth"),
        ("32", "may", "thirty two"),
        ("1939", "", "nineteen thirty nine"),
        ("1905", "", "nineteen oh five"),
        ("1900", "", "nineteen hundred"),
        ("2005", "", "two thousand five"),
        ("2024", "", "twenty twenty four"),
        ("1,939", "", "one thousand nine hundred thirty nine"),
        ("3.14", "", "three point one four"),
        ("22nd", "", "twenty second"),
        ("40th", "", "fortieth"),
        ("1990s", "", "nineteen nineties"),
        ("'60s", "", "sixties"),
        ("10:30", "", "ten thirty"),
        ("7:05", "", "seven oh five"),
        ("9:00", "", "nine"),
        ("25:99", "", ""),
        ("b2b", "", ""),
        ("1234567890123", "", ""),
        ("one", "", ""),
    ],
)
def test_numbers_are_said(word: str, before: str, said: str) -> None:
    assert " ".join(say_number(word, before)) == said


def value_of(words: list[str]) -> int:
    """What cardinal words mean, read from the left."""
    total = part = 0
    for word in words:
        scale = next((scale for scale, name in SCALES if name == word), 0)
        if word in ONES:
            part += ONES.index(word)
        elif word in TENS:
            part += 10 * TENS.index(word)
        elif scale == 100:
            part *= 100
        else:
            total, part = total + part * scale, 0
    return total + part


@given(st.integers(0, 10**11))
def test_a_plain_number_says_its_value(value: int) -> None:
    assert value_of(say_number(f"{value:,}" if value > 999 else str(value))) == value
