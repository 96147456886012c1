"""Comparison of two recognised texts by their words: is one a rewriting of the other, or does it say something else?"""

from collections.abc import Sequence
from difflib import SequenceMatcher

_MAX_WORDS = 64
"""Words that are compared, which bounds the cost."""
_MAX_CHARACTERS = 200
_SAME_WORDS = 0.5
_SAME_CHARACTERS = 0.75


def is_part_of(interim: str, whole: str) -> bool:
    """Whether a text is an interim form of another: that has over half of its words in order, or half in place."""
    some, all_words = _words(interim), _words(whole)
    if not some:
        return True
    in_place = sum(x == y for x, y in zip(some, all_words, strict=False))
    if _common(some, all_words) > _SAME_WORDS * len(some) or in_place >= _SAME_WORDS * len(some):
        return True
    return _is_spelled_alike(interim, whole)


def is_same_text(one: str, other: str) -> bool:
    """Whether two texts are forms of one text: they share more than half of their words, or are spelled alike."""
    first, second = _words(one), _words(other)
    if not first or not second:
        return first == second
    shared = 2 * _common(first, second) / (len(first) + len(second))
    return shared > _SAME_WORDS or _is_spelled_alike(one, other)


def normalise_word(word: str) -> str:
    """Return a word without case and punctuation; one of punctuation alone is returned as it is."""
    return "".join(x for x in word.casefold() if x.isalnum()) or word


def _words(text: str) -> list[str]:
    return [normalise_word(x) for x in text.split()[:_MAX_WORDS]]


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Number of words in matching runs, in order."""
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


def _is_spelled_alike(one: str, other: str) -> bool:
    """Compare characters, for words that are cut, joined or written without blanks."""
    first, second = ("".join(_words(x))[:_MAX_CHARACTERS] for x in (one, other))
    length = min(len(first), len(second))
    if length < 4:
        return bool(length) and first[:length] == second[:length]
    match = SequenceMatcher(None, first[: length + 2], second[: length + 2], autojunk=False)
    return match.ratio() > _SAME_CHARACTERS
