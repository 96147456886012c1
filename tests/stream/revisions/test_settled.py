"""Settled text: against its definition followed slowly, in an engine that is told anything, and after crashes."""

from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Always, Entropy, Last, Never
from stream.engine.engine import Engine
from stream.labelling.labeller import Labelling, PlanWork
from stream.messages.types import End, Span, Update
from stream.revisions.emission import Emission
from stream.revisions.settled import SettledRule, SettledRules, freeze_settled, keep_settled, settle_text
from stream.revisions.settled_watch import UNIT_CHARACTERS, SettledWatch, compare_settled
from stream.sessions.snapshot import Entry, SegmentState, restore_sessions
from tests.stream.cuts import REMEMBER, CutRun, in_groups
from tests.stream.engine.test_properties import read_one_by_one
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller
from tests.stream.helpers import delete, drain, final, tell, update
from tests.stream.streams import ALL, messages, steps

POLICIES = st.sampled_from([Always(), Never(), Last(2), Entropy(0.5)])
THRESHOLDS = st.sampled_from([0.3, 0.5, 0.93, 0.97, 0.99, 1.0])
"""The fake tagger is .4, .9, .95 or .99 sure."""
EMISSIONS = st.sampled_from([Emission(), Emission(0.5, 0.93), Emission(0.97, 0.97), Emission(1.0, 1.0)])
Words = list[tuple[int, int]]


def rules(threshold: float, publish: bool = False, **more) -> SettledRules:
    return SettledRules({"fake": SettledRule(threshold, **more)}, publish)


def reading_of(words: Words, stability: Sequence[float], spans=()) -> Labelling:
    starts, ends = np.array(words, np.int32).reshape(-1, 2).T
    sure = np.array(stability, np.float32)
    return Labelling(starts, ends, np.zeros(len(words), np.int32), sure.copy(), sure, sorted(spans), PlanWork())


# The definition


@st.composite
def cases(draw):
    """A text with words that a tokenizer may cut anywhere or read across white space, spans, and what is kept."""
    pieces = draw(st.lists(st.sampled_from(["ab", "c", ",", "\u200b", "(x", " ", " ", "  ", "\t"]), max_size=12))
    text = "".join(pieces)
    words: Words = []
    for i, sign in enumerate(text):
        if sign.isspace() or sign == "\u200b":
            continue
        if words and draw(st.integers(0, 9)) < (5 if words[-1][1] == i else 1):
            words[-1] = (words[-1][0], i + 1)
        else:
            words.append((i, i + 1))
    stability = draw(st.lists(st.sampled_from([0.2, 0.9, 1.0]), min_size=len(words), max_size=len(words)))
    spans = [_spans(draw, words), _spans(draw, words)]
    found, shown = (spans[0], spans[0]) if draw(st.booleans()) else spans
    places = [0, *(p for p in range(1, len(text) + 1) if text[p - 1].isspace())]
    kept = draw(st.sampled_from([p for p in places if not any(a < p < b for a, b, _ in shown)]))
    limit = draw(st.none() | st.integers(0, len(text)))
    return text, words, stability, found, shown, kept, limit


def _spans(draw, words: Words):
    spans, i = [], 0
    while i < len(words):
        length = draw(st.integers(0, 3))
        if length and draw(st.booleans()):
            end = min(i + length, len(words))
            spans.append((words[i][0], words[end - 1][1], draw(st.sampled_from("xy"))))
            i = end
        i += 1
    return spans


def slowly(text, words, stability, found, shown, kept, limit, thresholds, labels):
    """The last place of which everything that is written in `stream.revisions.settled` holds."""
    limits = [a for a, b, _ in set(found) ^ set(shown) if b > kept] + ([limit] if limit is not None else [])
    if any(a < kept < b for a, b in words):
        return kept
    run = []
    for (a, b), sure, label in zip(words, stability, labels, strict=True):
        if a >= kept:
            if sure < np.float32(thresholds[bool(label)]) or any(b > x for x in limits):
                break
            run.append((a, b))
    for p in range(len(text), kept, -1):
        before = [(a, b) for a, b in words if kept <= a < p]
        if (
            text[p - 1].isspace()
            and before
            and all(x in run and x[1] <= p for x in before)
            and not any(a < p < b for a, b, _ in shown)
            and all(any(x[0] >= b for x in run) for a, b, _ in shown if kept <= a < p)
        ):
            return p
    return kept


