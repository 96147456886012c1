"""Start and end times of words, carried along while the text of their segment is rewritten."""

import re
from typing import NamedTuple

from stream.messages.types import Update

_WORD = re.compile(r"\S+")


class WordTiming(NamedTuple):
    """Start and end of one word, in seconds, and its speaker, if its segment has several."""

    start: float
    end: float
    speaker: str | None = None


Times = tuple[WordTiming | None, ...]
"""One entry for each word between white space; empty when no time is known."""


def retime(before: str, known: Times, after: str, update: Update) -> Times:
    """Return the times of the words of `after`: those of the update, else the known ones, else the update's `time`."""
    if not known and update.words is None and update.time is None:
        return ()
    old, new = _WORD.findall(before), _WORD.findall(after)
    kept = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    arrived = None if update.time is None else WordTiming(update.time, update.time)
    times = [known[i] if i < min(kept, len(known)) else arrived for i in range(len(new))]
    given = [WordTiming(x.start, x.end, x.speaker) for x in update.words or ()]
    if given and len(given) == len(_WORD.findall(update.text)):
        first = len(new) - len(given)
        if first < len(old) and first < len(known) and update.mode == "append" and (begun := known[first]):
            given[0] = given[0]._replace(start=begun.start)  # the appended text continues a word that had begun
        times[first:] = given
    return tuple(times)


def word_extents(text: str) -> list[tuple[int, int]]:
    """Return the start and end character of each word between white space."""
    return [x.span() for x in _WORD.finditer(text)]
