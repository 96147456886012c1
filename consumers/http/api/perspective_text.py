"""What the endpoints of Perspective's API tell of a text: its sentences, its language, and offsets in UTF-16."""

import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

LANGUAGE = "en"
"""The language that is scored."""
UNKNOWN = "und"
"""What BCP 47 calls a language that cannot be told."""
MAX_SENTENCES = 64
"""Limit of the sentences of one text; those beyond it are parts of the last one."""
MIN_WORDS, MIN_LETTERS = 4, 16
"""What a text in Latin letters needs to count as not English: less than that is a guess."""
MAX_ENGLISH, MIN_SURE = 0.02, 0.85
"""Largest probability that such a text is English, and smallest one that it is one of the three likeliest languages."""

_END = re.compile(r"[.!?…。！？]+[\"'”’)\]}»]*(?=\s)|[。！？]+|[\n\r\x85\u2028\u2029]+")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:(?:[^\W\d_]\.)+[^\W\d_]|[A-HJ-Z]|mrs?|ms|dr|prof|st|vs|etc|jr|sr|no|approx|dept|gov|gen|sen"
    r"|rep|capt|col|sgt|inc|ltd|co|corp|fig)\Z",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SCRIPTS = {
    "ARABIC": "ar",
    "BENGALI": "bn",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "DEVANAGARI": "hi",
    "GREEK": "el",
    "HANGUL": "ko",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "TAMIL": "ta",
    "THAI": "th",
}
"""Usual language of a script, by the first word of its letters' names."""
_MANY = 256
"""Letters and words that are looked at: a language is told by few."""

_WORDS_OF_ENGLISH = (
    "the and if by from with about are were been did does has have having not that this these those it its it's she "
    "him they them their our us you your you're my who how what when why where there here just like could can't don't "
    "would should some any get got because than then too very out up now know think want said one"
)
_ENGLISH_WORDS = frozenset(_WORDS_OF_ENGLISH.split())
"""Frequent words that hardly any other language has."""
_LIKE_ENGLISH = frozenset({LANGUAGE, "pcm", "sco", "zxx", "und"})
"""English, what is close to it, and what is no language."""


def cut_sentences(text: str) -> list[tuple[int, int]]:
    """Return the sentences of a text as its marks and line breaks show them, without the white space around.

    Returns:
        Begin and end of each in characters, end exclusive: at least one, and at most `MAX_SENTENCES`.
    """
    sentences, begin = [], 0
    for found in _END.finditer(text):
        is_dot = text[found.start()] == "." and found.end() - found.start() == 1
        if is_dot and _ABBREVIATION.search(text, max(begin, found.start() - 16), found.start()):
            continue
        if (part := _trim(text, begin, found.end())) is not None:
            sentences.append(part)
        begin = found.end()
        if len(sentences) == MAX_SENTENCES - 1:
            break
    if (part := _trim(text, begin, len(text))) is not None:
        sentences.append(part)
    return sentences or [(0, len(text))]


def _trim(text: str, begin: int, end: int) -> tuple[int, int] | None:
    part = text[begin:end]
    left = len(part) - len(part.lstrip())
    return (begin + left, begin + len(part.rstrip())) if part.strip() else None


def is_plainly_english(text: str) -> bool:
    """Whether frequent English words tell the language of a text, so that `detect_language` is not needed."""
    words = _WORD.findall(text.lower())[:_MANY]
    hits = sum(word.replace("’", "'") in _ENGLISH_WORDS for word in words)
    return text.isascii() and hits >= 2 and hits * 8 >= len(words)


def detect_language(text: str) -> str:
    """Return the language of a text (BCP 47), in doubt English.

    A text counts as another language if most of its letters are of a script that English is not written in, or if it
    has enough words and py3langid is sure. Names, emoji and a few words in Latin letters are never a reason. The first
    call loads its model, which takes half a second.
    """
    if is_plainly_english(text):
        return LANGUAGE
    letters = _LETTER.findall(text)[:_MANY]
    script = None if text.isascii() else _detect_script(letters)
    if script is None and (len(letters) < MIN_LETTERS or len(_WORD.findall(text)) < MIN_WORDS):
        return LANGUAGE
    ranked = _load_identifier().rank(" ".join(_WORD.findall(text)[:_MANY]))
    likeliest, probability = ranked[0]
    if script is not None:
        return str(likeliest) if probability >= MIN_SURE else script
    english = sum(share for name, share in ranked if name in _LIKE_ENGLISH)
    is_sure = english <= MAX_ENGLISH and sum(share for _, share in ranked[:3]) >= MIN_SURE
    return str(likeliest) if is_sure else LANGUAGE


@cache
def _load_identifier() -> Any:
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


def _detect_script(letters: Sequence[str]) -> str | None:
    """Return the usual language of the script of most letters, None if it is that of English."""
    scripts = Counter(unicodedata.name(x, UNKNOWN).partition(" ")[0] for x in letters)
    foreign = {name: count for name, count in scripts.items() if name in _SCRIPTS}
    if sum(foreign.values()) * 2 <= len(letters):
        return None
    if foreign.get("HIRAGANA", 0) + foreign.get("KATAKANA", 0):
        return "ja"
    return _SCRIPTS[max(foreign, key=foreign.__getitem__)]


class Utf16:
    """Offsets of a text in UTF-16 code units, the characters of Java and JavaScript."""

    def __init__(self, text: str) -> None:
        self._pairs = [] if text.isascii() else [i for i, character in enumerate(text) if character > "\uffff"]

    def at(self, offset: int) -> int:
        """Convert an offset in code points to UTF-16 code units."""
        return offset + bisect_left(self._pairs, offset)