@settings(max_examples=400)
@given(cases(), st.sampled_from([0.5, 0.95]), st.sampled_from([None, 0.1, 0.95]), st.randoms())
def test_settled_text_is_that_of_its_definition(case, threshold, labelled, random):
    text, words, stability, found, shown, kept, limit = case
    rule = SettledRule(threshold, None if limit is None else lambda text: limit, labelled)
    labels = [random.randint(0, 1) for _ in words]
    reading = reading_of(words, stability).replace(labels=np.array(labels, np.int32))
    got = settle_text(text, reading, found, shown, kept, rule)
    assert got == slowly(*case, (threshold, threshold if labelled is None else labelled), labels)


@given(cases())
def test_a_threshold_of_one_settles_nothing_before_the_close(case):
    text, words, stability, found, shown, kept, _ = case
    assert settle_text(text, reading_of(words, stability), found, shown, kept, SettledRule(1.0)) == kept


def test_what_stops_it():
    text = "we met anna rice in rome "
    words = [(0, 2), (3, 6), (7, 11), (12, 16), (17, 19), (20, 24)]
    sure = [1.0] * 6
    anna, rome = (7, 16, "person"), (20, 24, "place")

    def at(found, shown, stability=sure, may_grow=None, kept=0, text=text):
        rule = SettledRule(0.9, may_grow)
        return settle_text(text, reading_of(words, stability), found, shown, kept, rule)

    assert at([anna], [anna]) == len(text)
    assert at([anna], [anna], text=text.rstrip()) == 20, "the last word may be half of one"
    assert at([anna, rome], [anna, rome]) == 20, "the next word may belong to a span that ends the text"
    assert at([anna], []) == 7, "it is not shown yet"
    assert at([], [anna]) == 7, "it is to be taken back"
    assert at([(7, 11, "person")], [anna]) == 7, "it is to be shortened"
    assert at([anna], [anna], [1, 1, 1, 1, 0.2, 1]) == 7, "the word behind it may belong to it"
    assert at([anna], [anna], [1, 1, 1, 1, 1, 0.2]) == 20
    assert at([anna], [anna], [1, 0.2, 1, 1, 1, 1]) == 3
    assert at([anna], [anna], [1, 0.2, 1, 1, 1, 0.2], kept=7) == 20, "what was settled is looked at no more"
    assert at([anna], [anna], may_grow=lambda text: text.index("in")) == 7
    assert at([anna], [anna], may_grow=lambda text: text.index("rome")) == 20


def span(number, text, start, end, label="x"):
    return Span(id=number, start=start, end=end, label=label, text=text[start:end], stability=1.0)


def test_what_is_rewritten_is_kept_up_to_the_word_that_changed():
    text = "we met anna rice in "
    shown = [span(1, text, 7, 16)]
    assert keep_settled(text, shown, text + "rome", 20, None) == 20
    assert keep_settled(text, shown, "we met anna rice in", 20, 17) == 17, "its white space is gone"
    assert keep_settled(text, shown, "we met anna price in ", 20, 12) == 7, "a span is never cut"
    assert keep_settled(text, shown, "we met hanna rice in ", 20, 7) == 7
    assert keep_settled(text, shown, "wee met anna rice in ", 20, 0) == 0
    assert keep_settled(text, shown, text, 3, 3) == 3
    assert keep_settled(text, [], "we met anna ric", 20, 12) == 12


def test_spans_of_settled_text_stand_until_the_close_whatever_is_found():
    text = "new york city "
    words = [(0, 3), (4, 8), (9, 13)]
    shown = [span(1, text, 0, 8, "place")]
    for found in ([], [(0, 3, "place")], [(1, 3, "group")], [(0, 2, "group")]):
        reading = reading_of(words, [0.9, 0.8, 0.7], found)
        kept = freeze_settled(reading, reading, shown, 9)
        assert [x for x in kept.spans if x[0] < 2] == [(0, 2, "place")]
        changed = [i for i in (0, 1) if i not in {j for a, b, label in found if label == "place" for j in range(a, b)}]
        assert kept.stability[changed] == pytest.approx(1 - reading.stability[changed])
    across = reading_of(words, [1, 1, 1], [(1, 3, "place")])
    assert freeze_settled(across, across, [], 9).spans == [], "it would cover settled text"
    same = reading_of(words, [1, 1, 1], [(0, 2, "place"), (2, 3, "x")])
    assert freeze_settled(same, same, shown, 9) is same


