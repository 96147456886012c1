"""A vendor's timed words and its text brought together: normal form has one time for each word between white space."""

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
"""How much of the words must be the vendor's own words (0 to 1)."""
_MATCH_LIMIT = 250_000
"""Words of the text times words of the vendor's: beyond this they are not compared, to bound the cost."""


@dataclass(frozen=True, slots=True)
class TimedText:
    """What a vendor times: a word, a part of one, a mark, or several words at once. Seconds; None: not known."""

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


def add_word_times(update: Update, *readings: Iterable[TimedText]) -> Update:
    """Give an update the times and speakers of its words.

    Args:
        update: its text decides what a word is.
        readings: the vendor's words, in each of the spellings that it has; the first that fits the text is taken.
            If none does, the update is returned without word times, as it came.
    """
    words = _WORD.findall(update.text)
    for reading in readings:
        pieces = [piece for piece in reading if piece.text.strip()]
        aligned = _align(words, pieces) if pieces else None
        if aligned:
            return add_speakers(update, aligned)
    return update


def add_speakers(update: Update, pieces: Sequence[TimedText]) -> Update:
    """Give an update the times and speakers of its words, one piece a word.

    Speakers go with the words where the segment has several, or may come to have (it is appended to), else with it.
    """
    speakers = {x.speaker for x in pieces}
    several = len(speakers) > 1 or update.mode == "append"
    words = tuple(WordTime(x.start or 0.0, x.end or 0.0, x.speaker if several else None) for x in pieces)
    change: dict[str, Any] = {"words": words}
    if not several and (speaker := speakers.pop()) is not None:
        change["speaker"] = speaker
    return changed(update, **change)


def _align(words: Sequence[str], pieces: Sequence[TimedText]) -> list[TimedText] | None:
    """One piece for each word: those whose characters it is made of, else those that stand in its place."""
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
    """Words that were written otherwise ("$20" for "twenty dollars") stand between words that were not."""
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
    """The moment between two pieces: nothing was timed for a word that stands there."""
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
    """When the last word ended, as far as any is known."""
    return next((x.end for x in reversed(times) if x is not None), None)


def first_start(times: Times) -> float | None:
    """When the first word began, as far as any is known."""
    return next((x.start for x in times if x is not None), None)


def to_name(value: int | str | None) -> str | None:
    """Name a speaker or a channel as its vendor numbers it."""
    return None if value is None or value == "" else str(value)
