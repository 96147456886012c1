"""What is shown under a level: case by case, and against the definition followed slowly on random readings."""

import re
from collections import deque
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.evaluation.replay.shown_spans import ShownSegment
from stream.labelling.labeller import Labelling, PlanWork
from stream.revisions.emission import LEVELS, LOW, Emission, EmissionError, parse_emission
from stream.revisions.settled import SettledRule
from stream.revisions.text_alignment import Alignment
from tests.stream.helpers import brief

STRICT = Emission(show=0.8, change=0.9)
shown_segment = partial(ShownSegment, rule=SettledRule(threshold=1))
"""Nothing settles, so that only the level holds anything back (tests/stream/revisions/test_settled.py has the rest)."""


def read(text, *spans, sure=1.0, **unsure):
    """A reading of `text`; `spans` are (words, label), all words `sure` but those named, which are that sure."""
    words = [(m.start(), m.end()) for m in re.finditer(r"\w+|[^\w\s]", text)]
    found = []
    for said, label in spans:
        at = text.index(said)
        first = next(i for i, (start, _) in enumerate(words) if start == at)
        found.append((first, next(i for i, (_, stop) in enumerate(words) if stop == at + len(said)) + 1, label))
    stability = np.array([unsure.get(text[a:b], sure) for a, b in words], np.float32)
    return reading(words, found, stability)


def reading(words, spans, stability):
    starts, ends = np.array(words, np.int32).reshape(-1, 2).T
    return Labelling(
        starts, ends, np.zeros(len(words), np.int32), stability.copy(), stability, sorted(spans), PlanWork()
    )


def texts(shown):
    return [(x.label, x.text) for x in shown.spans]


def test_a_new_span_waits_until_all_its_words_are_stable():
    shown = shown_segment(STRICT)
    assert not shown.update("in new york", read("in new york", ("new york", "place"), york=0.7))
    text = "in new york city"
    difference = shown.update(text, read(text, ("new york", "place"), city=0.1))
    assert (brief(difference.spans), difference.added) == ([(1, "place", "new york")], [1])
    assert difference.spans[0].stability == 1.0


def test_a_shown_span_is_taken_back_only_when_its_words_are_surely_nothing():
    shown = shown_segment(STRICT)
    shown.update("may", read("may", ("may", "person"), sure=0.85))
    assert not shown.update("may i", read("may i", may=0.89))
    assert [x.stability for x in shown.spans] == pytest.approx([0.11])
    assert [x.score for x in shown.spans] == pytest.approx([0.11])
    difference = shown.update("may i ask", read("may i ask", may=0.9))
    assert [(x.text, x.cause) for x in difference.retracted] == [("may", "model")]


def test_nothing_is_held_back_for_more_words_than_the_level_waits():
    shown = shown_segment(Emission(show=0.9, change=0.9, wait=2))
    assert not shown.update("may", read("may", ("may", "person"), sure=0.1))
    assert not shown.update("may i", read("may i", ("may", "person"), sure=0.1))
    shown.update("may i ask", read("may i ask", ("may", "person"), sure=0.1))
    assert texts(shown) == [("person", "may")]
    assert not shown.update("may i ask so", read("may i ask so", sure=0.1))  # a mere retraction has to be sure
    shown.update("may i ask so", read("may i ask so", ("may", "place"), sure=0.1))
    assert texts(shown) == [("place", "may")]


def test_what_is_found_over_a_shown_span_is_held_with_it():
    shown = shown_segment(STRICT)
    text = "bank of england said"
    shown.update("bank of", read("bank of", ("bank", "place")))
    assert not shown.update(text, read(text, ("bank of england", "group"), of=0.5))
    assert texts(shown) == [("place", "bank")]
    difference = shown.update(text + " so", read(text + " so", ("bank of england", "group"), sure=0.9))
    assert texts(shown) == [("group", "bank of england")]
    assert ([x.id for x in difference.retracted], difference.added) == ([1], [2])


def test_a_span_grows_as_soon_as_the_words_that_it_gains_are_stable():
    shown = shown_segment(STRICT)
    shown.update("new york", read("new york", ("new york", "place")))
    text = "new york city"
    assert not shown.update(text, read(text, ("new york city", "place"), city=0.85))
    difference = shown.update(text, read(text, ("new york city", "place"), city=0.95, new=0.2))
    assert [(x.id, x.cause) for x in difference.changed] == [(1, "model")]
    assert texts(shown) == [("place", "new york city")]


def test_a_sure_retraction_with_an_unsure_successor_leaves_nothing():
    shown = shown_segment(Emission(show=0.99, change=0.5))
    shown.update("jordan", read("jordan", ("jordan", "person")))
    difference = shown.update("jordan river", read("jordan river", ("jordan", "place"), jordan=0.6))
    assert (len(difference.retracted), shown.spans) == (1, ())


