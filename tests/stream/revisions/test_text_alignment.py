"""Where texts differ, and where their parts went."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from encoder.tokenizer.incremental import common_prefix
from stream.revisions import text_alignment as rewrite
from stream.revisions.text_alignment import Alignment

TEXTS = st.text("ab .,é", max_size=30)


@given(TEXTS, TEXTS, TEXTS)
def test_common_prefix(start, a, b):
    a, b = start + a, start + b
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


@given(TEXTS.filter(bool), TEXTS, st.data())
def test_extents_stay_in_order_and_inside(old, new, data):
    alignment = Alignment(old, new)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(old)), min_size=2, max_size=6)))
    extents = [alignment.extent(a, b) for a, b in pairwise(cuts)]
    ends = [0, *(x for extent in extents for x in extent), len(new)]
    assert all(a <= b + 1e-9 for a, b in pairwise(ends))


@given(TEXTS.filter(bool), TEXTS)
def test_a_text_that_grows_stands_where_it_stood(old, more):
    assert Alignment(old, old + more).extent(0, len(old))[0] == 0
    assert Alignment(old, old + more).extent(0, len(old))[1] >= len(old)
    assert Alignment(old, old + " " + more).extent(0, len(old)) == (0, len(old))


def test_words_are_found_where_they_went():
    old, new = "in paris with anna and paris", "well, then: In Paris! With Anna"
    alignment = Alignment(old, new)
    assert alignment.extent(3, 8) == (15, 20)
    assert alignment.extent(14, 18) == (27, 31)


def test_a_word_taken_out_leaves_nothing_for_its_neighbours():
    start, end = Alignment("in paris rome", "in rome").extent(3, 8)
    assert 2 <= start <= end <= 3


def test_a_word_replaced_is_where_its_successor_is():
    start, end = Alignment("in paris now", "in rome now").extent(3, 8)
    assert start < 4
    assert end > 6


def test_an_unfinished_word_goes_on_where_it_is():
    assert Alignment("we met an", "we met anna and an").extent(7, 9) == (7, 11)
    assert Alignment("we met anna an", "we met an").extent(7, 11) == (7, 9)


def test_very_long_rewrites_match_the_ends_only(monkeypatch):
    monkeypatch.setattr(rewrite, "_MATCH_LIMIT", 3)
    old, new = "we a b c rome", "we d a b c e rome"
    assert Alignment(old, new).extent(0, 2) == (0, 2)
    assert Alignment(old, new).extent(9, 13) == (13, 17)
    assert Alignment(old, new).extent(3, 4) != (5, 6)
