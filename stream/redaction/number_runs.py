"""Numbers that go on over segments: a run of digits at the end of one, the rest of it in the next of its speaker, and
the other speaker's read-back. They are covered although no segment alone has the whole number.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from stream.redaction.covers import Cover
from stream.redaction.values import FILLERS, is_number_word, normalise_value

MAX_NUMBERS = 8
"""Numbers of a session that are remembered."""
MAX_DIGITS = 40
READ_BACK = 3
"""Digits of a number that are recognised as a part of it."""
_WORD = re.compile(r"\S+")
_FIGURES = re.compile(r"[(+#]*\d[\d().,/–-]*")
_LEAD_IN = FILLERS | frozenset(["and", "then", "yes", "yeah", "yep", "ok", "okay", "right", "it"])


class DigitRun(NamedTuple):
    """A run of digits in a text, written or spoken."""

    start: int
    end: int
    digits: str
    is_leading: bool
    """Whether nothing but fillers stands before it."""
    is_trailing: bool
    """Whether nothing but punctuation and fillers stands behind it."""


class KnownNumber(msgspec.Struct, array_like=True):
    """A number of a session, or what was said of it so far."""

    label: str
    digits: str
    speaker: str | None
    goes_on: bool = True
    """Whether the last segment of its speaker ended in it."""


def find_digit_runs(text: str) -> Iterator[DigitRun]:
    """Yield the runs of digits of a text: figures and number words, with fillers inside."""
    words = list(_WORD.finditer(text))
    kinds = [_kind_of(x[0]) for x in words]
    first, is_leading = 0, True
    while first < len(words):
        if kinds[first] != "number":
            is_leading = is_leading and _bare(words[first][0]) in _LEAD_IN
            first += 1
            continue
        last = end = first
        while end < len(words) and kinds[end] in ("number", "filler"):
            last = end if kinds[end] == "number" else last
            end += 1
        start, stop = words[first].start(), words[last].end()
        while not text[stop - 1].isalnum():
            stop -= 1
        while not (text[start].isalnum() or text[start] in "(+"):
            start += 1
        yield DigitRun(start, stop, _digits(text[start:stop]), is_leading, end == len(words))
        is_leading, first = False, last + 1


def cover_runs(
    text: str, numbers: Sequence[KnownNumber], speaker: str | None, final: bool
) -> tuple[list[Cover], int | None]:
    """Cover what belongs to numbers of former segments.

    Args:
        text: of a segment.
        numbers: of its session, the newest last.
        speaker: of the segment.
        final: whether it closes.

    Returns:
        The covers, and the first character that may not be released yet; None if all may.
    """
    if not numbers:
        return [], None
    covers: list[Cover] = []
    unsettled: int | None = None
    going_on = next((x for x in reversed(numbers) if x.goes_on and x.speaker == speaker), None)
    for run in find_digit_runs(text):
        goes_on = run.is_leading and going_on is not None
        label = going_on.label if goes_on and going_on else _find_read_back(run, numbers)
        if label is not None:
            covers.append(Cover(run.start, run.end, label, 0.5))
        if run.is_trailing and not final and (label or _may_become(run, numbers)):
            unsettled = run.start
    return covers, unsettled


def remember_runs(
    numbers: list[KnownNumber], text: str, covers: Sequence[Cover], speaker: str | None
) -> list[KnownNumber]:
    """Return the numbers of a session after a segment has closed.

    Args:
        numbers: those before.
        text, covers, speaker: of the segment, with everything that was covered in it.
    """
    going_on = next((x for x in reversed(numbers) if x.goes_on and x.speaker == speaker), None)
    after = [
        KnownNumber(x.label, x.digits, x.speaker, x.goes_on and x.speaker != speaker) if x.goes_on else x
        for x in numbers
    ]
    runs = list(find_digit_runs(text))
    if not runs and going_on is not None and not text.strip():
        return numbers
    for run in runs:
        cover = next((x for x in covers if x.start < run.end and x.end > run.start), None)
        if cover is None or len(run.digits) < 2 or any(run.digits in x.digits for x in after if not run.is_leading):
            continue
        if run.is_leading and going_on is not None:
            joined = (going_on.digits + run.digits)[-MAX_DIGITS:]
            after.append(KnownNumber(going_on.label, joined, speaker, run.is_trailing))
        else:
            after.append(KnownNumber(cover.label, run.digits[-MAX_DIGITS:], speaker, run.is_trailing))
    return after[-MAX_NUMBERS:]


def _find_read_back(run: DigitRun, numbers: Sequence[KnownNumber]) -> str | None:
    """Return the label of the known number that a run repeats, or a part of it."""
    enough = len(run.digits) >= READ_BACK or (len(run.digits) == 2 and run.is_leading and run.is_trailing)
    whole = len(run.digits) == 2 and run.is_leading
    for number in reversed(numbers):
        if enough and (
            run.digits in number.digits or (len(number.digits) >= READ_BACK and number.digits in run.digits)
        ):
            return number.label
        if whole and run.digits == number.digits:
            return number.label
    return None


def _may_become(run: DigitRun, numbers: Sequence[KnownNumber]) -> bool:
    """Tell whether an unfinished run may become a read-back."""
    return any(run.digits in x.digits for x in numbers)


def _kind_of(word: str) -> str:
    bare = _bare(word)
    if _FIGURES.fullmatch(word.rstrip("?!;:")) or is_number_word(bare):
        return "number"
    return "filler" if bare in FILLERS or not bare else ""


def _bare(word: str) -> str:
    return word.casefold().strip('.,;:?!()"')


def _digits(text: str) -> str:
    return "".join(x for x in normalise_value("number", text) if x.isdecimal())
