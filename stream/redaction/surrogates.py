"""Surrogates: invented values of the same kind as a redacted one, by Faker."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

from faker import Faker

_KINDS: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("mail", lambda x: x.ascii_safe_email()),
    ("phone", lambda x: "555 01" + x.numerify("## ####")),
    ("postcode", lambda x: x.postcode()),
    ("zip", lambda x: x.postcode()),
    ("address", lambda x: x.street_address()),
    ("url", lambda x: x.url()),
    ("user", lambda x: x.user_name()),
    ("iban", lambda x: x.iban()),
    ("card", lambda x: x.numerify("0000 #### #### ####")),
    ("ip", lambda x: x.ipv4_private()),
    ("birth", lambda x: str(x.date_of_birth())),
    ("plate", lambda x: x.license_plate()),
    ("passport", lambda x: x.bothify("??#######").upper()),
    ("account", lambda x: x.numerify("00######")),
    ("national", lambda x: x.numerify("000-##-####")),
    ("record", lambda x: x.numerify("MR######")),
    ("person", lambda x: x.name_nonbinary()),
    ("name", lambda x: x.name_nonbinary()),
    ("org", lambda x: x.company()),
    ("company", lambda x: x.company()),
    ("corporation", lambda x: x.company()),
    ("place", lambda x: x.city()),
    ("loc", lambda x: x.city()),
    ("gpe", lambda x: x.city()),
    ("time", lambda x: x.time("%H:%M")),
    ("date", lambda x: str(x.date())),
)
"""Faker's makers by a part of the label's name, the first that fits; numbers are from ranges that belong to nobody."""


def make_surrogate(label: str, seed: str) -> str:
    """Return an invented value; the same seed gives the same one. A label of an unknown kind has a word of its own."""
    faker = _faker()
    faker.seed_instance(int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()[:8], "big"))
    lower = label.lower()
    make = next((make for part, make in _KINDS if part in lower), lambda x: str(x.word()))
    return " ".join(str(make(faker)).split())


@cache
def _faker() -> Any:
    return Faker("en_US")
