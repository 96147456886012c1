"""Ways in which people disguise a word, for tests and for the benchmark of found disguises."""

import unicodedata
from collections.abc import Callable

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
    return lambda word: "".join(chr(first + ord(x) - ord("a")) for x in word)


def repeat(word: str, at: int, times: int) -> str:
    return word[:at] + word[at] * times + word[at:]


def first_vowel(word: str) -> int:
    """The place of the first vowel behind the first letter, or of the second letter ("ugly")."""
    return next((i for i, x in enumerate(word) if i and x in "aeiou"), 1)


def mask(word: str, sign: str) -> str:
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
