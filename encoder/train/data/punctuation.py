"""Sentence ends and punctuation as labels: the tags of a text are read off its own punctuation marks.

A mark labels the word before it, so each label covers one word: `period` (`.`, `!`, and an ellipsis at the end of a
sentence), `question` (`?`) and `comma`. Brackets and quotation marks are looked through. Nothing is known ("?") of a
word before a semicolon, a colon, a dash, an ellipsis inside a sentence, or a full stop before a small letter; nor of
the last word of a text that ends without a mark. Full stops of abbreviations and initials, of numbers and times are no
ends, unless the sentence ends there too. A text without any mark teaches nothing and is left out.

Live, a segment is running speech: several sentences, or half of one. So neighbouring sentences of a document are cut
into segments anew, of which many end inside a sentence (`cut_segments`). Training meets them with their marks and
without (`AugmentConfig.unpunctuated`): the labels are the same in both forms.
"""

import math
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from encoder.train.data.sequence import UNKNOWN, TextSequence

PERIOD, QUESTION, COMMA = "period", "question", "comma"
MARK_LABELS = (PERIOD, QUESTION, COMMA)
MOST_WORDS = 120
"""Words of a segment, at most."""
ONE_SENTENCE = 0.25
"""Share of the segments that are one sentence (live: a caption, a chat message)."""
INSIDE = 0.4
"""Share of the other segments that end inside a sentence, as a recogniser's do that closes after a pause."""

_LISTED = """
    mr mrs ms mx dr prof st sr jr rev hon pres gov sen rep gen col lt sgt capt cmdr maj vs etc inc ltd co corp dept univ
    nos vol vols fig figs pp eds cf ca approx ave blvd rd mt jan feb apr jun jul aug sep sept oct nov dec tues thurs
    e.g i.e a.m p.m u.s u.k u.n ph.d b.c a.d d.c
"""
"""Without those that are words too and end many sentences ("no", "sat", "sun", "mar", "al")."""
_ABBREVIATIONS = frozenset(_LISTED.split())
_OFTEN_LAST = frozenset(
    {"etc", "inc", "ltd", "co", "corp", "jr", "sr", "a.m", "p.m", "u.s", "u.k", "u.n", "b.c", "d.c"}
)
"""Abbreviations that end a sentence as well as not."""
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?|[A-HJ-Z]")
_NUMBER = re.compile(r"(.+_)(\d+)", re.DOTALL)
_CLITIC = re.compile(r"n['’]t|['’](?:s|m|re|ve|ll|d|t)", re.IGNORECASE)
_FACE = re.compile(r"[:;=]['’]?-?[()DPpOo/\\|*3]+")
_PARTS = re.compile(r"([\W_]*)(.*[^\W_])?([\W_]*)", re.DOTALL)
_MARKS = re.compile(r"[.!?…]+|[,;:]|[-–—]+|[^\s]")


class _Piece(NamedTuple):
    """A word or a run of marks."""

    text: str
    is_word: bool


def punctuate(sequences: Iterable[TextSequence], seed: int = 1) -> list[TextSequence]:
    """Tag the words of texts by their marks, and cut documents into segments.

    Args:
        sequences: texts in the order of their documents; their tags are not looked at. Words may have their marks
            attached ("home.") or apart ("home", ".").
        seed: of the segments' lengths.

    Returns:
        Segments; marks are words of their own, without a label. Texts without a document are not joined. Empty if no
        text has a mark.
    """
    texts = list(sequences)
    apart = sum(word == "." for text in texts for word in text.words)
    attached = sum(len(word) > 1 and word[-1] == "." for text in texts for word in text.words)
    cased = any(character.isupper() for text in texts for word in text.words for character in word)
    rng = random.Random(f"punctuation {seed}")
    segments: list[TextSequence] = []
    run: list[TextSequence] = []
    for text in _in_order(texts):
        tagged = tag_marks(text, marks_apart=apart > attached, cased=cased)
        if run and (tagged is None or not _continues(run[-1].document, tagged.document)):
            segments += cut_segments(run, rng)
            run = []
        run += [tagged] if tagged is not None else []
    return [*segments, *cut_segments(run, rng)]


def _in_order(texts: list[TextSequence]) -> list[TextSequence]:
    """Put the numbered parts of a recording ("..._3") in order, where they stand for the first time."""
    first: dict[str, int] = {}
    numbered = [(i, _NUMBER.fullmatch(text.document)) for i, text in enumerate(texts)]
    keys = [
        (first.setdefault(found[1], i), int(found[2]), i) if found is not None else (i, 0, i) for i, found in numbered
    ]
    return [texts[i] for _, _, i in sorted(keys)]


def _continues(before: str, after: str) -> bool:
    if before == after:
        return before != ""
    last, then = _NUMBER.fullmatch(before), _NUMBER.fullmatch(after)
    return last is not None and then is not None and last[1] == then[1] and int(last[2]) + 1 == int(then[2])


