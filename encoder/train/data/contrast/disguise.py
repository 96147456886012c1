"""Ways in which people disguise a word: for made-up messages, for tests, and for the benchmark of found disguises."""

import random
import re
import unicodedata
from collections.abc import Callable

from encoder.tokenizer.cleaning import SKIPPED, clean_text
from encoder.tokenizer.rude_words import RUDE_WORDS

TWO_WORDS = 0.3
"""Share of the messages with disguises that have two disguised words."""
INSIDE = 0.6
"""Chance that a disguised word of a rude message is one of its spans, and of a harmless one that it is a rude word."""
LEET = str.maketrans("aeiost", "43105+")
STYLED = {
    "bold": 0x1D41A,
    "script": 0x1D4EA,
    "double": 0x1D552,
    "circled": 0x24D0,
    "full width": 0xFF41,
    "parenthesised": 0x249C,
    "sans": 0x1D5BA,
}


def styled(first: int) -> Callable[[str], str]:
    """Give what writes small letters in the style whose "a" is the character `first`."""
    return lambda word: "".join(chr(first + ord(x) - ord("a")) for x in word)


def repeat(word: str, at: int, times: int) -> str:
    """Write the letter at a place that many times."""
    return word[:at] + word[at] * times + word[at:]


def first_vowel(word: str) -> int:
    """The place of the first vowel behind the first letter, or of the second letter ("ugly")."""
    return next((i for i, x in enumerate(word) if i and x in "aeiou"), 1)


def mask(word: str, sign: str) -> str:
    """Put a sign in place of the first vowel."""
    at = first_vowel(word)
    return word[:at] + sign + word[at + 1 :]


KINDS: dict[str, Callable[[str], str]] = {
    "leet": lambda word: word[0] + word[1:].translate(LEET),
    "one digit": lambda word: mask(
        word, {"a": "4", "e": "3", "i": "1", "o": "0", "u": "v", "g": "9"}[word[first_vowel(word)]]
    ),
    "at sign": lambda word: word.replace("a", "@", 1) if "a" in word else word.replace("s", "$", 1),
    "asterisk": lambda word: mask(word, "*"),
    "hash": lambda word: mask(word, "#"),
    "masked by an emoji": lambda word: mask(word, "\U0001f4a9"),
    "spaces": " ".join,
    "two spaces": "  ".join,
    "full stops": ".".join,
    "hyphens": "-".join,
    "low lines": "_".join,
    "asterisks between": "*".join,
    "full stops and spaces": ". ".join,
    "emoji between": "\U0001f600".join,
    "emoji and spaces between": " \U0001f600 ".join,
    "one hyphen": lambda word: f"{word[:2]}-{word[2:]}",
    "one emoji": lambda word: f"{word[:2]}\U0001f525\ufe0f{word[2:]}",
    "long vowel": lambda word: repeat(word, first_vowel(word), 4),
    "long end": lambda word: repeat(word, len(word) - 1, 3),
    "long start": lambda word: repeat(word, 0, 3),
    "all long": lambda word: "".join(x * 3 for x in word),
    "struck out": lambda word: "".join(x + "\u0336" for x in word),
    "zalgo": lambda word: "".join(x + "\u0335\u0301\u0323\u033e"[: 2 + i % 3] for i, x in enumerate(word)),
    "enclosed": "\u20dd".join,
    "zero width": "\u200b".join,
    "regional indicators": lambda word: "\u200b".join(chr(0x1F1E6 + ord(x) - ord("a")) for x in word),
    "regional indicators and spaces": lambda word: " ".join(chr(0x1F1E6 + ord(x) - ord("a")) for x in word),
    "Cyrillic": lambda word: word.translate(str.maketrans("aeopcxi", "аеорсхі")),
    "Cyrillic and digits": lambda word: mask(word, "*").translate(str.maketrans("aeopcxi", "аеорсхі")),
    "accents": lambda word: unicodedata.normalize("NFC", "".join(x + "\u0301" if x in "aeiou" else x for x in word)),
    "leet and spaces": lambda word: " ".join(mask(word, "1")) if word[first_vowel(word)] == "i" else " ".join(word),
    "leet and long": lambda word: repeat(word, 0, 3).replace("o", "0").replace("i", "1"),
} | {name: styled(first) for name, first in STYLED.items()}


def disguise(kind: str, word: str) -> str:
    """Disguise a word; itself if it has not enough letters that the kind can change."""
    if kind == "accents" and sum(x in "aeiou" for x in word) < 2:
        return word
    return KINDS[kind](word)


