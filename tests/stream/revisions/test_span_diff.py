"""The identity of spans, case by case."""

from stream.messages.types import Span
from stream.revisions.span_diff import TaggedSpan, diff_spans


def stood(text: str, *spans: tuple[int, int, int, str]) -> list[Span]:
    return [Span(id=i, start=a, end=b, label=x, text=text[a:b], stability=1.0) for i, a, b, x in spans]


def test_the_larger_share_wins_when_two_old_spans_become_one():
    text = "ab cdef"
    difference = diff_spans(
        text, stood(text, (1, 0, 2, "x"), (2, 3, 7, "x")), text, [TaggedSpan(0, 7, "x", 1.0)], None, 9
    )
    assert [x.id for x in difference.spans] == [2]
    assert [x.id for x in difference.retracted] == [1]
    assert difference.changed[0].was.start == 3


def test_one_span_that_splits_keeps_its_id_once():
    text = "ab cdef"
    found = [TaggedSpan(0, 2, "x", 1.0), TaggedSpan(3, 7, "x", 1.0)]
    difference = diff_spans(text, stood(text, (1, 0, 7, "x")), text, found, None, 9)
    assert [x.id for x in difference.spans] == [9, 1]
    assert difference.added == [9]


def test_another_label_is_another_span():
    text = "ab"
    difference = diff_spans(text, stood(text, (1, 0, 2, "x")), text, [TaggedSpan(0, 2, "y", 1.0)], None, 9)
    assert ([x.id for x in difference.spans], [x.id for x in difference.retracted]) == ([9], [1])


def test_stability_alone_changes_nothing_but_is_told_with_the_next():
    text = "ab"
    difference = diff_spans(text, stood(text, (1, 0, 2, "x")), text, [TaggedSpan(0, 2, "x", 0.5)], None, 9)
    assert not difference
    assert difference.spans[0].stability == 0.5


def test_the_cause_is_the_input_from_the_rewritten_character_on():
    text = "aa bb cc"
    old = stood(text, (1, 0, 2, "x"), (2, 3, 5, "x"), (3, 6, 8, "x"))
    difference = diff_spans(text, old, "aa bx cc", [], 3, 9)
    assert [x.cause for x in difference.retracted] == ["model", "input", "input"]


def test_words_that_moved_keep_their_spans_even_if_others_stand_there_now():
    old, new = "paris london", "london"
    spans = stood(old, (1, 0, 5, "place"), (2, 6, 12, "place"))
    difference = diff_spans(old, spans, new, [TaggedSpan(0, 6, "place", 1.0)], 0, 9)
    assert [x.id for x in difference.spans] == [2]
    assert [x.id for x in difference.retracted] == [1]
