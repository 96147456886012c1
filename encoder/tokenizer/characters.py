"""Characters of a text as the model reads them.

What people do not see must not hide a word from the model, and what people read as a letter is read as that letter:

- Invisible characters (control characters, escape sequences of terminals, zero-width characters, soft hyphens, marks of
  direction, variation selectors, tags, noncharacters, U+FFFD) become `SKIPPED`: the word goes on behind them.
- Characters that divide a text (form feed, vertical tab, separators) become a space.
- Full-width, mathematical, circled and other compatibility forms of ASCII characters (NFKC), and small capitals, become
  the ASCII character.
- Cyrillic, Greek, Armenian and Cherokee letters that look like Latin ones become Latin in a word that also has Latin
  letters. A word that consists of perfect look-alikes becomes Latin if the rest of the text is Latin.

- Combining marks that no language uses (three on one letter, or one and the same on three letters) are skipped.

The result has the length of the text; it is the text itself if nothing is to be replaced.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain

SKIPPED = "\0"
"""Stands in a cleaned text for a character that the model does not see."""

_INVISIBLE_RANGES = (
    *((0x00, 0x08), (0x0E, 0x1B), (0x7F, 0x84), (0x86, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C)),
    *((0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F)),
    *((0x3164, 0x3164), (0xD800, 0xDFFF), (0xFDD0, 0xFDEF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0)),
    *((0xFFF0, 0xFFFB), (0xFFFD, 0xFFFD), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
    *((plane + 0xFFFE, plane + 0xFFFF) for plane in range(0, 0x110000, 0x10000)),
)
_DIVIDING = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2800\ufffc"
_ESCAPE_SEQUENCE = re.compile(r"[\x1b\x9b](?:(?<=\x9b)|\[)(?:[0-9;:?]*[A-HJKSTm]|[0-9;:?]+[a-z]?)?")
"""A control sequence of a terminal (ECMA-48), cut off too. Without parameters only those that are in common use, so
that no letters of a word are taken for one."""
_COMPATIBLE_RANGES = (
    (0x02B0, 0x02E4),
    (0x1D2C, 0x1DBF),
    (0x2070, 0x209C),
    (0x2100, 0x214F),
    (0x249C, 0x24E9),
    (0xFF01, 0xFF5E),
    (0x1D400, 0x1D7FF),
    (0x1F110, 0x1F149),
)
_SMALL_CAPITALS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡƒſ", "abcdefghijklmnoprstuvwyzagfs", strict=True))
_PERFECT = (
    "aа cс dԁ eе hһ iі jј lӏ oоοօ pр qԛ sѕ uս vѵν wԝ xх yу nո AАΑᎪ BВΒᏴ CСᏟ EЕΕᎬ GԌᏀ HНΗᎻ IІΙ JЈᎫ KКΚᏦ LᏞ MМΜᎷ NΝ OОΟՕ "
    "PРΡᏢ QԚ RᏒ SЅᏚ TТΤᎢ UՍ VѴᏙ WԜᎳ XХΧ YΥ ZΖᏃ"
)
"""Latin letters, each with the letters of other scripts that look the same in most fonts."""
_SIMILAR = "aα bвьъβ eёєεҽ gցԍ hнη iїι kкκ mмա nпη oσδ pρք rгяЯ sς tтτ uиυцЦ wшω xχ yγўү zʐ BЪЬ EЁЄ IЇ NИ RЯ UЦ WШ YЎҮ"
"""Letters that people put in place of a Latin one inside of a word, such as "ѕтuрid"."""
_MARK_RANGES = ((0x300, 0x36F), (0x483, 0x489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
MARK_RANGES = "".join([f"{chr(first)}-{chr(last)}" for first, last in _MARK_RANGES])
"""Combining marks, as a set of a regular expression."""
_MARK = "\u0300-\u036f"
_MARKED_WORD = re.compile(rf"(?:\w[{MARK_RANGES}]*)+")
_ODD_MARKS = re.compile(
    rf"[{MARK_RANGES}]{{3}}|([{MARK_RANGES}])[{MARK_RANGES}]*\w\1[{MARK_RANGES}]*\w\1|[\u20d0-\u20ff]"
)
_MARKED_LETTER = re.compile(rf"(\w)([{MARK_RANGES}]+)")


def _alike(table: str) -> dict[str, str]:
    return {other: group[0] for group in table.split() for other in group[1:]}


def _codes(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    return chain.from_iterable(range(first, last + 1) for first, last in ranges)


def _compatible() -> Iterator[tuple[str, str]]:
    """Yield the compatibility forms of single ASCII characters. Superscript digits are not: they are numbers."""
    for code in _codes(_COMPATIBLE_RANGES):
        plain = unicodedata.normalize("NFKC", chr(code))
        plain = plain[1] if len(plain) == 3 and plain[0] == "(" else plain
        if len(plain) == 1 and plain.isascii() and (plain.isalpha() or code > 0x2100):
            yield chr(code), plain


LATIN_ALIKE = _alike(_SIMILAR) | _alike(_PERFECT)
"""Letters of other scripts, to the Latin letters that they look like."""
_PERFECTLY_ALIKE = frozenset(_alike(_PERFECT))
_PLAIN = dict.fromkeys(map(chr, _codes(_INVISIBLE_RANGES)), SKIPPED) | dict.fromkeys(_DIVIDING, " ")
_PLAIN |= dict(_compatible()) | _SMALL_CAPITALS
_PLAIN |= {chr(first + i): chr(0x41 + i) for first in (0x1F150, 0x1F170) for i in range(26)}  # white on black
_TRANSLATION = {ord(character): plain for character, plain in _PLAIN.items()}
_UNWANTED = frozenset(_PLAIN)
_UNUSUAL = _UNWANTED.union(map(chr, _codes(_MARK_RANGES)))
_OTHER_SCRIPTS = "\u0370-\u03ff\u0400-\u058f\u13a0-\u13ff"
_OTHER_LETTER = re.compile(f"[{_OTHER_SCRIPTS}]")
_WORD_WITH_OTHERS = re.compile(rf"[\w{SKIPPED}{_MARK}]*[{_OTHER_SCRIPTS}][\w{SKIPPED}{_MARK}]*")
_LATIN = re.compile(r"[A-Za-z]")


def replace_characters(text: str) -> str:
    """Replace characters of a text for the model; the result has the same length, and is `text` itself if none is."""
    if text.isascii() and text.isprintable():  # nearly always
        return text
    replaced = text
    if not _UNUSUAL.isdisjoint(text):
        if not _UNWANTED.isdisjoint(text):
            replaced = _ESCAPE_SEQUENCE.sub(lambda found: SKIPPED * len(found[0]), text).translate(_TRANSLATION)
        replaced = _skip_odd_marks(replaced)
    return replaced if text.isascii() else _read_as_latin(replaced)


def _skip_odd_marks(text: str) -> str:
    """Skip the combining marks of words that have more of them than any language has."""
    if not _ODD_MARKS.search(text):
        return text
    return _MARKED_WORD.sub(lambda word: _skip_marks(word[0]) if _ODD_MARKS.search(word[0]) else word[0], text)


def _skip_marks(word: str) -> str:
    """Skip all combining marks of a word. A letter takes the place of its last mark, so that it ends where they do."""
    return _MARKED_LETTER.sub(
        lambda found: SKIPPED * len(found[2]) + found[1] if found.start() else found[1] + SKIPPED * len(found[2]),
        word,
    )


def _read_as_latin(text: str) -> str:
    """Replace look-alikes of Latin letters: in words of mixed scripts, and in a Latin text those that are perfect."""
    others = _OTHER_LETTER.findall(text)
    if not others:
        return text
    is_latin = all(x in _PERFECTLY_ALIKE for x in others) and _LATIN.search(text) is not None

    def read(found: re.Match[str]) -> str:
        word = found[0]
        if not _LATIN.search(word) and not (is_latin and len(word) > 2):
            return word
        return "".join([LATIN_ALIKE.get(x, x) for x in word])

    read_text = _WORD_WITH_OTHERS.sub(read, text)
    return text if read_text == text else read_text
