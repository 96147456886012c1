"""Sentences of a segment, from the spans of the tagger `punctuation`: where they begin and end, and their written form.

The tagger labels the word that a mark would follow (docs/labels.md), in text with marks and without. Spans of other
labels are passed over, so the spans of a revision can be given as they are.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

PUNCTUATION = "punctuation"
"""Name of the tagger."""
MARKS = {"period": ".", "question": "?", "comma": ","}
"""Its labels, and what is written for them."""
ENDS = ("period", "question")

_AFTER = re.compile(r"[^\w\s]*(?:\s+[.,;:!?…\"'”’)\]}»]+(?=\s|$))*\s*")
"""What belongs to the word before: marks and closing quotation marks, also set apart, and white space."""
_FIRST = re.compile(r"[^\W_]")
_WRITTEN = re.compile(r"\s?[\"'”’)\]}»]*[.,;:!?…](?!\w)")


class SpanOfText(Protocol):
    """A span in characters, end exclusive, as `stream.messages.types.Span`."""

    @property
    def start(self) -> int:
        """First character."""

    @property
    def end(self) -> int:
        """Character behind its last one."""

    @property
    def label(self) -> str:
        """What it is called."""


class Sentence(NamedTuple):
    """One sentence of a text, in characters, end exclusive; white space behind it belongs to it."""

    start: int
    end: int
    mark: str
    """"." or "?"; empty if the sentence goes on behind the text, or its end is not known yet."""


def split_sentences(text: str, spans: Iterable[SpanOfText]) -> list[Sentence]:
    """Split a text at the words that end a sentence.

    Args:
        text: of one segment.
        spans: of the tagger `punctuation`, of this text.

    Returns:
        The sentences in order. They cover the text without gap or overlap; an empty text has none.
    """
    sentences: list[Sentence] = []
    start = 0
    for span in sorted((x for x in spans if x.label in ENDS), key=lambda x: x.end):
        end = end_of_word(text, span.end)
        if end > start:
            sentences.append(Sentence(start, end, MARKS[span.label]))
            start = end
    if start < len(text):
        sentences.append(Sentence(start, len(text), ""))
    return sentences


def write_marks(text: str, spans: Iterable[SpanOfText]) -> str:
    """Write the marks into a text, and capitals at the beginnings of its sentences. Marks that it has stay as they are.

    Args:
        text, spans: as for `split_sentences`.
    """
    known: Sequence[SpanOfText] = sorted((x for x in spans if x.label in MARKS), key=lambda x: x.end)
    inserted = [(x.end, MARKS[x.label]) for x in known if not _is_marked(text, x.end)]
    capitals = {
        found.start()
        for sentence in split_sentences(text, known)
        if (found := _FIRST.search(text, sentence.start, sentence.end)) is not None
    }
    written, begun = [], 0
    for at, mark in [*inserted, (len(text), "")]:
        part = text[begun:at]
        written += [c.upper() if begun + i in capitals else c for i, c in enumerate(part)]
        written.append(mark)
        begun = at
    return "".join(written)


def end_of_word(text: str, end: int) -> int:
    """Return where the next word begins, or the text ends: behind the marks and the white space after a word."""
    found = _AFTER.match(text, end)
    assert found is not None
    return found.end()


def _is_marked(text: str, end: int) -> bool:
    return (end > 0 and text[end - 1] == ".") or _WRITTEN.match(text, end) is not None