def test_rewritten_text_loses_its_span_at_once_and_keeps_it_if_the_label_goes_on():
    shown = shown_segment(STRICT)
    shown.update("rom", read("rom", ("rom", "place")))
    difference = shown.update("rome", read("rome", ("rome", "place"), rome=0.1))
    assert (texts(shown), [x.cause for x in difference.changed]) == ([("place", "rome")], ["input"])
    difference = shown.update("romance", read("romance", romance=0.1))
    assert (shown.spans, [x.cause for x in difference.retracted]) == ((), ["input"])
    shown.update("may", read("may", ("may", "person")))
    shown.update("mai", read("mai", ("mai", "place"), sure=0.1))
    assert shown.spans == ()


def test_what_is_found_where_a_shown_span_was_removed_does_not_go_on_with_it():
    shown = shown_segment(STRICT)
    shown.update("a a bb", reading([(0, 1), (2, 3), (4, 6)], [(1, 2, "x")], np.ones(3, np.float32)))
    difference = shown.update("a bb", read("a bb", ("a bb", "x"), sure=0.1))
    assert (shown.spans, [x.cause for x in difference.retracted]) == ((), ["input"])


def test_a_span_stays_on_words_that_only_moved():
    shown = shown_segment(STRICT)
    shown.update("we met anna", read("we met anna", ("anna", "person")))
    difference = shown.update("then we met anna", read("then we met anna", anna=0.5))
    assert brief(shown.spans) == [(1, "person", "anna")]
    assert [x.was.start for x in difference.changed] == [7]


def test_words_that_joined_another_are_rewritten_though_the_letters_stand():
    shown = shown_segment(STRICT)
    shown.update("e", read("e", ("e", "person")))
    joined = "e\u0301"
    shown.update(joined, reading([(0, 2)], [], np.array([0.1], np.float32)))
    assert shown.spans == ()


def test_closing_shows_the_final_labels_and_edits_are_not_held():
    text = "may said"
    shown = shown_segment(STRICT)
    shown.update("may", read("may", ("may", "place")))
    shown.update(text, read(text, ("may", "person"), sure=0.1))
    assert texts(shown) == [("place", "may")]
    shown.update(text, read(text, ("may", "person"), sure=0.1), final=True)
    assert texts(shown) == [("person", "may")]


def test_levels_are_read():
    assert parse_emission("high") is LEVELS["high"]
    assert parse_emission("0.5:1") == Emission(0.5, 1.0)
    assert parse_emission("0.5:1:3") == Emission(0.5, 1.0, 3)
    for wrong in ("hi", "", "0.5", "0.5:2", "nan:0.5", "a:b", "0.1:0.2:0.3", "0.5:1:-1", "0.5:1:2:3", "0.5:1:"):
        with pytest.raises(EmissionError):
            parse_emission(wrong)


def test_levels_rise():
    assert LEVELS["low"].show < LEVELS["medium"].show < LEVELS["high"].show
    assert LEVELS["low"].change < LEVELS["medium"].change <= LEVELS["high"].change


VOCABULARY = ("a", "bb", "c.c", "a,b", "Dd")
SURE = st.sampled_from([0.1, 0.5, 0.8, 0.9, 1.0])
THRESHOLDS = st.sampled_from([0.0, 0.5, 0.8, 0.9, 1.0])
EMISSIONS = st.builds(Emission, THRESHOLDS, THRESHOLDS, st.sampled_from([None, None, 0, 1, 2, 4]))


@st.composite
def histories(draw):
    """Texts of one segment as it grows, shrinks and is rewritten, each with a random reading; only the last closes."""
    said, history = [], []
    for _ in range(draw(st.integers(1, 8))):
        if said and draw(st.integers(0, 3)) == 0:
            at = draw(st.integers(0, len(said) - 1))
            said = said[:at] + draw(st.lists(st.sampled_from(VOCABULARY), max_size=2)) + said[at + 1 :]
        said = said + draw(st.lists(st.sampled_from(VOCABULARY), max_size=3))
        text = " ".join(said)
        words = [(m.start(), m.end()) for m in re.finditer(r"\w+|[^\w\s]", text)]
        spans, at = [], 0
        while at < len(words):
            stop = at + draw(st.integers(1, 3))
            if stop <= len(words) and (label := draw(st.sampled_from(["", "", "x", "y"]))):
                spans.append((at, stop, label))
            at = stop
        stability = draw(st.lists(SURE, min_size=len(words), max_size=len(words)))
        history.append((text, reading(words, spans, np.array(stability, np.float32))))
    return history


