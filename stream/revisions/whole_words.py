"""Spans of whole words: the words that people see, which a tokenizer may cut into several.

A tagger labels the words of its tokenizer ("f", "*", "ck"; "o", "'", "neil", "-", "smith"). Readers get spans of the
words between white space, without the punctuation at their ends (`fit_to_words`). The result is a function of the text
and the labels alone, so final spans equal offline ones. The rules:

- Letters and digits with a joining sign between them are one word: an apostrophe, a hyphen, a full stop, an ampersand
  or an underscore ("O'Neil-Smith", "AT&T"), signs that mask letters ("sh!t", "motherf***er", "a$$hole"), and between
  digits a comma, a colon or a slash. Other signs end a word although no space follows ("sorry,john", "paris/london").
- A span covers each word whole that it touches. Spans of one label that then overlap are one span. If the labels
  differ, a word belongs to that which labels more of its characters, to the first of equals.
- Punctuation and emoji at the ends of a span are cut off, except for the full stop of initials ("U.S."). Masking signs
  at the ends of a word ("f***", "$hit") belong to it, unless they enclose it ("*word*") or the label is a kind of name.
- A bracket at the end of a span belongs to it if the other one of the pair is inside ("(37) 788", "Foo (Bar)"), and, if
  the label is no kind of name, a plus before a digit ("+46 8 12") and the slash that ends a page's address.
- A possessive 's is no part of a name, and no part of another span if the tagger did not label it.
- A name is no span if all its words are function words, such as "the".

Stability and score of a span are the lowest of the words that the tagger labelled.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from encoder.tokenizer.cleaning import SKIPPED, clean_text
from stream.labelling.labeller import Labelling

_NAMES = """
    person per place loc location organization organisation org corporation company group product prod event time date
    gpe fac facility norp misc nationality language law work work_of_art creative-work creative_work religion politician
    party country city artist band song album team
