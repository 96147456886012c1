"""Addresses of mail and of pages, and users' names, written or said with "at", "dot" and "underscore"."""

import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

from stream.rules.spoken import ItemKind, read_item
from stream.rules.vocabulary import (
    CORRECTIONS,
    DOMAINS,
    FILLERS,
    LINKS,
    MAIL_HOSTS,
    NUMBER_WORDS,
    PUBLIC_SITES,
    ROLES,
    SHORT,
    STOP,
    list_words,
)
from stream.rules.words import ActiveCue, Phrases, TextWord

CONNECTORS = {
    "at": "@", "dot": ".", "point": ".", "period": ".", "underscore": "_", "dash": "-", "hyphen": "-", "slash": "/",
    "minus": "-", "@": "@", "_": "_", "colon": ":",
}  # fmt: skip
_TWO_WORDS = {("under", "score"): "_", ("forward", "slash"): "/", ("at", "sign"): "@", ("back", "slash"): "/"}
_FIRST_OF_TWO = frozenset(("under", "forward", "back"))
_SOFT = Phrases((x, True) for x in (*FILLERS, *CORRECTIONS, "got"))
_KEPT = frozenset((ItemKind.DIGITS, ItemKind.LETTER, ItemKind.QUANTITY))
_GOING_ON = frozenset(
    word[:n]
    for phrase in (*CONNECTORS, "under score forward back triple", *NUMBER_WORDS, *FILLERS, *CORRECTIONS, *LINKS, "got")
    for word in phrase.split()
    for n in range(1, len(word) + 1)
)
"""Beginnings of the words with which a value goes on after its first word."""
_EVERYBODY = frozenset(list_words("here channel all everyone team"))
MOST_CONNECTORS = 14
"""Signs in one value; a longer chain is none."""
_MAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+\.[^\W\d_]{2,}")
_PAGE = re.compile(r"(https?://|www\.)?((?:[a-z0-9_-]+\.)+([a-z]{2,}))(:\d+)?([/?#]\S*)?")
_WEB_LABELS = ("email", "url", "username")
_NO_NAMES = SHORT | {"quarter"}
_WEAK_WORDS = STOP | frozenset(list_words("home work school least last first once number name address page site"))


class WebSpan(NamedTuple):
    """A value, in words."""

    first: int
    end: int
    """Index of the word after it."""
    label: str
    score: float


class _Parse(NamedTuple):
    value: str
    end: int
    hit_end: bool
    """Whether the words ended before it was clear that the value does."""


def find_web(
    words: Sequence[TextWord], at: int, cues: Sequence[ActiveCue], begun: str = ""
) -> tuple[list[WebSpan], int | None]:
    """Find the values of a line from a word on.

    Args:
        words: words of the line; what follows the last one is not known.
        at: index of the first word to read.
        cues: for each word the words before it that ask for a value of the web; `label` "" where none do.
        begun: beginning of the word after the last one, in small letters; "" if it is not known.

    Returns:
        The values, and the first word of one that may still go on or begin; None if none may.
    """
    found: list[WebSpan] = []
    open_from: int | None = None
    may_begin = _may_begin(words, cues)
    while at < len(words):
        if not may_begin[at]:
            at += 1
            continue
        written = _find_written(words[at], at)
        cue = cues[at]
        parse, after_part = _parse(words, at, cue, whole=written is not None)
        if parse.hit_end and open_from is None:
            open_from = at
        span = _classify(words, at, parse, cue) or written
        if span is not None:
            if span.label:
                found.append(span)
            at = span.end
        else:
            at = max(at + 1, after_part)
    last = len(words) - 1
    if open_from == last and is_plain_word(begun) and is_plain_word(words[last].low) and cues[last].end != last:
        open_from = None  # no sign follows, so that the last word begins no value
    return found, open_from


def _may_begin(words: Sequence[TextWord], cues: Sequence[ActiveCue]) -> list[bool]:
    """Say which words are worth reading from: those before a sign or before the end, and where a value is asked for."""
    found = [bool(cues[i].label and cues[i].end == i) or not x.low.isalnum() for i, x in enumerate(words)]
    signs = (i for i, x in enumerate(words) if x.low in CONNECTORS or x.low in _FIRST_OF_TWO)
    for place in (*signs, len(words)):
        at = place
        while at and (words[at - 1].low in _GOING_ON or len(words[at - 1].low) == 1 or not words[at - 1].low.isalpha()):
            at -= 1
        found[max(0, at - 1) : place + 1] = [True] * (min(place + 1, len(words)) - max(0, at - 1))
    return found


