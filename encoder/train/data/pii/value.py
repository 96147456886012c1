"""The values of a dialogue: what is written, the parts that are said, and the label."""

import re
import unicodedata
from typing import Literal, NamedTuple

LABELS = (
    "account", "address", "card", "date_of_birth", "email", "iban", "ip", "license_plate", "medical_record",
    "national_id", "passport", "person", "phone", "place", "postcode", "url", "username",
)  # fmt: skip
"""Labels of the tagger `pii`."""
ValueKind = Literal["name", "code", "ip", "spelled", "address", "web", "date", "fixed"]


def split_words(text: str) -> tuple[str, ...]:
    """Give the words of a text."""
    return tuple(text.split())


def split_phrases(text: str) -> tuple[str, ...]:
    """Give what stands between the commas of a text, with one blank between its words."""
    return tuple(" ".join(x.split()) for x in text.split(","))


def fold_accents(text: str) -> str:
    """Write a name with letters of ASCII ("Muñoz" as "Munoz")."""
    text = text.translate({ord(a): b for a, b in zip("łŁøØßıđĐþÞæÆðÐœŒ", _FOLDED, strict=True)})
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


_FOLDED = split_words("l L o O ss i d D th Th ae Ae d D oe Oe")


class Value(NamedTuple):
    """One value, which a dialogue may mention several times."""

    label: str
    """"" for what is not personal."""
    kind: ValueKind
    """How it is said (`encoder.train.data.pii.speech`)."""
    written: str
    parts: tuple[str, ...]
    """Words, runs of digits and signs in their order; a date's year, month and day; of what is `fixed`, the spoken form
    in words and the one with digits."""


def make_code(label: str, written: str, kind: ValueKind = "code") -> Value:
    """Make a value that is said letter by letter and digit by digit, in the groups it is written in."""
    return Value(label, kind, written, tuple(re.findall(r"[A-Za-z]+|\d+|[^\sA-Za-z\d()]", written)))


def make_name(label: str, written: str) -> Value:
    """Make a value that is said as it is written, without punctuation."""
    return Value(label, "name", written, tuple(re.sub(r"[^\w' ]", " ", fold_accents(written).lower()).split()))


def make_web(label: str, *parts: str) -> Value:
    """Make an address of mail or of a page, or a user's name, from its words, digits and signs."""
    return Value(label, "web", "".join(parts), tuple(re.findall(r"[a-z]+|\d+|[^a-z\d\s]", " ".join(parts).lower())))


def make_fixed(written: str, words: str, digits: str) -> Value:
    """Make a value that is not personal, from how it is written and said."""
    return Value("", "fixed", written, (words, digits))