"""
NAME_TYPES = frozenset(_NAMES.split())
"""Labels of names, in lower case."""
_FUNCTION_WORDS = """
    a an the this that these those of in on at to from by with for into onto upon and or nor but so if than as because
    while although i he she we they me him them my your his her its our their which is are was were be been am do does
    did has have had not
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that are no name alone. Others that can be one are left out: "will", "may", "us", "it"."""

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"(?:[^\W_{_HAN}]|[{SKIPPED}\u0300-\u036f])"
_MASK = "[*$@#%~^]"
_JOIN = (
    r"(?:['’ʼ`´‐‑\-&_·+]|[.!](?:(?![A-Z])|(?<=[A-Z].))|(?<=\d)[,:/](?=\d)"  # no new sentence, as in "him.John"
    rf"|{_MASK}(?:{_MASK}|!){{0,11}}|!{_MASK}{{1,11}})"
)
_WORD = re.compile(rf"(?!{SKIPPED}){_LETTER}+(?:{_JOIN}{_LETTER}+)*(?<!{SKIPPED})")
_LEAD, _TRAIL = re.compile(r"(?:[$@]+|\*{3,})$"), re.compile(r"[$#+%]+|\*+")
_MASKED_LETTERS = 3
"""Letters that are left of a word whose end is masked by asterisks; behind more, asterisks are emphasis or a note."""
_INITIALS = re.compile(r"(?:[^\W\d_]{1,3}\.)+[^\W\d_]")
_PAGE = re.compile(r"[a-z]+://|(?:[\w-]+\.)+[a-z]{2,}(?:[/:?#]|$)", re.IGNORECASE)
"""Start of the address of a page."""
_POSSESSIVE = re.compile(r"['’ʼ`´]s$", re.IGNORECASE)
_LONGEST_KEPT = 64
"""Characters of the longest words of a span whose check is kept for the next time."""
_LOOKED_AT = 64
"""Signs before a word that are looked at."""


@dataclass(slots=True)
class _WordSpan:
    """A span by words: the first and the end of all its words, and of those that the tagger labelled."""

    first: int
    end: int
    label: str
    labelled: list[tuple[int, int]]


def fit_to_words(text: str, reading: Labelling) -> Labelling:
    """Return the reading with spans of whole words; itself if its spans are such.

    Words that the tagger did not label get the stability and the probability of those that it did.
    """
    before, (starts, ends) = list(reading.spans), reading.extents()
    if all(_is_plain(text, start, end, x[2]) for start, end, x in zip(starts, ends, before, strict=True)):
        return reading
    cleaned = clean_text(text) if reading.cleaned is None else reading.cleaned
    fitted = _fit_spans(cleaned, reading.starts, reading.ends, before)
    after = [(x.first, x.end, x.label) for x in fitted]
    if after == before:
        return reading
    stability, probability = reading.stability.copy(), reading.probability.copy()
    for span in fitted:
        words = np.concatenate([np.arange(first, end) for first, end in span.labelled])
        others = np.setdiff1d(np.arange(span.first, span.end), words)
        stability[others], probability[others] = reading.stability[words].min(), reading.probability[words].min()
    return reading.replace(spans=after, stability=stability, probability=probability)


def _is_plain(text: str, start: int, end: int, label: str) -> bool:
    """Tell whether a span is of whole words at first sight, as nearly all are: letters and digits between spaces."""
    if (start and text[start - 1] != " ") or (end < len(text) and text[end] != " "):
        return False
    words = text[start:end]
    return _are_plain_words(words, label) if len(words) <= _LONGEST_KEPT else _find_plain_words(words, label)


def _find_plain_words(words: str, label: str) -> bool:
    if not words.isascii() or not words.replace(" ", "").isalnum():
        return False
    return label.lower() not in NAME_TYPES or not FUNCTION_WORDS.issuperset(words.lower().split())


_are_plain_words = lru_cache(1 << 12)(_find_plain_words)


def _fit_spans(
    cleaned: str, starts: NDArray[np.int32], ends: NDArray[np.int32], spans: Sequence[tuple[int, int, str]]
) -> list[_WordSpan]:
    """Fit spans in order of the text to whole words; they do not overlap, before and after."""
    fitted: list[_WordSpan] = []
    for first, end, label in spans:
        extent = _fit_extent(cleaned, int(starts[first]), int(ends[end - 1]), label.lower() in NAME_TYPES)
        if extent is None:
            continue
        a = int(ends.searchsorted(extent[0], side="right"))
        b = int(starts.searchsorted(extent[1], side="left"))
        labelled = (max(first, a), min(end, b))
        if labelled[0] < labelled[1]:
            _add_span(fitted, _WordSpan(a, b, label, [labelled]), starts, ends)
    return fitted


def _add_span(fitted: list[_WordSpan], span: _WordSpan, starts: NDArray[np.int32], ends: NDArray[np.int32]) -> None:
    """Add a span behind the others. Of an overlap one span results, or the words are given to one of the two."""
    while fitted and fitted[-1].end > span.first:
        last = fitted[-1]
        if last.label == span.label:
            last.end = max(last.end, span.end)
            last.labelled += span.labelled
            return
        if _count_labelled(last, span.first, starts, ends) >= _count_labelled(span, span.first, starts, ends, last.end):
            span.first = last.end
            if not _cut(span):
                return
        else:
            last.end = span.first
            if not _cut(last):
                fitted.pop()
    fitted.append(span)


def _count_labelled(
    span: _WordSpan, first: int, starts: NDArray[np.int32], ends: NDArray[np.int32], end: int | None = None
) -> int:
    """Count the characters of labelled words from word `first` on."""
    end = span.end if end is None else end
    pairs = [(max(a, first), min(b, end)) for a, b in span.labelled]
    return sum(int(ends[b - 1] - starts[a]) for a, b in pairs if a < b)


def _cut(span: _WordSpan) -> bool:
    """Cut the labelled words to the span; returns whether one is left."""
    pairs = [(max(a, span.first), min(b, span.end)) for a, b in span.labelled]
    span.labelled = [(a, b) for a, b in pairs if a < b]
    return bool(span.labelled)


def _fit_extent(text: str, start: int, end: int, is_name: bool) -> tuple[int, int] | None:
    """Return the extent of the whole words under a labelled extent; None if they are no span."""
    first, last = start, end
    while first < last and not text[first].isalnum():
        first += 1
    while last > first and not text[last - 1].isalnum():
        last -= 1
    if first == last:
        return _fit_signs(text, start, end, is_name)
    begin, _ = _word_at(text, first)
    word_begin, finish = _word_at(text, last - 1)
    possessive = _POSSESSIVE.search(text, word_begin, finish)
    if possessive is not None and (is_name or last <= possessive.start()):
        if possessive.start() <= first:
            return None
        finish = possessive.start()
    elif text.startswith(".", finish) and _INITIALS.fullmatch(text, word_begin, finish):
        finish += 1
    begin, finish = _add_masks(text, begin, finish, (start, end) if is_name else None)
    begin, finish = _add_signs(text, begin, finish, is_name)
    if is_name and FUNCTION_WORDS.issuperset(text[begin:finish].replace(SKIPPED, "").lower().split()):
        return None
    return begin, finish


def _fit_signs(text: str, start: int, end: int, is_name: bool) -> tuple[int, int] | None:
    """Return the extent of the word around signs that are labelled alone; itself if there is none, such as "****"."""
    begin, finish = _word_at(text, start)
    if begin < start < finish:
        possessive = _POSSESSIVE.search(text, begin, finish) if is_name else None
        if possessive is not None:
            return (begin, possessive.start()) if start < possessive.start() else None
        return begin, finish
    if is_name:
        return None
    for at in (start - 1, end):
        if 0 <= at < len(text) and text[at].isalnum():
            begin, finish = _add_masks(text, *_word_at(text, at), None)
            if begin <= start and end <= finish:
                return begin, finish
    return start, end


def _add_masks(text: str, begin: int, finish: int, labelled: tuple[int, int] | None) -> tuple[int, int]:
    """Add the masking signs at the ends of a word: those within `labelled`, or all if it is None."""
    low, high = labelled or (0, len(text))
    lead = _LEAD.search(text, max(low, begin - _LOOKED_AT), begin) if low < begin else None
    trail = _TRAIL.match(text, finish, high) if finish < high else None
    if trail is not None and trail[0][0] == "*" and finish - begin > _MASKED_LETTERS:
        trail = None
    if finish < len(text) and begin and text[begin - 1] == text[finish] != " ":
        return begin, finish  # it is enclosed
    return lead.start() if lead else begin, trail.end() if trail else finish


def _add_signs(text: str, begin: int, finish: int, is_name: bool) -> tuple[int, int]:
    """Add the signs at the ends that the text inside needs to be whole."""
    lacking = text.count("(", begin, finish) - text.count(")", begin, finish)
    if lacking < 0 and text[begin - 1 : begin] == "(":
        begin -= 1
    elif lacking > 0 and text.startswith(")", finish):
        finish += 1
    if is_name:
        return begin, finish
    if begin and text[begin - 1] == "+" and (text[begin].isdigit() or text[begin] == "("):
        begin -= 1
    if text.startswith("/", finish) and not text[finish + 1 : finish + 2].isalnum():
        run = text[max(begin, finish - _LONGEST) : finish].split()[-1]
        finish += bool(_PAGE.match(run))
    return begin, finish


def _word_at(text: str, at: int) -> tuple[int, int]:
    """Return the extent of the word that covers a letter."""
    left = right = at
    while left and not text[left - 1].isspace() and at - left < _LONGEST:
        left -= 1
    while right < len(text) and not text[right].isspace() and right - at < _LONGEST:
        right += 1
    for found in _WORD.finditer(text, left, right):
        if found.end() > at:
            return found.span() if found.start() <= at else (at, at + 1)
    return at, at + 1


_LONGEST = 256
"""Characters to each side of a letter in which its word is sought, so that the cost is bounded."""
