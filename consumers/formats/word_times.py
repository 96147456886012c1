"""Alignment of a vendor's timed words with its text: normal form has one time for each whitespace-separated word."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import msgspec
from msgspec.structs import replace as changed

from consumers.formats.convert import Seconds
from consumers.formats.similarity import normalise_word
from stream.messages.types import Update, WordTime
from stream.messages.word_times import Times

_WORD = re.compile(r"\S+")
_MIN_SIMILARITY = 0.5
"""Share of the words of the shorter side (the text, or the vendor's list) that must match."""
_MAX_PIECES = 4
"""Pieces that one word at an end of the text may replace; a list that covers more than the text has others there."""
_MATCH_LIMIT = 250_000
"""Limit of (words of the text) x (words of the vendor) for the comparison, which bounds its cost."""


@dataclass(frozen=True, slots=True)
class TimedText:
    """A vendor's timed item: a word, a part of one, a punctuation mark or several words. Seconds; None if unknown."""

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


class VendorWord(msgspec.Struct):
    """A word with its times in seconds, in the JSON of several vendors."""

    word: str = ""
    start: Seconds | None = None
    end: Seconds | None = None


class SpeakerWord(VendorWord):
    """A vendor's word with the name of its speaker, which may be a number."""

    speaker: str | None = None


def add_word_times(update: Update, *readings: Iterable[TimedText]) -> Update:
    """Return the update with times and speakers of its words.

    The vendor's list may cover more or less than the text: words without a counterpart get the moment between their
    neighbours. If too few words match, the update is returned unchanged.

    Args:
        update: its text determines the words.
        readings: the vendor's words in each of its spellings; the first that can be aligned with the text is taken.
    """
    words = _WORD.findall(update.text)
    for reading in readings:
        pieces = [piece for piece in reading if piece.text.strip()]
        aligned = _align(words, pieces) if words and pieces else None
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
    if found is None and len(pieces) > 2 * len(words):  # a list of all words so far: this text is its end
        found = _align_by_similarity(words, pieces[-2 * len(words) :])
    return _fill_gaps(found or _align_by_similarity(words, pieces))


def _fill_gaps(found: list[TimedText] | None) -> list[TimedText] | None:
    """Give words without times the moment between their neighbours; None if no word has any."""
    timed = [i for i, x in enumerate(found or ()) if x.start is not None and x.end is not None]
    if not found or not timed:
        return None
    if len(timed) == len(found):
        return found
    filled, moment = [], found[timed[0]].start
    for x in found:
        is_timed = x.start is not None and x.end is not None
        filled.append(x if is_timed else replace(x, start=moment, end=moment))
        moment = filled[-1].end
    return filled


def _align_by_characters(words: Sequence[str], pieces: Sequence[TimedText]) -> list[TimedText] | None:
    """Align words and pieces of the same characters; pieces before the words, or behind them, are left out."""
    letters = ["".join(piece.text.split()) for piece in pieces]
    text, said = "".join(words), "".join(letters)
    if said != text:
        for part in (_drop_before(letters, said, text), _drop_behind(letters, said, text)):
            if part is not None:
                pieces, letters = pieces[part], letters[part]
                break
        else:
            return None
    last_end, total = [], 0
    for part_of in letters:
        total += len(part_of)
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


def _drop_before(letters: Sequence[str], said: str, text: str) -> slice | None:
    """Return the last pieces whose characters are the text."""
    rest = len(said) - len(text)
    if rest <= 0 or not said.endswith(text):
        return None
    for i, part in enumerate(letters):
        rest -= len(part)
        if rest <= 0:
            return slice(i + 1, None) if rest == 0 else None
    return None


def _drop_behind(letters: Sequence[str], said: str, text: str) -> slice | None:
    """Return the first pieces whose characters are the text."""
    if len(said) <= len(text) or not said.startswith(text):
        return None
    total = 0
    for i, part in enumerate(letters):
        total += len(part)
        if total >= len(text):
            return slice(0, i + 1) if total == len(text) else None
    return None


def _align_by_similarity(words: Sequence[str], pieces: Sequence[TimedText]) -> list[TimedText] | None:
    """Align words that are spelled differently ("$20", "twenty dollars") by the equal words between them."""
    if len(words) * len(pieces) > _MATCH_LIMIT:
        return None
    given = [normalise_word(x) for x in words]
    match = SequenceMatcher(None, given, [normalise_word(x.text) for x in pieces], autojunk=False)
    codes = match.get_opcodes()
    equal = sum(stop - begin for kind, begin, stop, _, _ in codes if kind == "equal")
    if equal < _MIN_SIMILARITY * min(len(words), len(pieces)) or not equal:
        return None
    found: list[TimedText] = []
    for kind, begin, stop, first, last in codes:
        if kind == "equal":
            found += pieces[first:last]
        elif begin < stop:
            meant = pieces[first:last] or _gap(pieces[:first], pieces[last:])
            within = begin > 0 and stop < len(words)
            if within or first == last or stop - begin >= last - first:
                found += [_merge(word, meant) for word in words[begin:stop]]
            else:  # at an end, where the list may cover more than the text
                width = _MAX_PIECES * (stop - begin)
                nearest = meant[-width:] if begin == 0 else meant[:width]
                found += [_merge(word, nearest) for word in words[begin:stop]]
    return found


def _gap(before: Sequence[TimedText], behind: Sequence[TimedText]) -> list[TimedText]:
    """Return the moment between two pieces, for a word without a timed counterpart."""
    if behind:
        return [replace(behind[0], end=behind[0].start)]
    return [replace(x, start=x.end) for x in before[-1:]]


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