def is_plain_word(low: str) -> bool:
    """Whether the beginning of a word, in small letters, begins no word with which a value goes on."""
    return len(low) > 1 and low.isalpha() and low not in _GOING_ON


def _connector(words: Sequence[TextWord], at: int) -> tuple[int, str]:
    """Return (number of words, sign) of the sign that is said; (0, "") if none is; "?" if the next word decides."""
    low = words[at].low
    if at + 1 < len(words) and (low, words[at + 1].low) in _TWO_WORDS:
        return 2, _TWO_WORDS[low, words[at + 1].low]
    if low in _FIRST_OF_TWO and at + 1 >= len(words):
        return 1, "?"
    sign = CONNECTORS.get(low, "")
    return (1, sign) if sign else (0, "")


def _skip_fillers(words: Sequence[TextWord], at: int) -> int:
    while at < len(words) and (n := _SOFT.match(words, at)[0]):
        at += n
    return at


def _items(words: Sequence[TextWord], at: int) -> tuple[str, int]:
    """Read letters and digits that are said one after the other; ("", at) if there are none."""
    value, end = "", at
    while (at := _skip_fillers(words, end)) < len(words) and not _connector(words, at)[1]:
        item = read_item(words, at, inside=False, letters=False)
        if item is not None and item.kind is ItemKind.REPEAT and item.end >= len(words):
            return value, item.end  # "double": more words decide
        if item is None or item.kind not in _KEPT:
            break
        value, end = value + item.chars.lower(), item.end
        if words[end - 1].after:
            break
    return value, end


def _part(words: Sequence[TextWord], at: int, most_words: int) -> tuple[str, int]:
    """Read a word, or several, and the letters and digits after them; ("", at) if there is none."""
    value, end = _items(words, at)
    if value:
        return value, end
    end = at
    while most_words and end < len(words) and _connector(words, end)[1] in ("", "?"):
        word = words[end]
        if not word.low[0].isalnum() or (value and (word.low in STOP or words[end - 1].after)):
            break
        value += word.low
        more, end = _items(words, end + 1) if not word.after else ("", end + 1)
        value += more
        most_words = 0 if more else most_words - 1
    return value, end


def _parse(words: Sequence[TextWord], at: int, cue: ActiveCue, *, whole: bool) -> tuple[_Parse, int]:
    """Read a value that begins at a word; also return the word after its first part. `whole`: the word is written."""
    asked = cue.label in _WEB_LABELS
    first = words[at].low
    if at == 0 and asked and cue.lines and first in ("at", "dot", "underscore"):
        return _read_on(words, "", 0, 1)
    if (first in STOP and not _items(words, at)[0]) or _SOFT.match_complete(words, at)[0]:
        return _Parse("", at, False), at + 1
    value, end = (first, at + 1) if whole else _part(words, at, 4 if asked and cue.end == at else 1)
    after_part = end
    if not value:
        return _Parse("", at, False), at + 1
    return _read_on(words, value, end, after_part)


def _read_on(words: Sequence[TextWord], value: str, end: int, after_part: int) -> tuple[_Parse, int]:
    """Read signs and what is between them, after the first part of a value."""
    for _ in range(MOST_CONNECTORS):
        place = _skip_fillers(words, end)
        if place >= len(words):
            return _Parse(value, end, True), after_part
        n, sign = _connector(words, place)
        if sign == "?":
            return _Parse(value, end, True), after_part
        if not sign or (end and sign == "@" and words[end - 1].after in (".", "?", "!")):
            break
        if sign == "@" and "@" in value:
            return _Parse("", end, False), after_part  # "the pictures at jane at example dot com": it begins later
        place = _skip_fillers(words, place + n)
        while sign == ":" and place < len(words) and words[place].low in ("slash", "forward", "/"):
            place += 1
        if place >= len(words):
            whole_sign = value + sign if sign in "/_" else value
            return _Parse(whole_sign, len(words) if whole_sign != value else end, True), after_part
        domain = sign == "@" or (sign == "." and "@" in value)
        if (
            len(words[place].low) > 1
            and words[place].low in _WEAK_WORDS
            and (domain or sign == ".")
            and words[place].low not in DOMAINS
        ):
            break
        part, after = _part(words, place, 3 if sign == "@" or value.endswith(("www", "https")) else 1)
        if not part:
            break
        if sign == "@" and "@" in part:
            return _Parse("", end, False), after_part
        following = _skip_fillers(words, after)
        if sign == "@" and following >= len(words):
            return _Parse(value + sign + part, after, True), after_part
        if sign == "@" and after > place + 1 and not _connector(words, following)[1]:
            if words[place].low not in MAIL_HOSTS:
                break
            part, after = words[place].low, place + 1
        value, end = value + sign + part, after
    return _Parse(value, end, False), after_part


