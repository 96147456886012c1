"""Spans as readers get them, made of labels of the tokenizer's words."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from encoder.restart.policies import Last
from encoder.tokenizer.cleaning import SKIPPED, clean_text
from stream.engine.engine import Engine
from stream.labelling.labeller import Labelling, PlanWork
from stream.revisions.whole_words import NAME_TYPES, _fit_spans, fit_to_words
from tests.encoder.tokenizer.test_tokenizer import BYTES, TEXTS, TOKENIZER
from tests.stream.helpers import tell, update
from tests.stream.hybrid import tiny_tagger


def read(text: str, spans: list[tuple[int, int, str]], tokenizer=TOKENIZER) -> Labelling:
    """A reading with these spans, by words; the stability of word i is 1 - i / 100, its probability half of that."""
    encoded = tokenizer.encode(text)
    labels = np.zeros(encoded.words, np.int32)
    for first, end, _ in spans:
        labels[first:end] = 1
    stability = (1 - np.arange(encoded.words) / 100).astype(np.float32)
    return Labelling(encoded.word_start, encoded.word_end, labels, stability / 2, stability, spans, PlanWork())


def shown(text: str, marks: list[tuple[str, str]], tokenizer=TOKENIZER) -> list[tuple[str, str]]:
    """Text and label of the spans of a text in which the tagger labelled these parts."""
    encoded, spans, at = tokenizer.encode(text), [], 0
    for mark, label in marks:
        start = text.index(mark, at)
        at = start + len(mark)
        first = int(encoded.word_end.searchsorted(start, side="right"))
        spans.append((first, int(encoded.word_start.searchsorted(at, side="left")), label))
    fitted = fit_to_words(text, read(text, spans, tokenizer))
    return [(text[fitted.starts[a] : fitted.ends[b - 1]], label) for a, b, label in fitted.spans]


@pytest.mark.parametrize("tokenizer", [TOKENIZER, BYTES], ids=["wordpiece", "bytes"])
@pytest.mark.parametrize(
    ("text", "mark", "whole"),
    [
        ("go f#ck off", "f", "f#ck"),
        ("go f#ck off", "ck", "f#ck"),
        ("such a d!ck", "ck", "d!ck"),
        ("a D!CKHEAD, that", "D", "D!CKHEAD"),
        ("bullsh***ers all", "ers", "bullsh***ers"),
        ("you c**t.", "t", "c**t"),
        ("you c**t.", "*", "c**t"),
        ("you c**t.", "**", "c**t"),
        ("eat sh**", "**", "sh**"),
        ("a $hithead", "$", "$hithead"),
        ("mor-on", "-", "mor-on"),
        ("w@nker!!!", "nker", "w@nker"),
        ("w@nker!!!", "w@nker!!!", "w@nker"),
        ("eat sh**", "sh", "sh**"),
        ("big a$$", "a", "big a$$"[4:]),
        ("you $hithead", "hithead", "$hithead"),
        ("a *moron* here", "moron", "moron"),
        ("**utter moron**", "utter", "utter"),
        ('a "moron"', "moron", "moron"),
        ("(moron)", "(moron)", "moron"),
        ("mor\u0007on!", "mor\u0007on", "mor\u0007on"),
        ("mor\u200bon\u200b.", "mor\u200bon", "mor\u200bon"),
        ("moron\U0001f602\U0001f602", "moron", "moron"),
        ("moron,idiot", "moron", "moron"),
        ("moron...idiot", "idiot", "idiot"),
        ("that moron's", "moron", "moron"),
        ("****", "****", "****"),
    ],
)
def test_a_span_covers_the_word_that_people_see(text, mark, whole, tokenizer):
    assert shown(text, [(mark, "toxic")], tokenizer) == [(whole, "toxic")]


@pytest.mark.parametrize(
    ("text", "mark", "whole"),
    [
        ("with sinead o'connor-jones today", "connor", "o'connor-jones"),
        ("with sinead o'connor-jones today", "sinead o", "sinead o'connor-jones"),
        ("from the U.K. today", "U", "U.K."),
        ("from the U.K. today", "K.", "U.K."),
        ("from the U.K", "K", "U.K"),
        ("at B&Q, then", "Q", "B&Q"),
        ("saw Merkel's dog", "Merkel's", "Merkel"),
        ("saw Merkel\u2019s dog", "Merkel", "Merkel"),
        ("Merkel\U0001f602", "Merkel\U0001f602", "Merkel"),
        ("at 9:45.", "45", "9:45"),
        ("in 12/24", "24", "12/24"),
        ("he left.Merkel said", "Merkel", "Merkel"),
        ("Merkel/Macron", "Macron", "Macron"),
        ("\u201cMerkel\u201d", "\u201cMerkel", "Merkel"),
        ("@merkel", "merkel", "merkel"),
        ("on booking.com.", "booking", "booking.com"),
        ("C++ and", "C++", "C++"),
        ("in Cyprus (Greek), now", "Cyprus (Greek)", "Cyprus (Greek)"),
        ("in (Cyprus), now", "(Cyprus", "Cyprus"),
        ("the us", "us", "us"),
        ("to the hague", "the hague", "the hague"),
        ("\u6771\u4eac\u90fd", "\u4eac", "\u4eac"),
    ],
)
def test_a_name_is_made_of_whole_words(text, mark, whole):
    assert shown(text, [(mark, "person")]) == [(whole, "person")]


@pytest.mark.parametrize(
    ("text", "mark", "whole"),
    [
        ("ring +46 (0)8 92, ok", "46 (0)8 92", "+46 (0)8 92"),
        ("ring (37) 788-063.", "37) 788-063", "(37) 788-063"),
        ("ring +(37) 788.", "37) 788", "+(37) 788"),
        ("(ring 788-063)", "788-063", "788-063"),
        ("a 1+46 here", "1+46", "1+46"),
        ("see https://www.foo.cz/ now", "https://www.foo.cz", "https://www.foo.cz/"),
        ("(see foo.com/bar/)", "foo.com/bar", "foo.com/bar/"),
        ("see foo.com/.", "foo.com", "foo.com/"),
        ("either and/or/ neither", "and/or", "and/or"),
    ],
)
def test_a_value_has_the_signs_that_it_needs(text, mark, whole):
    assert shown(text, [(mark, "phone")]) == [(whole, "phone")]


@pytest.mark.parametrize("words", ["the", "The", "of the", "he", "and", "'the'", ",", "\U0001f602"])
def test_no_name_is_a_function_word_or_a_sign(words):
    assert shown(f"we saw {words} there", [(words, "place")]) == []
    assert shown(f"we saw {words} there", [(words, "filler")]) != []


def test_spans_that_meet_in_a_word():
    assert shown("mary-ann lee", [("mary", "person"), ("ann lee", "person")]) == [("mary-ann lee", "person")]
    assert shown("f*ck", [("f", "toxic"), ("ck", "toxic")]) == [("f*ck", "toxic")]
    assert shown("x-monica", [("x", "place"), ("monica", "person")]) == [("x-monica", "person")]
    assert shown("new x-monica", [("new x", "place"), ("monica", "person")]) == [
        ("new", "place"),
        ("x-monica", "person"),
    ]
    assert shown("monica-x lee", [("monica", "place"), ("x lee", "person")]) == [
        ("monica-x", "place"),
        ("lee", "person"),
    ]
    assert shown("monica/lee", [("monica", "place"), ("lee", "place")]) == [("monica", "place"), ("lee", "place")]


def test_a_span_is_as_stable_as_the_words_that_the_tagger_labelled():
    reading = read("oh o'neil met", [(3, 4, "person")])
    fitted = fit_to_words("oh o'neil met", reading)
    assert fitted.spans == [(1, 4, "person")]
    assert fitted.stability.tolist() == pytest.approx([1, 0.97, 0.97, 0.97, 0.96])
    assert fitted.probability.tolist() == pytest.approx([0.5, 0.485, 0.485, 0.485, 0.48])
    assert reading.stability.tolist() == pytest.approx([1, 0.99, 0.98, 0.97, 0.96])


def test_a_reading_of_whole_words_is_not_copied():
    for text, spans in (("we met rice", [(2, 3, "person")]), ("we met", [])):
        reading = read(text, spans)
        assert fit_to_words(text, reading) is reading


LABEL = st.sampled_from(["person", "place", "toxic"])


@given(
    text=st.one_of(TEXTS, st.text("ab1 *.-'!@,$()+/\u200b\U0001f602中", max_size=20)),
    cuts=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3), LABEL), max_size=5),
    kind=st.sampled_from([TOKENIZER, BYTES]),
)
@example("a-b", [(0, 1, "place"), (1, 1, "person")], TOKENIZER)
@example("a's", [(1, 1, "person")], TOKENIZER)
@example("a's", [(1, 1, "person")], BYTES)
def test_spans_are_apart_and_of_whole_words_whatever_is_labelled(text, cuts, kind):
    words, at, spans = kind.encode(text).words, 0, []
    for skip, count, label in cuts:
        first, end = at + skip, at + skip + count
        if end <= words:
            spans.append((first, end, label))
            at = end
    reading = read(text, spans, kind)
    fitted = fit_to_words(text, reading)
    assert all(0 <= a < b <= words for a, b, _ in fitted.spans)
    assert all(one[1] <= other[0] for one, other in zip(fitted.spans, fitted.spans[1:], strict=False))
    cleaned = clean_text(text)
    for first, end, label in fitted.spans:
        assert any(label == raw and a < end and b > first for a, b, raw in spans), "no span of itself"
        shown_text = cleaned[fitted.starts[first] : fitted.ends[end - 1]].replace(SKIPPED, "")
        if label in NAME_TYPES:
            assert any(map(str.isalnum, shown_text))
            assert shown_text.lower() not in ("a", "")
    slow = [(x.first, x.end, x.label) for x in _fit_spans(cleaned, reading.starts, reading.ends, spans)]
    assert list(fitted.spans) == slow
    again = fit_to_words(text, fitted)
    assert list(again.spans) == list(fitted.spans)


def test_a_word_that_goes_on_takes_its_span_along():
    """What comes behind a labelled word, in the same word, changes its span even if it has no label itself."""
    engine, whole = (Engine(tiny_tagger(), Last(2)) for _ in range(2))
    text, told = "", []
    for piece in ("we", " met", " rice", "-", "x", " in", " paris", "'", "s", ".", "com"):
        text += piece
        told += tell(engine, update("u", text), first=len(text))
    last = tell(engine, update("u", text, final=True), first=100)[-1]
    offline = tell(whole, update("u", text, final=True))[-1]
    assert [(x.start, x.end, x.label) for x in last.spans] == [(x.start, x.end, x.label) for x in offline.spans]
