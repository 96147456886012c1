"""Measures of replayed texts: of made-up states with known answers, and of a labeller that reads the chat before."""

import numpy as np
import pytest

from encoder.restart.policies import Always, Never
from stream.engine.engine import Engine
from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.texts.chats import Chat, make_chats, own_sessions
from stream.evaluation.texts.rows import TextRow
from stream.evaluation.texts.text_measures import measure_labels, measure_spans
from stream.evaluation.texts.text_replay import PlacedText, PublishedText, replay_alone, replay_chats
from stream.evaluation.texts.verdicts import TextLabel, choose_text_labels
from stream.messages.types import Span, Update
from stream.revisions.emission import parse_emission
from tests.stream.fake_tagger import FakeLabeller

TOXIC = TextLabel("toxic", "scores", 0.5)


def row(text, spans=None, session="", **labels):
    ends = np.cumsum([len(word) + 1 for word in text.split()]) - 1
    return TextRow(text, ends.astype(np.int32), labels, spans, session)


def span(start, end, label, score=0.9):
    return Span(id=1, start=start, end=end, label=label, text="", stability=1.0, score=score)


def state(seen, *spans, score=None, **scores):
    return PublishedText(seen, spans, score, scores)


def test_the_score_is_the_tagger_s_own_or_that_of_its_spans():
    text = state(3, span(0, 1, "a", 0.6), span(2, 3, "a", 0.8), span(4, 5, "b", 0.9), score=0.95, a=0.1)
    assert TextLabel("a", "scores", 0.5).score(text) == 0.1
    assert TextLabel("a", "spans", None).score(text) == 0.8
    assert TextLabel("a", "spans", None, sole=True).score(text) == 0.95
    assert TextLabel("c", "spans", None).score(text) == 0.0
    assert (
        TextLabel("a", "scores", 0.5).score(state(0)) == TextLabel("a", "spans", None, sole=True).score(state(0)) == 0.0
    )
    flags = [
        TextLabel("a", source, at).flags(text) for source, at in [("scores", 0.1), ("spans", 0.81), ("spans", None)]
    ]
    assert flags == [True, False, True]


def test_labels_are_found_by_name_and_text_scores_come_first():
    found = choose_text_labels(["b", "a", "b", "t"], ["a", "t"], ["a", "b"], None)
    assert found == [TextLabel("a", "scores", 0.5), TextLabel("b", "spans", None), TextLabel("t", "scores", 0.5)]
    assert choose_text_labels(["b"], [], ["b"], 0.3) == [TextLabel("b", "spans", 0.3, sole=True)]
    with pytest.raises(EvaluationError, match=r"for x, y \(it has a, b\).*--rename x="):
        choose_text_labels(["y", "a", "x"], ["a"], ["a", "b"], None)


def test_a_label_is_measured_on_the_texts_that_were_asked_for_it():
    rows = [row("one two", toxic=True), row("one two three four", toxic=False), row("one", toxic=True), row("one")]
    histories = [
        [state(1, toxic=0.6), state(2, toxic=0.9), state(2, toxic=0.9)],
        [state(1, toxic=0.7), state(3, toxic=0.4), state(4, toxic=0.6)],
        [state(1, toxic=0.2)],
        [state(1, toxic=0.99)],
    ]
    [found] = measure_labels([TOXIC], rows, histories, {}, None)
    assert (found.rows, found.positives, found.threshold) == (3, 2, 0.5)
    assert found.auc == 0.5
    assert found.brier == pytest.approx((0.01 + 0.36 + 0.64) / 3)
    assert (found.flagged, found.recall, found.false_alarms, found.precision) == (pytest.approx(2 / 3), 0.5, 1.0, 0.5)
    assert found.average_precision == pytest.approx((1 + 2 / 3) / 2)
    # the first stands from its first word on, the second by its close only
    assert (found.moments.count, found.moments.mean, found.moments.p50, found.moments.at_close) == (2, 0.75, 0.5, 0.5)
    assert [(x.setting, x.place, x.recall) for x in found.places] == [("alone", "1", 0.5)]
    assert found.recall_spread is None
    assert sum(x.rows for x in found.auc_by_length) == 3


