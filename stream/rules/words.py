"""Words of a text with their offsets, phrases of them, and the words that ask for a value.

Rules read a text with digits and signs of other scripts as plain ones, and without what nobody sees (`PlainText`).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from stream.rules.vocabulary import CUES, NEAR_CUES, NUMBER_WORDS, SHORT_VALUES

Value = TypeVar("Value")
_TOKEN = re.compile(r"\S+")
_PICTURES = frozenset(map(chr, (*range(0x2190, 0x22C5), *range(0x22C6, 0x2C00), *range(0x1F000, 0x1FB00))))
_LEADING = _PICTURES.union("[({<\"'“‘«*$£€₹¥")
_TRAILING = _PICTURES.union("])}>\"'”’»,.;:!?…*")
"""What stands around a word; pictures are written beside one without a space."""
_NAMED = re.compile(
    r"(?:[a-z]{2,16}[:=#]|(?:no|nr|tel|ph|mob|cell|fax|ext|acct)\.)"
    r"(?=[*(+\d]|[a-z]{1,2}(?:(?:[\s-]?\d){4}|\d{2}[a-z\d]{8}))",
    re.IGNORECASE,
)
"""The name of a value that is written right behind it: "Tel:020", "SSN=536", "no.4111"."""
_HEX_GROUPS = re.compile(r"[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,}.*", re.IGNORECASE)
_EXTENSION = re.compile(r"(?<=\d)(?=(?:x|ext\.?|;ext=|#)\d{1,6}$)", re.IGNORECASE)
_PORT = re.compile(r"(?<=\d)(?=:\d{1,5}$)", re.ASCII)
_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}:\d+", re.ASCII)
_LIST = re.compile(r"(?:[^,–—]|(?<=\d),(?=\d{3}(?!\d)))+", re.ASCII)
_OWN_THINGS = (["the", "van"], ["my", "car"])
_PARTS = re.compile(r"[^\-–—]+")


class _PlainCharacters(dict[int, str]):
    """What each character is read as, found out when it is first met: "" if nobody sees it."""

    def __missing__(self, code: int) -> str:
        character = self[code] = _plain_character(chr(code))
        return character


def _plain_character(c: str) -> str:
    if unicodedata.category(c) == "Cf" or c in _UNSEEN:  # soft hyphens, zero-width characters, marks of direction
        return ""
    if c in _SIGNS:
        return _SIGNS[c]
    digit = unicodedata.decimal(c, -1)
    if digit >= 0:
        return str(digit)
    if unicodedata.decomposition(c).startswith(("<super>", "<sub>")):
        return c  # the number of a footnote is no digit of a value
    plain = unicodedata.normalize("NFKC", c)
    return plain if len(plain) == 1 and "!" <= plain <= "~" else c


_UNSEEN = frozenset("\u20e3\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
"""The key around a digit (`1️⃣`), fillers and variation selectors."""
_SIGNS = dict.fromkeys("‐‑‒−﹣", "-") | dict.fromkeys("·•∙⋅․。｡", ".")
"""Hyphens and dots that stand between the digits of a number, or the parts of an address."""
_PLAIN = _PlainCharacters()


class PlainText(NamedTuple):
    """A text as rules read it, with the offsets of its characters in the text received."""

    text: str
    places: Sequence[int]
    """Offset of each character, and behind the last one the length of the text received."""

    @classmethod
    def of(cls, text: str) -> "PlainText":
        """Read a text; what more text makes of a character does not matter, so that the beginning stays as it is."""
        if text.isascii() or (plain := text.translate(_PLAIN)) == text:
            return cls(text, range(len(text) + 1))
        return cls(plain, [*(i for i, c in enumerate(text) if _PLAIN[ord(c)]), len(text)])


class TextWord(NamedTuple):
    """One word, without the punctuation around it."""

    start: int
    end: int
    """Offsets in the text, end exclusive."""
    text: str
    """As it is written."""
    low: str
    """In small letters, with a plain apostrophe."""
    before: str
    """Characters of the token before the word, such as "("."""
    after: str
    """Characters of the token after the word, such as "," or "."."""


def split_text_words(text: str, start: int, end: int) -> tuple[list[TextWord], int]:
    """Split a line of a text into words.

    Returns:
        The words, and the number of those that are complete: a token that touches the end of the text is not, because
        more characters may follow it.
    """
    words: list[TextWord] = []
    complete = 0
    for token in _TOKEN.finditer(text, start, end):
        complete = -1 if token.end() < len(text) else len(words)
        _add_words(token[0], token.start(), words)
    return words, len(words) if complete < 0 else complete


def _add_words(token: str, offset: int, words: list[TextWord]) -> None:
    cut = 0 if token.isalpha() else _end_of_first(token)
    if cut:
        _add_words(token[:cut], offset, words)
        _add_words(token[cut:], offset + cut, words)
        return
    core, at = _core_of(token)
    if core.isalpha():
        words.append(_word(core, offset + at, token[:at], token[at + len(core) :]))
        return
    if "-" in core or "–" in core or "—" in core or "," in core:
        parts = list(_LIST.finditer(core)) if not re.fullmatch(r"[\d,.]+", core) else []
        pieces = [(x[0], x.start()) for x in parts] or [(core, 0)]
        pieces = [piece for x, place in pieces for piece in _split_hyphens(x, place)]
        for i, (piece, place) in enumerate(pieces):
            before = token[:at] if i == 0 else ""
            after = token[at + len(core) :] if i == len(pieces) - 1 else ""
            words.append(_word(piece, offset + at + place, before, after))
        return
    words.append(_word(core, offset + at, token[:at], token[at + len(core) :]))


def _core_of(token: str) -> tuple[str, int]:
    """Return the word of a token, without an 's behind a number, and its place; the token itself if there is none."""
    begin, end = 0, len(token)
    while begin < end and token[begin] in _LEADING:
        begin += 1
    while begin < end and token[end - 1] in _TRAILING:
        end -= 1
    if end - begin > 2 and token[end - 1] == "s" and token[end - 2] in "'’" and token[end - 3].isdigit():
        end -= 2
    return (token[begin:end], begin) if begin < end else (token, 0)