_WAYS: dict[str, tuple[float, tuple[str, ...]]] = {
    "leet": (0.25, ("leet", "one digit", "one digit", "at sign", "leet and long", "few digits", "sounds", "sounds")),
    "masks": (0.25, ("asterisk", "asterisk", "asterisk", "hash", "dash", "masked end", "masked by an emoji")),
    "apart": (0.25, ("spaces", "spaces", "full stops", "hyphens", "low lines", "asterisks between", "one hyphen")),
    "long": (0.12, ("long vowel", "long vowel", "long end", "long start", "all long")),
    "look": (0.13, ("zero width", "Cyrillic", "Cyrillic and digits", "full width", "accents", "bold", "zalgo")),
}  # fmt: skip
"""Kinds for made-up messages, by what they do and with the share of it."""
_MORE_KINDS: dict[str, Callable[[str], str]] = {
    "dash": lambda word: mask(word, "-"),
    "masked end": lambda word: word[: len(word) // 2] + "*" * (len(word) - len(word) // 2),
    "few digits": lambda word: word.replace("o", "0").replace("e", "3", 1),
    "sounds": lambda word: word.replace("eat", "8").replace("ate", "8").replace("for", "4").replace("to", "2"),
}
_TRIES = 20
"""Kinds that are tried, since not every kind changes every word."""
_COMMON = frozenset(
    re.split(
        r"\s+",
        "about after again also always been before being could does don ever every from goes have here into just like "
        "more most much never only other over said same says should some still such than that their them then there "
        "these they this those very want were what when where which while will with would your shut",
    )
)
"""Words that nobody disguises."""
_SHOWN = re.compile(r"(?<![\w'’@/.-])[A-Za-z]{3,}(?![\w'’@/-]|\.\w)")

Spans = tuple[tuple[int, int, str], ...]


def disguise_words(
    text: str, spans: Spans, rude: frozenset[str], rng: random.Random
) -> tuple[str, Spans, tuple[tuple[int, int], ...]]:
    """Disguise one or two words of a text, in one way.

    Args:
        text: a plain text.
        spans: in characters, end exclusive. Where there are any, their words are disguised more often than others.
        rude: words in small letters that are disguised more often than others in a text without spans, and while
            they are shorter than four letters.
        rng: chance.

    Returns:
        The text, the spans in it, and the places of the disguised words; without a place if no word fits.
    """
    words = [x for x in _SHOWN.finditer(text) if _can_hide(x[0].lower(), rude)]
    inside = [x for x in words if any(a <= x.start() < b for a, b, _ in spans) or (not spans and x[0].lower() in rude)]
    others = [x for x in words if x not in inside]
    chosen = list[re.Match[str]]()
    for _ in range(2 if rng.random() < TWO_WORDS else 1):
        pool = inside if inside and (not others or rng.random() < INSIDE) else others
        if pool:
            chosen.append(pool.pop(rng.randrange(len(pool))))
    share, kinds = zip(*_WAYS.values(), strict=True)
    for _ in range(_TRIES if chosen else 0):
        kind = rng.choice(rng.choices(kinds, share)[0])
        result = _replace_words(text, spans, sorted(chosen, key=re.Match.start), kind)
        if len(result[2]) == len(chosen):
            return result
    return text, spans, ()


def _can_hide(word: str, rude: frozenset[str]) -> bool:
    if len(word) < 4 and word not in rude:
        return False
    return word not in _COMMON and any(x in "aeiou" for x in word[1:])


def _is_misread(word: str, hidden: str) -> bool:
    """Tell whether a word that is not rude is read as a rude one when disguised, such as "area" as "ar**"."""
    return word not in RUDE_WORDS and clean_text(hidden).replace(SKIPPED, "").lower() in RUDE_WORDS


def _replace_words(
    text: str, spans: Spans, words: list[re.Match[str]], kind: str
) -> tuple[str, Spans, tuple[tuple[int, int], ...]]:
    """Put disguised words in place, from left to right; spans begin and end at words, so a shift moves them."""
    shown, end, shifts, places = "", 0, list[tuple[int, int]](), list[tuple[int, int]]()
    for found in words:
        hidden = (_MORE_KINDS.get(kind) or KINDS[kind])(found[0].lower())
        hidden = hidden[0].upper() + hidden[1:] if found[0][0].isupper() and hidden[0].isascii() else hidden
        if hidden == found[0] or _is_misread(found[0].lower(), hidden):
            continue
        shown += text[end : found.start()] + hidden
        places.append((len(shown) - len(hidden), len(shown)))
        end = found.end()
        shifts.append((end, len(hidden) - len(found[0])))
    moved = (
        (a + sum(by for at, by in shifts if at <= a), b + sum(by for at, by in shifts if at <= b), label)
        for a, b, label in spans
    )
    return shown + text[end:], tuple(moved), tuple(places)
