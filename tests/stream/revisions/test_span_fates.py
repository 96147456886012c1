"""Fates of published spans: by hand in the engine, and counted in one way by readers and by the engine."""

from collections import Counter

import pytest
from hypothesis import given, settings

from encoder.restart.policies import Always, Last
from stream.engine.engine import Engine
from stream.messages.types import Changed, Delete, Span, Was
from stream.revisions.emission import LOW, Emission
from stream.revisions.promise_watch import PromiseWatch
from stream.revisions.span_diff import Difference, retract
from stream.revisions.span_fates import NO_FATES, SpanFates, find_fates
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller, fake_labeller
from tests.stream.helpers import delete, drain, end, final, tell, update
from tests.stream.streams import ALL, messages, steps


def span(number: int, start: int, end: int, label: str = "person") -> Span:
    return Span(id=number, start=start, end=end, label=label, text="x" * (end - start), stability=0.5)


def moved(number: int, start: int, end: int, cause: str) -> Changed:
    return Changed(id=number, was=Was(start=start, end=end, label="person"), cause=cause)


@pytest.mark.parametrize(
    ("change", "closing", "fates"),
    [
        (Difference((span(1, 0, 4),), added=[1]), False, NO_FATES),
        (Difference((), retracted=[retract(span(1, 0, 4), "model")]), False, SpanFates(["person"], (), [])),
        (Difference((), retracted=[retract(span(1, 0, 4), "input")]), False, SpanFates([], (), ["person"])),
        (
            Difference((span(2, 0, 4, "place"),), added=[2], retracted=[retract(span(1, 0, 4), "model")]),
            False,
            SpanFates(["person"], (), []),
        ),
        (Difference((span(1, 0, 9),), changed=[moved(1, 0, 4, "model")]), False, SpanFates([], (), [])),
        (Difference((span(1, 0, 4),), changed=[moved(1, 0, 9, "model")]), False, SpanFates(["person"], (), [])),
        (Difference((span(1, 5, 9),), changed=[moved(1, 0, 7, "model")]), False, SpanFates(["person"], (), [])),
        (Difference((span(1, 0, 4),), changed=[moved(1, 0, 9, "input")]), False, SpanFates([], (), [])),
        (Difference((span(1, 0, 4), span(2, 5, 9)), added=[2]), True, SpanFates([], ["person"], [])),
        (Difference((span(1, 0, 4),), changed=[moved(1, 0, 9, "model")]), True, SpanFates(["person"], [], [])),
        (Difference((span(1, 0, 9),), changed=[moved(1, 0, 4, "model")]), True, SpanFates([], ["person"], [])),
    ],
    ids=[
        *("new", "withdrawn", "rewritten", "relabelled", "extended", "shortened", "moved", "cut"),
        *("closed", "closed-shorter", "closed-longer"),
    ],
)
def test_each_change_gives_the_fates_that_it_decides(change, closing, fates):
    assert [list(x) for x in find_fates(change, closing)] == [list(x) for x in fates]


def fates_of(*told, emission=LOW):
    """Counts of an engine whose labels change as words arrive."""
    engine = Engine(FakeLabeller(), Always(), emission=emission)
    tell(engine, *told)
    return {(label, outcome): n for (_, label, outcome), n in engine.promises.counts.items()}


CLOSED = update("a", "anna"), final("a", "anna")
"""What "there" is depends on the word before it, in the closed segment before; `anna` itself stands."""
TAKEN_BACK = *CLOSED, update("u", "there"), final("b", "we"), final("u", "there")


def test_withdrawn_by_the_model():
    """It is read whole when it closes, and by then the segment before it is another one."""
    assert fates_of(*TAKEN_BACK) == {("person", "stood"): 1, ("person", "taken_back"): 1}


def test_relabelled_is_taken_back_under_the_old_label_and_the_new_one_was_not_at_risk():
    told = *CLOSED, update("u", "there"), final("b", "rome"), final("u", "there")
    assert fates_of(*told) == {("person", "stood"): 1, ("person", "taken_back"): 1}