# In an engine


@given(steps(VOCABULARY, ALL), POLICIES, EMISSIONS, THRESHOLDS)
def test_every_promise_to_readers_holds(script, policy, emission, threshold):
    engine = Engine(FakeLabeller(), policy, emission=emission, rules=rules(threshold))
    read_one_by_one(engine, messages(script))


@given(steps(VOCABULARY, ALL, most=40), POLICIES, EMISSIONS, THRESHOLDS)
def test_it_is_told_with_every_step_and_goes_back_only_where_its_text_is_rewritten(script, policy, emission, threshold):
    """It is the last one until the text before it changes; shown spans before it stay until the segment closes."""
    engine = Engine(FakeLabeller(), policy, emission=emission, rules=rules(threshold))
    last: dict[tuple[str, str], object] = {}
    for offset, message in enumerate(messages(script)):
        engine.submit(message, offset)
        for result in drain(engine):
            for now in result.settled:
                was = last.get((now.session, now.segment))
                last[now.session, now.segment] = now
                assert all(x.text == now.text[x.start : x.end] for x in now.spans)
                if now.final:
                    assert now.settled == len(now.text)
                    continue
                assert not now.settled or now.text[now.settled - 1].isspace()
                assert not any(x.start < now.settled < x.end for x in now.spans)
                if was is not None and now.text.startswith(was.text[: was.settled]):
                    assert now.settled >= was.settled
                    known, standing = (
                        {(x.id, x.start, x.end, x.label) for x in one.spans if x.start < was.settled}
                        for one in (was, now)
                    )
                    assert known == standing
        if not isinstance(message, Update):  # names may be used again
            ended = isinstance(message, End)
            last = {
                key: x
                for key, x in last.items()
                if key[0] != message.session or not (ended or key[1] == message.segment)
            }


@given(st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=12), POLICIES, THRESHOLDS, st.randoms())
def test_it_only_grows_however_a_growing_text_is_cut(words, policy, threshold, random):
    text, end, offset, settled = " ".join(words), 0, 0, 0
    engine = Engine(FakeLabeller(), policy, rules=rules(threshold, publish=True))
    while end < len(text):
        end = min(len(text), end + random.randint(1, 9))
        for revision in tell(engine, update("u", text[:end]), first=offset):
            assert settled <= revision.settled <= end
            settled = revision.settled
        offset += 1
    (closed,) = tell(engine, final("u", text), first=offset)
    assert closed.settled == len(text)


@settings(max_examples=100)
@given(
    steps(VOCABULARY, ALL, most=40),
    POLICIES,
    EMISSIONS,
    THRESHOLDS,
    st.booleans(),
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12),
)
def test_a_restored_session_goes_on_as_it_would_have(script, policy, emission, threshold, publish, sizes, cuts):
    more = {"emission": emission, "rules": rules(threshold, publish), "idle_seconds": 9.0, "remember_seconds": REMEMBER}
    make = partial(Engine, FakeLabeller(), policy, **more)
    groups = in_groups(messages(script), sizes)
    assert CutRun(make, groups).run(cuts).bytes() == CutRun(make, groups).run().bytes()


def test_it_is_told_for_itself_only_on_request():
    told = [update("u", "we"), update("u", "we met "), update("u", "we met anna"), update("u", "we met anna in ")]
    for publish in (False, True):
        engine = Engine(FakeLabeller(), Always(), rules=rules(0.9, publish))
        revisions = [(x.offset, x.settled, len(x.spans)) for x in tell(engine, *told)]
        assert revisions == ([(1, 7, 0), (2, 7, 1), (3, 15, 1)] if publish else [(2, 7, 1)])


