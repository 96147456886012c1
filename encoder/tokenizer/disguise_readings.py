"""Readings of a text as a rude word: what each of its characters stands for, whether or not that is meant.

A tree of the rude words is walked along the text, in all ways that its characters allow at once; of the ways to one
place in the tree the least far-fetched is kept, so the time grows with the text and not with the number of ways.
`encoder.tokenizer.disguises` tells which readings are meant.
"""

import re
import unicodedata
from functools import cache, lru_cache
from typing import NamedTuple

from confusable_homoglyphs.utils import load as load_table

from encoder.tokenizer.characters import LATIN_ALIKE, MARK_RANGES, SKIPPED
from encoder.tokenizer.rude_words import RUDE_WORDS, RudeWord

INSTEAD = {"v": "u", "z": "s"}
"""Letters that people put in place of others, as in "fvck"."""
_DIGITS = {"0": "ou", "1": "il", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g"}
SIGNS = {"@": "a", "$": "s", "!": "i", "|": "il", "¡": "i", "€": "e", "£": "l", "¢": "c", "§": "s", "+": "t", "†": "t"}
MASKS = frozenset("*#%^~_-?&•●×✱✳⁎∗■█□▪◼⬛@$!+")
_SEPARATORS = frozenset(".-_~*+=•·∙‐‑–—,/\\|^")
_EMOJI = "\u2190-\u21ff\u2300-\u245f\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f000-\U0001f1e5\U0001f200-\U0001faff"
_IS_EMOJI = re.compile(f"[{_EMOJI}]")
_IS_MARK = re.compile(f"[{MARK_RANGES}]")
_LETTERS = dict(zip("ᔕᖴᑎᕮᘜᖇᔑᔖ", "sfnegrss", strict=True))
"""Letters that the Unicode table of confusable characters does not have."""
_ASIAN = ((0x0900, 0x109F), (0x2E80, 0xA4CF), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


class _Node:
    """A node of the tree of rude words, by letters."""

    __slots__ = ("children", "letter", "word")

    def __init__(self, letter: str) -> None:
        self.letter = letter
        self.children: dict[str, _Node] = {}
        self.word: RudeWord | None = None


def _make_tree() -> _Node:
    root = _Node("")
    for text, word in RUDE_WORDS.items():
        node = root
        for letter in text:
            node = node.children.setdefault(letter, _Node(letter))
        node.word = word
    return root


_ROOT = _make_tree()


class _Path(NamedTuple):
    """How the characters read so far were read: the last one's action and letter, and those before."""

    before: "_Path | None"
    action: str
    letter: str


class WordReading(NamedTuple):
    """A text read as a rude word: an action and a letter (or none) for each character.

    Actions: `l` the letter itself, `a` with an accent, `c` a look-alike, `d` a digit, `g` a sign, `m` a mask, `r` a
    repetition, `s` a separator, `k` a combining mark, `z` a skipped character. More masks than letters have no letter.
    """

    word: RudeWord
    actions: str
    letters: list[str]


@lru_cache(4096)
def _meanings(character: str) -> tuple[tuple[str, str, int], ...]:
    """Give what a character can mean in a disguised word: action, letters, and how far-fetched that is."""
    lower = character.lower()
    if "a" <= lower <= "z":
        return (("l", lower, 0), *([("g", INSTEAD[lower], 1)] if lower in INSTEAD else []))
    if character in _DIGITS:
        return (("d", _DIGITS[character], 1),)
    if character == SKIPPED:
        return (("z", "", 0),)
    if _IS_MARK.match(character):
        return (("k", "", 0),)
    found = list[tuple[str, str, int]]()
    if character in SIGNS:
        found.append(("g", SIGNS[character], 1))
    if character in _SEPARATORS or is_emoji(character):
        found.append(("s", "", 1))
    if character in MASKS or is_emoji(character):
        found.append(("m", "", 2 + (character in SIGNS)))
    if (not found and character.isalpha()) or is_regional_letter(character):
        accented, letter = _look_of(character)
        if letter:
            found.append(("a" if accented else "c", letter, 1))
    return tuple(found)


def _look_of(character: str) -> tuple[bool, str]:
    """Give the Latin letter that a letter is with an accent (true) or looks like (false); none if there is none."""
    code = ord(character)
    if any(first <= code <= last for first, last in _ASIAN):
        return False, ""
    base = unicodedata.normalize("NFKD", character)[0].lower()
    if base.isascii() and base.isalpha():
        return True, base
    if is_regional_letter(character):
        return False, chr(code - 0x1F1E6 + ord("a"))
    named = re.match(
        r"LATIN (?:SMALL|CAPITAL) LETTER (?:DOTLESS |LONG )?([A-Z])(?: WITH |$)", unicodedata.name(character, "")
    )
    if named:
        return True, named[1].lower()
    return False, _alike().get(character, "").lower()


@cache
def _alike() -> dict[str, str]:
    """Read the Unicode table of confusable characters: letters of other scripts to the Latin letter they look like."""
    found: dict[str, str] = {}
    for character, others in load_table("confusables.json").items():
        if len(character) == 1 and not character.isascii():
            letters = [x["c"] for x in others if len(x["c"]) == 1 and x["c"].isascii() and x["c"].isalpha()]
            found.update(dict.fromkeys(character, letters[0]) if letters else {})
    return found | _LETTERS | LATIN_ALIKE


def read_rude_words(text: str) -> list[WordReading]:
    """Read a whole text as rude words, the least far-fetched one first."""
    states: dict[_Node, tuple[int, _Path | None]] = {_ROOT: (0, None)}
    for character in text:
        following: dict[_Node, tuple[int, _Path | None]] = {}

        def reach(node: _Node, cost: int, path: _Path, into: dict[_Node, tuple[int, _Path | None]] = following) -> None:
            if node not in into or cost < into[node][0]:
                into[node] = cost, path

        for node, (cost, path) in states.items():
            for action, letters, price in _meanings(character):
                if action == "m":
                    for letter, child in node.children.items() if path is not None and path.action != "s" else ():
                        reach(child, cost + price, _Path(path, "m", letter))
                    if path is not None and path.action == "m":
                        reach(node, cost + 1, _Path(path, "m", ""))
                elif not letters:
                    if action == "z" or (node is not _ROOT and not (action == "s" and path and path.action == "m")):
                        reach(node, cost + price, _Path(path, action, ""))
                else:
                    for letter in letters:
                        if letter in node.children:
                            reach(node.children[letter], cost + price, _Path(path, action, letter))
                    if node.letter and node.letter in letters:
                        reach(node, cost + price + 1, _Path(path, "r", ""))
        if not following:
            return []
        states = following
    ends = [(cost, node.word.rank, node.word, path) for node, (cost, path) in states.items() if node.word]
    return [_make_reading(word, path) for _, _, word, path in sorted(ends, key=lambda x: x[:2])]


def _make_reading(word: RudeWord, path: _Path | None) -> WordReading:
    actions, letters = list[str](), list[str]()
    while path is not None:
        actions.append(path.action)
        letters.append(path.letter)
        path = path.before
    return WordReading(word, "".join(reversed(actions)), letters[::-1])


def spell_word(text: str, reading: WordReading) -> str:
    """Write a disguised word with its letters in place, in the case of the text.

    The last of repeated characters is the letter, and of the first letter's the first, so that the letters reach from
    the first to the last character of the word as it is written.
    """
    letters, actions = reading.letters.copy(), reading.actions
    first = next(i for i, x in enumerate(letters) if x)
    for i in range(1, len(letters)):
        if actions[i] in "rk" or (actions[i] == "m" and not letters[i]):
            at = i - 1
            while at > first and not letters[at] and actions[at] in "zs":
                at -= 1
            if at > first and letters[at]:
                letters[i], letters[at] = letters[at], ""
    shown = [x for x, action in zip(text, actions, strict=True) if action == "l"]
    capitals = bool(shown) and all(map(str.isupper, shown))
    shaped = [x.upper() if capitals or old.isupper() else x for old, x in zip(text, letters, strict=True)]
    return "".join([x or SKIPPED for x in shaped])


def is_letter_or_sign(character: str) -> bool:
    """Tell whether a character is a letter or can stand in place of one."""
    return character.isalnum() or character in SIGNS or is_regional_letter(character)


def is_emoji(character: str) -> bool:
    """Tell whether a character is an emoji or a symbol like one."""
    return _IS_EMOJI.match(character) is not None


def is_regional_letter(character: str) -> bool:
    """Tell whether a character is one of those that make flags."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"
