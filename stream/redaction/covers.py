"""Covers: the stretches of a segment's text that hold values to be redacted, sorted, merged and fitted to words."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stream.revisions.whole_words import NAME_TYPES


class Cover(NamedTuple):
    """A value to be redacted; offsets are characters of the raw text, end exclusive."""

    start: int
    end: int
    label: str
    score: float = 1.0


_JOINABLE = re.compile(r"[\s.,/()+–-]*")
"""What may stand between two parts of one number."""


def merge_covers(text: str, covers: Iterable[Cover]) -> list[Cover]:
    """Return covers that do not overlap, in order, none of which begins or ends inside a word.

    Covers that overlap become one, with the label of the surest of them, of equals the longest. So do neighbours of one
    label between which only white space and punctuation stand, unless it is a kind of name: two names are two values.
    """
    merged: list[Cover] = []
    best: list[tuple[float, int]] = []
    for cover in sorted(_fit(text, x) for x in covers if x.start < x.end):
        rank = (cover.score, cover.end - cover.start)
        if not merged or not (cover.start < merged[-1].end or are_joined(text, merged[-1], cover)):
            merged.append(cover)
            best.append(rank)
            continue
        last, wins = merged[-1], rank > best[-1]
        label, score = (cover.label, cover.score) if wins else (last.label, last.score)
        merged[-1] = Cover(last.start, max(last.end, cover.end), label, score)
        best[-1] = max(best[-1], rank)
    return merged


def are_joined(text: str, first: Cover, second: Cover) -> bool:
    """Tell whether two neighbours are parts of one value."""
    if first.label != second.label or first.label.lower() in NAME_TYPES:
        return False
    return _JOINABLE.fullmatch(text, first.end, second.start) is not None


def cover_at(covers: Sequence[Cover], at: int) -> Cover | None:
    """Return the cover that has characters on both sides of a position."""
    return next((x for x in covers if x.start < at < x.end), None)


def retreat_from_word(text: str, at: int) -> int:
    """Return a position moved to the start of the word that it lies in."""
    while 0 < at < len(text) and is_word_part(text[at - 1]) and is_word_part(text[at]):
        at -= 1
    return at


def is_word_part(character: str) -> bool:
    """Tell whether a character belongs to a word; scripts without spaces between words have no such characters."""
    return character.isalnum() and not "\u2e80" <= character <= "\ufaff" and character < "\U00020000"


def _fit(text: str, cover: Cover) -> Cover:
    start, end = retreat_from_word(text, max(0, cover.start)), min(cover.end, len(text))
    while end < len(text) and is_word_part(text[end - 1]) and is_word_part(text[end]):
        end += 1
    return cover._replace(start=start, end=end)