def test_places_of_a_chat_are_compared_with_the_text_alone():
    rows = [row("a", toxic=True), row("b", toxic=True), row("c", toxic=False)]
    alone = [[state(1, toxic=0.9)], [state(1, toxic=0.8)], [state(1, toxic=0.1)]]
    chat = [PlacedText(0, 2, state(1, toxic=0.7)), PlacedText(1, 3, state(1, toxic=0.3)), PlacedText(2, 4, state(1))]
    own = [PlacedText(0, 1, state(1)), PlacedText(1, 2, state(1, toxic=1.0)), PlacedText(2, 3, state(1, toxic=0.9))]
    [found] = measure_labels([TOXIC], rows, alone, {"chat": chat, "session": own}, 4)
    shown = [(x.setting, x.place, x.rows, x.recall, x.false_alarms) for x in found.places]
    assert shown == [
        ("alone", "1", 3, 1.0, 0.0),
        ("chat", "all", 6, pytest.approx(1 / 4 * 1.0 + 3 / 4 * 0.5), 0.0),
        ("chat", "2-4", 3, 0.5, 0.0),
        ("session", "all", 3, 0.5, 1.0),
        ("session", "1", 1, 0.0, None),
        ("session", "2-3", 2, 1.0, 1.0),
    ]
    assert found.recall_spread == 0.5


def test_character_f1_is_the_mean_over_texts_whose_spans_are_known():
    rows = [row("you twit", ((4, 8, "x"),)), row("good day", ()), row("go away"), row("ab cd", ((0, 5, "x"),))]
    alone = [
        [state(1), state(2, span(4, 8, "other"))],
        [state(1, span(0, 4, "x")), state(2)],
        [state(2, span(0, 2, "x"))],
        [state(1, span(0, 2, "x")), state(2, span(0, 2, "x"))],
    ]
    chat = [PlacedText(i, 2, state(2)) for i in range(4)]
    found = measure_spans(rows, alone, {"chat": chat}, 2)
    assert (found.places[0].rows, found.places[0].character_f1) == (3, pytest.approx((1 + 1 + 4 / 7) / 3))
    assert [(x.setting, x.place, x.rows) for x in found.places] == [
        ("alone", "1", 3),
        ("chat", "all", 6),
        ("chat", "2", 3),
    ]
    assert found.places[2].character_f1 == pytest.approx(1 / 3)
    assert found.places[1].character_f1 == pytest.approx((found.places[0].character_f1 + 1 / 3) / 2)
    # of the three final spans one stands after half of the text, two come with the last word or the close
    assert (found.moments.count, found.moments.mean) == (3, pytest.approx((1 + 1 + 0.5) / 3))
    nothing = measure_spans([row("a")], [[state(1)]], {}, None)
    assert (nothing.places[0].rows, nothing.places[0].character_f1, nothing.places[0].covered) == (0, None, None)
    assert (nothing.moments.count, nothing.moments.mean) == (0, None)


TEXTS = [
    "may",
    "may said so",
    "anna met bob in rome",
    "there we met",
    "may river",
    "so so",
    "rice said",
    "there",
    "peru",
]


def engine_states(texts, final_only, emission="low", policy=None):
    """Feed one session by itself, without the replay."""
    engine = Engine(FakeLabeller(), policy or Never(), emission=parse_emission(emission))
    found = []
    for i, text in enumerate(texts):
        ends = [] if final_only else [m for m, c in enumerate(text + " ") if c == " "]
        for n, end in enumerate([*ends, None], 1):
            final = end is None
            engine.submit(Update(session="s", segment=str(i), text=text[:end], final=final), 0)
            seen = len(text.split()) if final else n
            found += [(i, seen, [(x.start, x.end, x.label) for x in y.spans]) for y in engine.step().revisions]
    return found


@pytest.mark.parametrize(("policy", "emission"), [(Never(), "low"), (Always(), "high")])
def test_alone_each_text_is_what_the_service_would_publish(policy, emission):
    rows = [row(text) for text in TEXTS * 10]  # more than one batch
    histories = replay_alone(FakeLabeller(), policy, rows, parse_emission(emission))
    for history, text in zip(histories, TEXTS * 10, strict=True):
        found = [(0, x.seen, [(y.start, y.end, y.label) for y in x.spans]) for x in history]
        assert found == engine_states([text], False, emission, policy)