def test_extended_stands():
    assert fates_of(update("u", "anna"), update("u", "anna rice"), final("u", "anna rice")) == {("person", "stood"): 1}


def test_an_edit_by_the_source_is_neither():
    assert fates_of(update("u", "anna"), update("u", "we")) == {("person", "rewritten"): 1}


def test_a_deleted_segment_has_no_fate():
    assert fates_of(update("u", "anna"), delete("u")) == {}


def test_a_span_that_first_appears_at_the_close_was_never_at_risk():
    assert fates_of(final("u", "anna")) == {}


def test_the_end_of_a_session_closes_its_segments():
    assert fates_of(update("u", "anna"), update("v", "rome"), end()) == {
        ("person", "stood"): 1,
        ("place", "stood"): 1,
    }


def test_edits_of_closed_segments_count_nothing():
    told = update("u", "anna"), final("u", "anna"), update("u", "we met"), update("u", "rome"), delete("u")
    assert fates_of(*told) == {("person", "stood"): 1}


def test_what_is_held_back_is_not_counted():
    held = Emission(show=1, change=1)
    assert fates_of(*TAKEN_BACK, emission=held) == {}


@settings(max_examples=60, deadline=None)
@given(steps(VOCABULARY, ALL))
def test_readers_of_revisions_count_the_same_and_every_span_has_one_fate_at_most(script):
    """The slow way: follow every id through the revisions, with what is known of its segment."""
    engine, told = Engine(fake_labeller("fake", "speech"), Last(2)), Counter()
    closed: set[tuple[str, str, str]] = set()
    for offset, message in enumerate(messages(script)):
        revisions = tell(engine, message, first=offset)
        if isinstance(message, Delete):
            closed = {x for x in closed if x[1:] != (message.session, message.segment)}
            continue
        for x in revisions:
            place = x.tagger, x.session, x.segment
            if place not in closed:
                now = {span.id: (span.start, span.end) for span in x.spans}
                lost = [gone.label for gone in x.retracted if gone.cause == "model"]
                for change in x.changed:
                    start, stop = now[change.id]
                    if change.cause == "model" and (start > change.was.start or stop < change.was.end):
                        lost.append(change.was.label)
                        now.pop(change.id)
                told.update((x.tagger, label, "taken_back") for label in lost)
                told.update((x.tagger, y.label, "rewritten") for y in x.retracted if y.cause == "input")
                if x.final:
                    stood = [y.label for y in x.spans if y.id in now and y.id not in x.added]
                    told.update((x.tagger, label, "stood") for label in stood)
            if x.final:
                closed.add(place)
        closed = {x for x in closed if x[1] in engine.intake.sessions}
    assert engine.promises.counts == dict(told)


@pytest.fixture
def watched():
    """An engine and the evidence of its label "person", which also lists the losses that it was told."""
    watch = PromiseWatch({("fake", "person"): 0.3})
    evidence = watch.evidence["fake", "person"]
    losses = []
    evidence.add = losses.append
    return Engine(FakeLabeller(), Always(), promises=watch), losses


def test_a_session_is_one_unit_and_its_share_is_the_loss(watched):
    engine, losses = watched
    tell(engine, *TAKEN_BACK)
    assert losses == []
    tell(engine, end(), first=5)
    assert losses == [0.5]


def test_an_idle_session_is_a_unit_too(watched):
    engine, losses = watched
    engine.idle_seconds = 10.0
    for offset, message in enumerate(TAKEN_BACK):
        engine.submit(message, offset, now=0.0)
        drain(engine)
    engine.expire(20.0)
    drain(engine)
    assert losses == [0.5]


def test_a_session_that_another_owner_takes_counts_nothing_that_its_replay_would_count_again(watched):
    engine, losses = watched
    tell(engine, *TAKEN_BACK)
    engine.drop("s")
    drain(engine)
    tell(engine, *CLOSED, end())
    assert losses == [0.0]