def _end_of_first(token: str) -> int:
    """Return where a second value begins in a token that is not one word: behind its name, or an extension; else 0."""
    if "@" in token:
        return len(token) - 2 if token.endswith(("'s", "’s")) else 0
    if (named := _NAMED.match(token)) and not _HEX_GROUPS.fullmatch(token):
        return named.end()
    if (extension := _EXTENSION.search(token)) and sum(map(str.isdigit, token[: extension.start()])) > 6:
        return extension.start()
    if (port := _PORT.search(token)) and _IP.fullmatch(token):
        return port.start()
    return 0


def _split_hyphens(text: str, place: int) -> list[tuple[str, int]]:
    """Split "forty-one" and "M-I-double-L", and leave "jo-lee@x.com" and "555-0147" as they are."""
    parts = [(x[0], place + x.start()) for x in _PARTS.finditer(text)]
    low = [x.lower() for x, _ in parts]
    if len(parts) > 1 and all(x in NUMBER_WORDS or (len(x) == 1 and x.isalpha()) for x in low):
        return parts
    return [(text, place)]


def _word(text: str, start: int, before: str, after: str) -> TextWord:
    return TextWord(start, start + len(text), text, text.lower().replace("’", "'"), before, after)


class Phrases(Generic[Value]):
    """Phrases with a value each."""

    def __init__(self, phrases: Iterable[tuple[str, Value]]) -> None:
        """Take phrases of one word or more, in small letters."""
        self._by_first: dict[str, list[tuple[tuple[str, ...], Value]]] = {}
        for phrase, value in phrases:
            first, *rest = phrase.split()
            self._by_first.setdefault(first, []).append((tuple(rest), value))
        for found in self._by_first.values():
            found.sort(key=lambda x: -len(x[0]))

    def values(self) -> Iterator[Value]:
        """Yield the value of each phrase."""
        for found in self._by_first.values():
            for _, value in found:
                yield value

    def match(self, words: Sequence[TextWord], at: int) -> tuple[int, Value | None]:
        """Find the longest phrase that begins at a word.

        Returns:
            The number of words and the value; (0, None) if there is none. If the words end inside a phrase, it is
            (words that are left, None): more words may complete it.
        """
        candidates = self._by_first.get(words[at].low)
        if candidates is None:
            return 0, None
        left = len(words) - at - 1
        best: tuple[int, Value | None] = (0, None)
        for rest, value in candidates:
            n = len(rest)
            if n > left:
                if all(words[at + 1 + i].low == rest[i] for i in range(left)):
                    return left + 1, None
            elif best[0] == 0 and all(words[at + 1 + i].low == x for i, x in enumerate(rest)):
                best = n + 1, value
        return best

    def match_complete(self, words: Sequence[TextWord], at: int) -> tuple[int, Value | None]:
        """Find the longest phrase that is complete; (0, None) if there is none."""
        for rest, value in self._by_first.get(words[at].low, ()):
            if tuple(x.low for x in words[at + 1 : at + 1 + len(rest)]) == rest:
                return len(rest) + 1, value
        return 0, None


class ActiveCue(NamedTuple):
    """Words that ask for a value or announce one, as a word after them sees them."""

    label: str
    """"" if the number they announce is nobody's."""
    end: int
    """Index of the word after them; 0 if they stand in an earlier line."""
    lines: int = 0
    """Number of lines between them and the value."""
    weak: bool = False
    """Whether they count only for a value a few words on."""
    ending: bool = False
    """Whether they announce a few digits: the last ones of a value, an extension."""


class FoundCue(NamedTuple):
    """Words that ask for a value or announce one, in their line."""

    first: int
    cue: ActiveCue


class CueWords:
    """Finds the last cue before a word."""

    def __init__(self, more: Iterable[tuple[str, str]] = ()) -> None:
        """Take further phrases with their labels."""
        own = ((" ".join(x.split()), label) for label, text in CUES.items() for x in text.split(","))
        self._phrases = Phrases((*own, *((" ".join(x.lower().split()), label) for x, label in more)))

    def find(self, words: Sequence[TextWord]) -> list[FoundCue]:
        """Return the cues of a line in their order, without overlaps."""
        found: list[FoundCue] = []
        i = 0
        while i < len(words):
            n, label = self._phrases.match_complete(words, i)
            if not n and words[i].low.endswith("s") and words[i].low != "numbers":
                singular = words[i]._replace(low=words[i].low.removesuffix("s").removesuffix("'"))
                n, label = self._phrases.match_complete([singular, *words[i + 1 : i + 4]], 0)
            if n and label is not None:
                lows = [x.low for x in words[i : i + n]]
                weak = lows[-1].removesuffix("'s") in NEAR_CUES and (n == 1 or lows in _OWN_THINGS)
                ending = label not in ("", "national_id") and not SHORT_VALUES.isdisjoint((*lows, " ".join(lows)))
                if found and found[-1].cue.ending and i - found[-1].cue.end < 4:
                    ending = True  # "the last four digits of my account"
                found.append(FoundCue(i, ActiveCue(label, i + n, weak=weak, ending=ending)))
            i += n or 1
        return found
