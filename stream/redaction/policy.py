"""Redaction policy: which labels are covered, when text is released, and what stands in place of a value."""

from dataclasses import dataclass, field
from typing import Literal

Style = Literal["label", "numbered", "mask", "hash", "surrogate"]
STYLES: tuple[Style, ...] = ("label", "numbered", "mask", "hash", "surrogate")
Withheld = Literal["omit", "masked"]
SETTLED, FINAL, WORDS = "settled", "final", "words"
ALL_LABELS = "all"
MIN_KEY = 16
"""Minimum number of bytes of a key: a shorter one can be guessed from the hashes of known values."""


class RedactionError(ValueError):
    """An invalid part of a policy.

    Attributes:
        setting: its name, with underscores.
    """

    def __init__(self, setting: str, detail: str) -> None:
        super().__init__(detail)
        self.setting = setting


@dataclass(frozen=True, slots=True)
class Release:
    """When text is released: as soon as it is settled, when its segment closes, or a number of words later."""

    when: str = SETTLED
    words: int = 0
    """With `words`: the number of newer words after which a word is released."""


def parse_release(text: str) -> Release:
    """Parse `settled`, `final` or `words:K`.

    Raises:
        RedactionError: it is none of them.
    """
    if text in (SETTLED, FINAL):
        return Release(text)
    kind, _, number = text.partition(":")
    if kind == WORDS and number.isascii() and number.isdigit() and len(number) < 5:
        return Release(WORDS, int(number))
    raise RedactionError("release", f"{text!r} is unknown: use settled, final or words:K, such as words:8")


@dataclass(frozen=True, slots=True)
class RedactionPolicy:
    """What is redacted, when it is released, and how it looks.

    Raises:
        RedactionError: the style or the hashed ids need a key, or the key is too short.
    """

    labels: frozenset[str] | None = None
    """Labels that are covered; None: all of them."""
    release: Release = Release()
    style: Style = "label"
    key: bytes = field(default=b"", repr=False)
    """Secret of hashes: the same value has the same hash wherever the key is the same."""
    withheld: Withheld = "omit"
    """Whether text that is not released is left out, or shown as blocks of the same length."""
    hash_ids: bool = False
    """Whether ids of sessions and segments, speakers and channels are replaced by keyed hashes."""

    def __post_init__(self) -> None:
        needs = "style hash" if self.style == "hash" else "--redact-ids" if self.hash_ids else ""
        if needs and not self.key:
            raise RedactionError("redact_key", f"{needs} needs a key of at least {MIN_KEY} characters")
        if self.key and len(self.key) < MIN_KEY:
            raise RedactionError("redact_key", f"{len(self.key)} characters are too few; give at least {MIN_KEY}")

    @property
    def needs_whole_values(self) -> bool:
        """Whether a replacement depends on its whole value; else it may be released before the value ends."""
        return self.style not in ("label", "mask")

    def covers(self, label: str) -> bool:
        """Tell whether spans of a label are covered."""
        return self.labels is None or label in self.labels


def parse_labels(wanted: str, known: frozenset[str]) -> frozenset[str] | None:
    """Parse a list of labels, separated by commas, or `all` (None).

    Raises:
        RedactionError: a label is not among the known ones.
    """
    names = [x.strip() for x in wanted.split(",") if x.strip()]
    if names == [ALL_LABELS]:
        return None
    by_lower = {x.lower(): x for x in known}
    unknown = [x for x in names if x.lower() not in by_lower]
    if unknown or not names:
        what = f"no label {unknown[0]!r}" if unknown else "no label is named"
        raise RedactionError("redact", f"{what}: use {ALL_LABELS}, or labels of {', '.join(sorted(known))}")
    return frozenset(by_lower[x.lower()] for x in names)