def followed(emission, history):
    """Each update as a tuple: what was shown before it, the segment, and what changed."""
    shown, steps = shown_segment(emission), []
    for i, (text, found) in enumerate(history):
        before = shown.text, shown.spans
        steps.append((before, (text, found), shown.update(text, found, final=i == len(history) - 1)))
    return steps


@given(histories(), EMISSIONS)
def test_spans_are_right_and_apart_and_the_end_is_that_of_every_level(history, emission):
    steps = followed(emission, history)
    for _, (text, _), difference in steps:
        stop = 0
        for span in difference.spans:
            assert stop <= span.start < span.end
            assert span.text == text[span.start : span.end]
            assert 0 <= span.stability <= 1
            stop = span.end
    shown = [[(x.start, x.end, x.label, x.stability) for x in y[-1][2].spans] for y in (steps, followed(LOW, history))]
    assert shown[0] == shown[1]


class Slowly(Emission):
    """The same thresholds, without the short way of the lowest level."""

    def publish(self, before, shown, text, reading, final):
        return reading if final else self._hold(before, shown, text, reading)


@given(histories())
def test_thresholds_of_nothing_are_the_lowest_level(history):
    assert [x[2] for x in followed(Slowly(), history)] == [x[2] for x in followed(LOW, history)]


@settings(max_examples=300)
@given(histories(), EMISSIONS)
def test_what_is_shown_follows_from_the_definition(history, emission):
    for (before, spans), (text, found), difference in followed(emission, history)[:-1]:
        expected = shown_by_definition(emission, before, spans, text, found)
        assert [(x.start, x.end, x.label) for x in difference.spans] == expected


def shown_by_definition(emission, before, shown, text, found):
    """The same on characters, with a graph in place of a sweep."""
    starts, ends = found.starts.tolist(), found.ends.tolist()
    stability = dict(zip(starts, found.stability.tolist(), strict=True))
    new = [(starts[first], ends[end - 1], label) for first, end, label in found.spans]
    old, lost = [], []
    for x in shown:
        start, end = Alignment(before, text).extent(x.start, x.end)
        stands = start in starts and end in ends and text[int(start) : int(end)] == x.text
        if start < end:  # else nothing is left of it, and nothing goes on with it
            (old if stands else lost).append((start, end, x.label))
    result = []
    for was, now in components(old, new):
        words = [x for x in starts if any(start <= x < end for start, end, _ in [*was, *now])]
        changed = [x for x in words if tag(was, x) != tag(now, x)]

        def waited(spans):
            behind = sum(x >= max(end for _, end, _ in spans) for x in starts)
            return emission.wait is not None and behind >= emission.wait

        if (
            was
            and not (now and waited([*was, *now]))
            and any(stability[x] < np.float32(emission.change) for x in changed)
        ):
            result += was
        else:
            result += [
                (start, end, label)
                for start, end, label in now
                if waited([(start, end, label)])
                or min(stability[x] for x in words if start <= x < end) >= np.float32(emission.show)
                or any(overlap((start, end), x) and x[2] == label for x in [*was, *lost])
                or was == now
            ]
    return sorted(result)


def overlap(x, y):
    return x[0] < y[1] and y[0] < x[1]


def tag(spans, word):
    return next(((label, word == start) for start, end, label in spans if start <= word < end), None)


def components(old, new):
    rest = deque([(x, 0) for x in old] + [(x, 1) for x in new])
    while rest:
        member, grown = [rest.popleft()], True
        while grown:
            near = [x for x in rest if any(overlap(x[0], y[0]) for y in member)]
            member, grown = member + near, bool(near)
            rest = deque(x for x in rest if x not in near)
        yield [x for x, kind in member if kind == 0], [x for x, kind in member if kind == 1]


@settings(max_examples=300)
@given(histories(), EMISSIONS)
def test_a_shown_span_stays_until_its_words_change_or_their_labels_are_sure(history, emission):
    for (before, spans), (text, found), difference in followed(emission, history)[:-1]:
        for gone in [x for x in difference.retracted if x.cause == "model"]:
            assert before[gone.start : gone.end] == text[gone.start : gone.end]  # the model's: nothing moved
            words = [i for i, at in enumerate(found.starts) if gone.start <= at < gone.end]
            labels = {i: (x[2], i == x[0]) for x in found.spans for i in range(x[0], x[1])}
            flipped = [i for i in words if labels.get(i) != (gone.label, i == words[0])]
            assert emission.wait is not None or all(found.stability[i] >= np.float32(emission.change) for i in flipped)
        assert all(x in [y.id for y in spans] for x in [y.id for y in difference.retracted])
