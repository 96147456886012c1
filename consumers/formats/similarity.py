"""Comparison of two recognised texts by their words: is one a rewriting of the other, or does it say something else?

Sentences share their first and their small words. So most words must be equal, or another utterance would be taken for
a rewriting, and its text would be lost.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

_MAX_WORDS = 64
"""Words that are compared, which bounds the cost."""
_MAX_READ = 4000
"""Characters of a text in which words are looked for."""
_MAX_CHARACTERS = 200
_SPELLED_ALIKE = 0.9
"""Share of the characters of texts that differ in how words are cut, joined or written without blanks."""


def begins_with(whole: str, interim: str) -> bool:
    """Whether a text is the beginning of another, but for case and punctuation; its last word may be cut."""
    some, all_words = _words(interim), _words(whole)
    if len(some) > len(all_words):
        return False
    return not some or (some[:-1] == all_words[: len(some) - 1] and all_words[len(some) - 1].startswith(some[-1]))


def is_part_of(interim: str, whole: str, share: float = 2 / 3) -> bool:
    """Whether a text is an interim form of another: its beginning, or more than this share of its words are in it."""
    if begins_with(whole, interim):
        return True
    some = _words(interim)
    return _common(some, _words(whole)) > share * len(some) or _is_spelled_alike(interim, whole)


def is_same_text(one: str, other: str, share: float = 0.8) -> bool:
    """Whether two texts are forms of one text: they share more than this part of their words, or are spelled alike."""
    first, second = _words(one), _words(other)
    if not first or not second:
        return first == second
    shared = 2 * _common(first, second) / (len(first) + len(second))
    return shared > share or (abs(len(one) - len(other)) <= len(one) / 4 and _is_spelled_alike(one, other))


def normalise_word(word: str) -> str:
    """Return a word without case and punctuation; one of punctuation alone is returned as it is."""
    return "".join(x for x in word.casefold() if x.isalnum()) or word


def _words(text: str) -> list[str]:
    return [normalise_word(x) for x in text[:_MAX_READ].split()[:_MAX_WORDS]]


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Number of words in matching runs, in order."""
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


def _is_spelled_alike(one: str, other: str) -> bool:
    """Compare characters of two beginnings, for words that are cut, joined or written without blanks."""
    first, second = ("".join(_words(x))[:_MAX_CHARACTERS] for x in (one, other))
    length = min(len(first), len(second))
    if length < 4:
        return False
    match = SequenceMatcher(None, first[: length + 2], second[: length + 2], autojunk=False)
    return match.ratio() > _SPELLED_ALIKE
