"""Sentences of a text, from spans of the tagger `punctuation`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.messages.types import Span
from stream.sentences.split import split_sentences, write_marks

LABELS = {".": "period", "?": "question", ",": "comma"}


def spans_of(marked: str) -> tuple[str, list[Span]]:
    """Text and spans of "we left|. did you|?": a bar and a mark behind a labelled word."""
    text, spans = "", list[Span]()
    for part in re.split(r"(\|.)", marked):
        if part.startswith("|"):
            start = re.search(r"\S*$", text).start()  # type: ignore[union-attr]
            label = LABELS.get(part[1], "person")
            spans.append(Span(id=len(spans), start=start, end=len(text), label=label, text=text[start:], stability=1.0))
        else:
            text += part
    return text, spans


@pytest.mark.parametrize(
    ("marked", "sentences", "written"),
    [
        ("we left|. did you see|, anna|?", ["we left ", "did you see anna"], "We left. Did you see, anna?"),
        ("we left|. and then", ["we left ", "and then"], "We left. And then"),
        ("it rained|x", ["it rained"], "It rained"),
        ("We left|.. Did he|??\n", ["We left. ", "Did he?\n"], "We left. Did he?\n"),
        ('He said "no|." Then', ['He said "no" ', "Then"], 'He said "no." Then'),
        ("we left|. . did he go|?", ["we left . ", "did he go"], "We left . Did he go?"),
        ("in the u.s.|. 3 more|.", ["in the u.s. ", "3 more"], "In the u.s. 3 more."),
        ("", [], ""),
    ],
)
def test_a_text_is_split_behind_the_words_that_end_a_sentence(marked: str, sentences: list[str], written: str) -> None:
    text, spans = spans_of(marked)
    assert [text[x.start : x.end] for x in split_sentences(text, spans)] == sentences
    assert write_marks(text, spans) == written


def test_only_the_last_sentence_has_no_mark() -> None:
    text, spans = spans_of("we left|. did he|? and then")
    assert [x.mark for x in split_sentences(text, reversed(spans))] == [".", "?", ""]


WORDS = st.text("abcÄß3.,?!\"' \n", min_size=1, max_size=8)


@given(st.lists(st.tuples(WORDS, st.sampled_from(["", "period", "question", "comma", "person"])), max_size=12))
def test_sentences_cover_any_text_without_gap_or_overlap(parts: list[tuple[str, str]]) -> None:
    text, spans = "", []
    for word, label in parts:
        start, text = len(text), text + word
        if label:
            spans.append(Span(id=0, start=start, end=len(text), label=label, text=word, stability=1.0))
        text += " "
    sentences = split_sentences(text, spans)
    assert "".join(text[x.start : x.end] for x in sentences) == text
    assert all(x.start < x.end for x in sentences)
    assert all(x.mark for x in sentences[:-1])
    written = write_marks(text, spans)
    plain = [re.sub(r"[.?,]", "", x).upper() for x in (written, text)]
    assert plain[0] == plain[1], "nothing but marks and capitals is changed"
    assert len(written) >= len(text)