def _classify(words: Sequence[TextWord], at: int, parse: _Parse, cue: ActiveCue) -> WebSpan | None:
    value, end = parse.value, parse.end
    local, has_at, domain = value.partition("@")
    asked = cue.label if cue.label in _WEB_LABELS else ""
    if has_at:
        last = domain.rpartition(".")[2] if "." in domain else ""
        known = last in DOMAINS or (last.isalpha() and len(last) == 2)
        if known or domain in MAIL_HOSTS:
            return WebSpan(at, end, "" if local in ROLES else "email", 0.95 if known else 0.7)
        number = domain.replace(":", "").isdigit()
        alone = not local.isalpha() or end >= len(words)
        if asked == "email" and alone and not number and words[at].low not in SHORT:
            return WebSpan(at, end, "email", 0.5)
        return None
    if "." in value and not value.replace(".", "").isdigit():
        host, _, page = value.partition("/")
        last = host.rpartition(".")[2]
        name = host.removeprefix("www.").removeprefix("w.").split(".")[0]
        if last in DOMAINS and not name.isdigit():
            if name in PUBLIC_SITES and "/" not in value:
                return WebSpan(at, end, "", 0.0)
            return WebSpan(at, end, "url", 0.8 if asked == "url" or page or value.startswith("www") else 0.65)
        if asked == "email":
            return WebSpan(at, end, "email", 0.5)
    if asked == "email" and parse.hit_end and at < end == len(words) - 1 and words[-1].low in ("at", "@"):
        return WebSpan(at, end, "" if value in ROLES else "email", 0.4)  # "tessa at": the rest is in the next segment
    said = any(x.low in ("underscore", "score", "_") for x in words[at:end])
    if (said and "_" in value) or (asked == "username" and end > at + 1 and any(x in value for x in ".-")):
        return WebSpan(at, end, asked or "username", 0.75 if asked else 0.6)
    if asked == "username" and cue.end == at and len(value) > 3:
        word = words[at].low
        whole = cue.lines == 0 or end >= len(words)
        if any(c.isdigit() for c in value) and not value.replace(":", "").isdigit() and whole and word not in _NO_NAMES:
            return WebSpan(at, end, "username", 0.7)
        named = at and cue.lines == 0 and words[at - 1].low in ("is", "it's", "as", "by", "under", "called", "be")
        if named and word not in _WEAK_WORDS and not word.endswith(("ed", "ing")) and len(word) > 4:
            return WebSpan(at, at + 1, "username", 0.4)
    return None


def _find_written(word: TextWord, at: int) -> WebSpan | None:
    low = word.low
    if "{" in word.before:
        return None  # a placeholder
    if "@" in low:
        if _MAIL.fullmatch(low):
            return WebSpan(at, at + 1, "" if low.split("@")[0] in ROLES else "email", 0.95)
        if low[0] == "@" and len(low) > 2 and low[1:] not in _EVERYBODY:
            return WebSpan(at, at + 1, "username", 0.8)
        return None
    if low.count(":") > 1 and any(c in "0123456789abcdef" for c in low):
        try:
            ipaddress.ip_address(low)
        except ValueError:
            return None
        return WebSpan(at, at + 1, "ip", 0.9)
    if "." not in low:
        named = "_" in low.strip("_") and any(c.isdigit() for c in low) and len(low) > 4
        return WebSpan(at, at + 1, "username", 0.6) if named else None
    match = _PAGE.fullmatch(low)
    if match is None:
        return None
    host = match[2].removeprefix("www.").split(".")
    if match[1] or match[3] in DOMAINS:
        if host[0] in PUBLIC_SITES and (not match[5] or len(match[5]) < 2):
            return None
        return WebSpan(at, at + 1, "url", 0.85 if match[1] or match[5] else 0.65)
    return None
