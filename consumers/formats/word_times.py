"""Alignment of a vendor's timed words with its text: normal form has one time for each whitespace-separated word."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from msgspec.structs import replace as changed

from stream.messages.types import Update, WordTime
from stream.messages.word_times import Times

_WORD = re.compile(r"\S+")
_MIN_SIMILARITY = 0.5
"""Minimum similarity of the text's words and the vendor's words (0 to 1)."""
_MATCH_LIMIT = 250_000
"""Limit of (words of the text) x (words of the vendor) for the comparison, which bounds its cost."""


@dataclass(frozen=True, slots=True)
class TimedText:
    """A vendor's timed item: a word, a part of one, a punctuation mark or several words. Seconds; None if unknown."""

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


def add_word_times(update: Update, *readings: Iterable[TimedText]) -> Update:
    """Return the update with times and speakers of its words.

    Args:
        update: its text determines the words.
        readings: the vendor's words in each of its spellings; the first that can be aligned with the text is taken.
            If none can, the update is returned unchanged.
    """
    words = _WORD.findall(update.text)
    for reading in readings:
        pieces = [piece for piece in reading if piece.text.strip()]
        aligned = _align(words, pieces) if pieces else None
        if aligned:
            return add_speakers(update, aligned)
    return update


def add_speakers(update: Update, pieces: Sequence[TimedText]) -> Update:
    """Return the update with times and speakers of its words, one piece for each word.

    Each word has a speaker if the segment has several or may get several (`append`); otherwise the segment has one.
    """
    speakers = {x.speaker for x in pieces}
    several = len(speakers) > 1 or update.mode == "append"
    words = tuple(WordTime(x.start or 0.0, x.end or 0.0, x.speaker if several else None) for x in pieces)
    change: dict[str, Any] = {"words": words}
    if not several and (speaker := speakers.pop()) is not None:
        change["speaker"] = speaker
    return changed(update, **change)


def _align(words: Sequence[str], pieces: Sequence[TimedText]) -> list[TimedText] | None:
    """Return one piece for each word, aligned by characters, by position or by similarity; None if not possible."""
    found = _align_by_characters(words, pieces)
    if found is None and len(words) == len(pieces):
        found = list(pieces)
    if found is None:
        found = _align_by_similarity(words, pieces)
    return found if found and all(x.start is not None and x.end is not None for x in found) else None


def _align_by_characters(words: Sequence[str], pieces: Sequence[TimedText]) -> list[TimedText] | None:
    letters = ["".join(piece.text.split()) for piece in pieces]
    if "".join(letters) != "".join(words):
        return None
    last_end, total = [], 0
    for part in letters:
        total += len(part)
        last_end.append(total)
    found, at, piece = [], 0, 0
    for word in words:
        while last_end[piece] <= at:
            piece += 1
        at += len(word)
        last = piece
        while last_end[last] < at:
            last += 1
        found.append(_merge(word, pieces[piece : last + 1]))
    return found


def _align_by_similarity(words: Sequence[str], pieces: Sequence[TimedText]) -> list[TimedText] | None:
    """Align words that are spelled differently ("$20", "twenty dollars") by the equal words between them."""
    if len(words) * len(pieces) > _MATCH_LIMIT:
        return None
    match = SequenceMatcher(None, [_normalise(x) for x in words], [_normalise(x.text) for x in pieces], autojunk=False)
    if match.ratio() < _MIN_SIMILARITY:
        return None
    found: list[TimedText] = []
    for kind, begin, stop, first, last in match.get_opcodes():
        if kind == "equal":
            found += pieces[first:last]
        elif begin < stop:
            meant = pieces[first:last] or _gap(pieces[:first], pieces[last:])
            found += [_merge(word, meant) for word in words[begin:stop]]
    return found


def _gap(before: Sequence[TimedText], behind: Sequence[TimedText]) -> list[TimedText]:
    """Return the moment between two pieces, for a word without a timed counterpart."""
    if behind:
        return [replace(behind[0], end=behind[0].start)]
    return [replace(x, start=x.end) for x in before[-1:]]


def _normalise(word: str) -> str:
    return "".join(x for x in word.casefold() if x.isalnum()) or word


def _merge(word: str, pieces: Sequence[TimedText]) -> TimedText:
    starts = [x.start for x in pieces if x.start is not None]
    last_end = [x.end for x in pieces if x.end is not None]
    speaker = next((x.speaker for x in pieces if x.speaker is not None), None)
    return TimedText(word, min(starts, default=None), max(last_end, default=None), speaker)


def last_end(times: Times) -> float | None:
    """End of the last word with a known time."""
    return next((x.end for x in reversed(times) if x is not None), None)


def first_start(times: Times) -> float | None:
    """Start of the first word with a known time."""
    return next((x.start for x in times if x is not None), None)


def to_name(value: int | str | None) -> str | None:
    """Convert a vendor's number of a speaker or channel to a name."""
    return None if value is None or value == "" else str(value)
