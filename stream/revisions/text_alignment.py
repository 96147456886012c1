"""Alignment of a rewritten text with the text before it: maps character positions from the old one to the new."""

import re
from bisect import bisect_left, bisect_right
from difflib import SequenceMatcher

from encoder.tokenizer.incremental import common_prefix

_PIECE = re.compile(r"\w+|[^\w\s]")
_MATCH_LIMIT = 250_000
"""Maximum product of the numbers of old and new pieces; beyond it only prefix and suffix are matched."""


class Alignment:
    """Map from the characters of an old text to those of a new one; rewritten words map to what replaced them."""

    def __init__(self, old: str, new: str) -> None:
        start, old_end, new_end = _changed_word(old, new, common_prefix(old, new))
        anchors = [(0, 0), (start, start), (old_end, new_end), *_match_pieces(old, new, old_end, new_end)]
        anchors.append((len(old), len(new)))
        self._old = [x for x, _ in anchors]
        self._new = [y for _, y in anchors]

    def extent(self, start: int, end: int) -> tuple[float, float]:
        """Return where the part `[start, end)` of the old text (not empty) is in the new one; it may be empty there."""
        first = self._interpolate(start, bisect_right(self._old, start) - 1)
        return first, self._interpolate(end, bisect_left(self._old, end) - 1)

    def _interpolate(self, x: int, i: int) -> float:
        x0, x1, y0, y1 = self._old[i], self._old[i + 1], self._new[i], self._new[i + 1]
        return y0 + (x - x0) * (y1 - y0) / (x1 - x0)


def _changed_word(old: str, new: str, prefix: int) -> tuple[int, int, int]:
    """Return the start of the first changed word, and its ends in both texts if it only grew or shrank.

    A word that continues ("par", then "paris") is one word, so it must not be matched with a later one.
    """
    start, old_end, new_end = prefix, _word_end(old, prefix), _word_end(new, prefix)
    if prefix < max(old_end, new_end):
        while start and _is_word(old[start - 1]):
            start -= 1
    grew = start < prefix and prefix in (old_end, new_end)
    return (start, old_end, new_end) if grew else (start, start, start)


def _word_end(text: str, position: int) -> int:
    while position < len(text) and _is_word(text[position]):
        position += 1
    return position


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _match_pieces(old: str, new: str, old_start: int, new_start: int) -> list[tuple[int, int]]:
    """Return the (old, new) positions of both ends of each piece that is in both texts, from the starts on."""
    if old_start == len(old) or new_start == len(new):
        return []
    a, b = list(_PIECE.finditer(old, old_start)), list(_PIECE.finditer(new, new_start))
    # a formatted final changes case and adds punctuation; the words are still the same
    x, y = [m[0].casefold() for m in a], [m[0].casefold() for m in b]
    same = 0
    while same < min(len(x), len(y)) and x[-1 - same] == y[-1 - same]:
        same += 1
    pairs = _match_words(x[: len(x) - same], y[: len(y) - same])
    pairs += [(len(x) - i, len(y) - i) for i in range(same, 0, -1)]
    return [ends for i, j in pairs for ends in ((a[i].start(), b[j].start()), (a[i].end(), b[j].end()))]


def _match_words(x: list[str], y: list[str]) -> list[tuple[int, int]]:
    if not x or not y or len(x) * len(y) > _MATCH_LIMIT:
        return []
    blocks = SequenceMatcher(None, x, y, autojunk=False).get_matching_blocks()
    return [(m.a + k, m.b + k) for m in blocks for k in range(m.size)]