def tag_marks(text: TextSequence, *, marks_apart: bool, cased: bool) -> TextSequence | None:
    """Tag the words of one text by its marks; None if it has none.

    Args:
        text: one sentence or more.
        marks_apart: whether marks are words of their own, so that a full stop at a word's end is an abbreviation's.
        cased: whether sentences begin with a capital letter.
    """
    pieces = list(_pieces(text.words, marks_apart))
    words = [i for i, piece in enumerate(pieces) if piece.is_word]
    tags = ["O"] * len(pieces)
    marked = False
    for i, follows in zip(words, [*words, len(pieces)][1:], strict=True):
        marks = [piece.text for piece in pieces[i + 1 : follows]]
        after = pieces[follows].text if follows < len(pieces) else ""
        tag = _tag_of(marks, pieces[i].text, after, listed=i == words[0], cased=cased)
        marked = marked or tag not in ("O", UNKNOWN)
        tags[i] = UNKNOWN if tag == "O" and not after else tag
    if not marked:
        return None
    return replace(text, words=tuple(p.text for p in pieces), tags=tuple(tags), punctuation=True)


def cut_segments(sentences: Sequence[TextSequence], rng: random.Random) -> Iterator[TextSequence]:
    """Cut the words of neighbouring sentences into segments: single sentences, and stretches that end anywhere."""
    words = [word for text in sentences for word in text.words]
    tags = [tag for text in sentences for tag in text.tags]
    ends = {0}
    for text in sentences:
        ends.add(max(ends) + len(text.words))
    begun = 0
    while begun < len(words):
        end = _draw_end(begun, len(words), ends, rng)
        while end < len(words) and not any(c.isalnum() for c in words[end]):
            end += 1  # marks stay with their word
        yield replace(sentences[0], words=tuple(words[begun:end]), tags=tuple(tags[begun:end]))
        begun = end


def _draw_end(begun: int, count: int, ends: set[int], rng: random.Random) -> int:
    last = min(begun + MOST_WORDS, count)
    if rng.random() < ONE_SENTENCE:
        wanted = begun + 1
    else:
        wanted = begun + round(math.exp(rng.uniform(math.log(6), math.log(MOST_WORDS))))
        if rng.random() < INSIDE:
            return min(wanted, last)
    return next((i for i in range(min(wanted, last), last + 1) if i in ends), last)


def _pieces(words: Iterable[str], marks_apart: bool) -> Iterator[_Piece]:
    """Split words and marks; clitics ("do", "n't") and the full stops of abbreviations are put to their words."""
    held = ""
    for word in words:
        leading, core, trailing = (part or "" for part in _PARTS.fullmatch(word).groups())  # type: ignore[union-attr]
        if _CLITIC.fullmatch(word) and held:
            held += word
            continue
        if held:
            yield _Piece(held, is_word=True)
            held = ""
        if _FACE.fullmatch(word):
            continue
        if not core:
            yield from (_Piece(mark, is_word=False) for mark in _MARKS.findall(word))
            continue
        yield from (_Piece(mark, is_word=False) for mark in _MARKS.findall(leading))
        if trailing.startswith(".") and not trailing.startswith("..") and (marks_apart or _is_abbreviation(core)):
            core, trailing = f"{core}.", trailing[1:]
        if trailing:
            yield _Piece(core, is_word=True)
            yield from (_Piece(mark, is_word=False) for mark in _MARKS.findall(trailing))
        else:
            held = core
    if held:
        yield _Piece(held, is_word=True)


def _is_abbreviation(word: str) -> bool:
    return word.lower() in _ABBREVIATIONS or _INITIALS.fullmatch(word) is not None


def _tag_of(marks: Sequence[str], word: str, after: str, *, listed: bool, cased: bool) -> str:
    """Choose the tag of a word by the marks that follow it.

    Args:
        marks: all marks up to the next word, of which those after an opening one belong to that.
        word: the word itself.
        after: the next word of the text; empty if there is none.
        listed: whether the word is the first of its text, where "3." numbers a list. "No. 3" does so anywhere.
        cased: whether sentences begin with a capital letter.
    """
    ends = [mark for mark in marks if mark[0] in ".!?…"]
    if any("?" in mark for mark in ends):
        return f"B-{QUESTION}"
    if any("!" in mark for mark in ends) or (ends and not after):
        return f"B-{PERIOD}"
    if "." in ends:
        numbers = word.isdigit() if listed else word.lower() == "no" and after[0].isdigit()
        return UNKNOWN if numbers or (cased and after[0].islower()) else f"B-{PERIOD}"
    if ends:
        return UNKNOWN
    if "," in marks:
        return f"B-{COMMA}"
    if any(mark in (";", ":") or mark[0] in "–—" or mark.startswith("--") for mark in marks):
        return UNKNOWN
    if not word.endswith("."):
        return "O"
    if not after:
        return f"B-{PERIOD}"
    return UNKNOWN if after[0].isupper() and word[:-1].lower() in _OFTEN_LAST else "O"