def test_it_says_why_it_went_back():
    engine = Engine(FakeLabeller(), Always(), rules=rules(0.9, publish=True))
    first, second, third, closed, edited, gone = tell(
        engine,
        update("u", "we met in rome and "),
        update("u", "we meet in rome and "),
        update("u", "we meet in rome and so "),
        final("u", "we meet in rome and so"),
        update("u", "rome"),
        delete("u"),
    )
    assert [x.settled for x in (first, second, third, closed, edited, gone)] == [19, 20, 23, 22, 4, 0]
    causes = [x.settled_cause for x in (first, second, third, closed, edited, gone)]
    assert [x if isinstance(x, str) else None for x in causes] == [None, None, None, "input", "input", "delete"]


def test_a_label_that_comes_late_waits_for_the_close_and_is_counted():
    """ "may" is no name until "said" comes; it is settled before, at a threshold that is too low."""
    engine = Engine(FakeLabeller(), Always(), rules=rules(0.3, publish=True))
    first, second = tell(engine, update("u", "may "), update("u", "may said so"))
    assert (first.settled, second.settled, second.spans) == (4, 9, ())
    (closed,) = tell(engine, final("u", "may said so"), first=2)
    assert [x.text for x in closed.spans] == ["may"]
    watch = engine.promises.settled
    assert watch.counts == {("fake", "labelled"): 3, ("fake", "missed"): 3, ("fake", "withdrawn"): 0}


def test_states_from_before_it_was_known_begin_anew():
    engine = Engine(FakeLabeller(), Always(), rules=rules(0.9))
    engine.submit(update("u", "we met anna in "), 0)
    (entry,) = [x for r in drain(engine) for x in r.entries if isinstance(x.value, SegmentState)]
    labels = entry.value.labels["fake"]
    assert (labels.settled, labels.settled_told) == (15, 15)
    restored = Engine(FakeLabeller(), Always(), rules=rules(0.9, publish=True))
    old = partial(type(labels), labels.published, labels.spans, labels.words, labels.number_format)
    value = msgspec.structs.replace(entry.value, labels={"fake": old()})
    restored.restore(restore_sessions([Entry("s", "u", value)])["s"], "s")
    (revision,) = tell(restored, update("u", "we met anna in rome "), first=1)
    assert revision.settled == 15
    assert len(revision.spans) == 2


# The watch


def test_outcomes_of_settled_characters():
    def brief(*spans):
        return [(a, b, label) for a, b, label in spans]

    assert compare_settled(brief((0, 4, "x")), brief((0, 4, "x")), 10) == (4, 0, 0)
    assert compare_settled(brief(), brief((0, 4, "x")), 10) == (4, 4, 0)
    assert compare_settled(brief(), brief((8, 14, "x")), 10) == (6, 2, 0)
    assert compare_settled(brief((0, 4, "x")), brief(), 10) == (4, 0, 4)
    assert compare_settled(brief((0, 4, "x")), brief((0, 2, "x")), 10) == (4, 0, 2)
    assert compare_settled(brief((0, 4, "x")), brief((0, 4, "y")), 10) == (4, 0, 4)
    assert compare_settled(brief((0, 4, "x")), brief((0, 9, "x")), 4) == (9, 0, 0)
    assert compare_settled(brief((5, 9, "x")), brief(), 5) == (0, 0, 0)


def test_evidence_is_of_whole_sessions_or_long_parts_of_them():
    watch = SettledWatch({"a": 0.1})
    watch.observe("s", "a", compare_settled([], [(0, 4, "x")], 2))
    watch.observe("s", "a", compare_settled([], [(0, 4, "x")], 4))
    watch.observe("t", "b", compare_settled([], [(0, 4, "x")], 4))
    watch.observe("u", "a", compare_settled([], [(0, 4, "x")], 4))
    watch.drop_session("u")
    watch.observe("v", "a", compare_settled([], [], 4))
    assert watch.evidence["a"].units == 0
    for session in "stuv":
        watch.end_session(session)
    assert watch.evidence["a"].units == 1
    assert watch.counts["a", "missed"] == 10
    watch.observe("w", "a", compare_settled([], [(0, UNIT_CHARACTERS, "x")], 0))
    assert watch.evidence["a"].units == 2