def test_in_a_chat_each_message_is_what_the_service_would_publish():
    rows, progress = [row(text) for text in TEXTS], []
    chats = [*make_chats(len(rows), 6), Chat([2, 3, 7], 2)]
    placed = replay_chats(FakeLabeller(), Never(), rows, chats, progress.append)
    expected = []
    for chat in chats:
        states = engine_states([TEXTS[i] for i in chat.rows], True)
        expected += [(chat.rows[i], i + 1, spans) for i, _, spans in states if i >= chat.first]
    found = [(x.row, x.place, [(y.start, y.end, y.label) for y in x.final.spans]) for x in placed]
    assert sorted(found) == sorted(expected)
    assert sum(progress) == sum(len(chat.rows) for chat in chats)


def test_a_verdict_that_the_chat_changes_is_seen_by_place():
    """ "There" is what the message before ended in, and nothing alone."""
    rows = [row("bob", session="s", person=True), row("there", session="s", person=True)]
    label = TextLabel("person", "spans", None)
    histories = replay_alone(FakeLabeller(), Never(), rows)
    placed = {
        "chat": replay_chats(FakeLabeller(), Never(), rows, make_chats(2, 2)),
        "session": replay_chats(FakeLabeller(), Never(), rows, own_sessions(rows)),
    }
    [found] = measure_labels([label], rows, histories, placed, 2)
    assert {(x.setting, x.place): x.recall for x in found.places} == {
        ("alone", "1"): 0.5, ("chat", "all"): 0.75, ("chat", "2"): 1.0,
        ("session", "all"): 1.0, ("session", "1"): 1.0, ("session", "2"): 1.0,
    }  # fmt: skip
    assert found.recall_spread == 0.5


def test_text_scores_are_those_that_readers_have():
    """The score "rude" of the fake tagger is the share of words that are names, "worse" half of it."""
    rows = [row("bob met", rude=True), row("we met anna", rude=False), row("we met anna rice", rude=True)]
    labels = choose_text_labels(["rude"], ["rude", "worse"], ["person", "place"], 0.45)
    labeller = FakeLabeller(names=["scored"])
    histories = replay_alone(labeller, Never(), rows, threshold=0.45)
    assert [x[-1].scores for x in histories] == [
        {"rude": 0.5, "worse": 0.25}, {"rude": 0.3333, "worse": 0.1667}, {"rude": 0.5, "worse": 0.25}
    ]  # fmt: skip
    placed = {"chat": replay_chats(labeller, Never(), rows, make_chats(3, 3))}
    [found] = measure_labels(labels, rows, histories, placed, 3)
    assert (found.source, found.threshold, found.auc, found.recall, found.false_alarms) == (
        "scores",
        0.45,
        1.0,
        1.0,
        0.0,
    )
    assert found.brier == pytest.approx((0.25 + 0.3333**2 + 0.25) / 3)
    assert found.recall_spread == 0.0
    # "bob" stands from its first word on; the third is told of with "rice" at its fourth
    assert (found.moments.count, found.moments.mean, found.moments.at_close) == (2, pytest.approx((0.5 + 1) / 2), 0.0)
    [later] = measure_labels(choose_text_labels(["rude"], ["rude"], [], 0.8), rows, histories, {}, None)
    assert (later.recall, later.moments.count) == (0.0, 0)


@pytest.mark.parametrize(("threshold", "seen"), [(0.31, [1, 4, 4]), (0.5, [1, 3, 4]), (0.1, [1, 4])])
def test_a_score_is_published_when_it_crosses_the_threshold_that_is_measured(threshold, seen):
    """The score falls from 1 over 1/2 and 1/3 to 1/4, and the spans stay."""
    labeller = FakeLabeller(names=["scored"], text_scores={"scored": ["rude"]})
    [history] = replay_alone(labeller, Never(), [row("bob we we we")], threshold=threshold)
    assert [x.seen for x in history] == seen


def test_a_failure_of_the_tagger_is_not_hidden():
    with pytest.raises(RuntimeError, match="poison"):
        replay_alone(FakeLabeller(poison=["bad"]), Never(), [row("so bad")])
