"""What each kind of message does to a session, on the fake labeller."""

import json

import msgspec
import pytest
from msgspec import UNSET

from encoder.restart.policies import Always, Never
from stream.engine.engine import Answer, Engine
from stream.messages.errors import InputError
from stream.messages.types import Changed, Retracted, Update, Was, WordTime
from stream.sessions.session import REMEMBERED_SEGMENTS
from stream.sessions.snapshot import Entry, restore_sessions
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import brief, delete, drain, end, final, revisions_of, tell, update


@pytest.fixture
def engine() -> Engine:
    return Engine(FakeLabeller(), Always())


def test_a_span_is_published_when_its_word_arrives(engine):
    (revision,) = tell(engine, update("u", "we met"), update("u", "we met anna"))
    assert json.loads(msgspec.json.encode(revision)) == {
        "type": "revision",
        "tagger": "fake",
        "session": "s",
        "segment": "u",
        "rev": 1,
        "offset": 1,
        "final": False,
        "spans": [
            {"id": 1, "start": 7, "end": 11, "label": "person", "text": "anna", "stability": 0.99, "score": 0.99}
        ],
        "added": [1],
        "changed": [],
        "retracted": [],
        "score": 0.99,
        "settled": 7,
    }


def test_a_segment_is_as_suspect_as_its_most_suspicious_word(engine):
    """The fake tagger is .4 sure that a last "may" is no name, .99 that "so" is none."""
    told = [update("u", "anna so"), update("v", "so"), update("v", "so anna"), final("w", "so may"), final("x", "")]
    assert [(x.segment, x.score) for x in tell(engine, *told)] == [
        ("u", 0.99),
        ("v", 0.99),
        ("w", pytest.approx(0.6)),
        ("x", None),
    ]


def test_a_span_that_grows_keeps_its_id_and_the_model_is_the_cause(engine):
    *_, revision = tell(engine, update("u", "we met anna"), update("u", " rice", mode="append"))
    assert brief(revision.spans) == [(1, "person", "anna rice")]
    assert revision.changed == (Changed(id=1, was=Was(start=7, end=11, label="person"), cause="model"),)
    assert (revision.added, revision.retracted) == ((), ())


def test_a_label_that_moves_on_a_text_that_stood_is_retracted_because_of_the_model(engine):
    *_, revision = tell(engine, update("u", "may said"), update("u", "may said"), update("u", "may"))
    assert revision.retracted == (
        Retracted(id=1, start=0, end=3, label="person", text="may", cause="model"),
    )  # "said" was taken back, "may" stood


def test_a_rewritten_word_takes_its_span_with_it_because_of_the_input(engine):
    *_, revision = tell(engine, update("u", "we met anna"), update("u", "we met and"))
    assert revision.retracted == (Retracted(id=1, start=7, end=11, label="person", text="anna", cause="input"),)


def test_a_rewritten_word_of_the_same_label_keeps_the_span(engine):
    *_, revision = tell(engine, update("u", "we met anna"), update("u", "we met bob"))
    assert brief(revision.spans) == [(1, "person", "bob")]
    assert revision.changed == (Changed(id=1, was=Was(start=7, end=11, label="person"), cause="input"),)


def test_words_that_only_move_keep_their_spans(engine):
    *_, revision = tell(engine, update("u", "anna met bob in rome"), update("u", "well, Anna met no bob in Rome."))
    assert brief(revision.spans) == [(1, "person", "Anna"), (2, "person", "bob"), (3, "place", "Rome")]
    assert {x.cause for x in revision.changed} == {"input"}
    assert (revision.added, revision.retracted) == ((), ())


def test_a_repeat_costs_nothing(engine):
    tell(engine, update("u", "we met anna"))
    assert tell(engine, update("u", "we met anna"), update("u", "", mode="append")) == []
    assert (engine.stats.repeats, engine.stats.updates, engine.stats.flops) == (2, 1, 1)


def test_closing_publishes_exactly_one_final_revision_even_without_spans(engine):
    revisions = tell(engine, update("u", "we met"), final("u", "we met"), final("u", "we met"), update("u", "we met"))
    assert [(x.rev, x.final, x.spans, x.offset) for x in revisions] == [(1, True, (), 1)]


def test_closing_computes_whole_what_was_not():
    revisions = tell(
        Engine(FakeLabeller(), Never()), update("u", "may"), update("u", "may said"), final("u", "may said")
    )
    assert [(brief(x.spans), x.final) for x in revisions] == [([(1, "person", "may")], True)]


def test_an_edit_of_a_closed_segment_is_final_again(engine):
    revisions = tell(engine, final("u", "anna"), update("u", "anna met bob"), update("u", "bob"))
    assert [(x.rev, x.final, brief(x.spans)) for x in revisions] == [
        (1, True, [(1, "person", "anna")]),
        (2, True, [(1, "person", "anna"), (2, "person", "bob")]),
        (3, True, [(2, "person", "bob")]),
    ]
    assert revisions[-1].retracted[0].cause == "input"


def test_an_edit_that_changes_no_span_says_nothing(engine):
    assert len(tell(engine, final("u", "anna met"), update("u", "anna said"), final("u", "anna said"))) == 1


def test_an_edit_leaves_later_segments_alone(engine):
    revisions = tell(engine, final("a", "rome"), final("b", "there"), update("a", "anna"))
    assert [(x.segment, brief(x.spans)) for x in revisions] == [
        ("a", [(1, "place", "rome")]),
        ("b", [(2, "place", "there")]),
        ("a", [(3, "person", "anna")]),
    ]


def test_context_is_in_order_of_closing(engine):
    *_, revision = tell(engine, update("a", "rome"), final("b", "anna"), final("a", "rome"), final("c", "there"))
    assert brief(revision.spans)[0][1:] == ("place", "there")


def test_delete_retracts_what_was_published(engine):
    revisions = tell(engine, update("u", "anna"), delete("u"), update("u", "bob"))
    assert [(x.rev, x.final, brief(x.spans)) for x in revisions] == [
        (1, False, [(1, "person", "anna")]),
        (2, True, []),
        (3, False, [(2, "person", "bob")]),
    ]
    assert revisions[1].retracted == (Retracted(id=1, start=0, end=4, label="person", text="anna", cause="delete"),)


def test_delete_of_a_closed_segment_takes_it_out_of_the_context(engine):
    *_, revision = tell(engine, final("a", "rome"), final("b", "anna"), delete("b"), final("c", "there"))
    assert brief(revision.spans)[0][1:] == ("place", "there")


def test_delete_of_what_was_never_published_says_nothing(engine):
    assert tell(engine, update("u", "we met"), delete("u")) == []


def test_end_closes_what_is_open_in_order_of_opening(engine):
    revisions = tell(engine, update("b", "anna"), update("a", "rome"), final("c", "bob"), end())
    assert [(x.segment, x.final, x.offset) for x in revisions[-2:]] == [("b", True, 3), ("a", True, 3)]
    assert [x.rev for x in revisions] == [1, 2, 3, 4, 5]


def test_an_end_is_answered_with_its_last_closing(engine):
    for offset, message in enumerate((update("a", "anna"), update("b", "bob"), end())):
        engine.submit(message, offset)
    answers = [result.answered for result in drain(engine)]
    assert [x for x in answers if x] == [[Answer("s", 0)], [Answer("s", 1)], [Answer("s", 2)]]
    assert len(answers) == 5


def test_a_session_that_ended_begins_anew_but_its_numbers_go_on(engine):
    revisions = tell(engine, final("a", "rome"), end(), final("b", "there"), final("a", "anna"))
    assert [(x.rev, brief(x.spans)) for x in revisions] == [
        (1, [(1, "place", "rome")]),
        (2, []),
        (3, [(2, "person", "anna")]),
    ]
    assert engine.stats.sessions == 2


def test_a_session_that_is_long_over_is_forgotten():
    engine = Engine(FakeLabeller(), Always(), remember_seconds=60)
    for offset, session in enumerate(("a", "b")):
        engine.submit(final("u", "anna", session), offset, now=0.0)
        engine.submit(end(session), 10 + offset, now=float(offset))
    drain(engine)
    engine.expire(60.0)
    assert engine.pending == 1
    (result,) = drain(engine)
    assert (result.entries, result.answered, result.revisions) == ([Entry("a", None, None)], [], [])
    assert [x.rev for x in tell(engine, final("u", "bob", "a"), final("u", "bob", "b"), first=20)] == [1, 2]
    engine.expire(1000.0)
    assert engine.pending == 0  # both are back


def test_idle_sessions_are_closed():
    engine = Engine(FakeLabeller(), Always(), idle_seconds=10)
    engine.submit(update("u", "anna", session="old"), 0, now=0.0)
    engine.submit(update("u", "anna", session="new"), 1, now=0.0)
    engine.submit(update("u", "anna", session="new"), 2, now=5.0)
    drain(engine)
    assert (engine.expire(9.9), engine.expire(10.0), engine.expire(10.0)) == (0, 1, 0)
    (revision,) = revisions_of(drain(engine))
    assert (revision.session, revision.final, revision.offset, revision.rev) == ("old", True, 0, 2)
    with pytest.raises(InputError, match="unknown_session"):
        engine.submit(end("old"), 3)


def test_sessions_never_expire_by_default(engine):
    engine.submit(update("u", "anna"), 0, now=0.0)
    assert engine.expire(1e12) == 0


def test_drop_forgets_without_a_word(engine):
    tell(engine, update("u", "anna"))
    engine.submit(update("u", "anna met"), 1)
    engine.drop("s")
    (result,) = drain(engine)
    assert (result.revisions, result.answered) == ([], [Answer("s", 1)])
    assert [x.rev for x in tell(engine, update("u", "anna"))] == [1]


def test_times_of_words_come_back_on_spans(engine):
    words = [{"start": i, "end": i + 0.5} for i in range(4)]
    *_, revision = tell(
        engine,
        update("u", "we met anna rice", words=words),
        update("u", " in rome", mode="append", words=[{"start": 5, "end": 6}, {"start": 6, "end": 7}]),
        update("u", " paris", mode="append", time=9.0),
    )
    assert [(x.text, x.start_time, x.end_time) for x in revision.spans] == [("anna rice", 2, 3.5), ("rome paris", 6, 9)]


def test_a_delta_within_a_word_keeps_the_word_s_start(engine):
    *_, revision = tell(
        engine,
        update("u", "we an", words=[{"start": 0, "end": 1}, {"start": 1, "end": 2}]),
        update("u", "na", mode="append", words=[{"start": 2, "end": 3}]),
    )
    assert [(x.text, x.start_time, x.end_time) for x in revision.spans] == [("anna", 1, 3)]


def test_new_times_alone_are_no_news(engine):
    revisions = tell(
        engine, update("u", "anna", time=1.0), update("u", "anna", time=2.0), update("u", "anna met bob", time=3.0)
    )
    assert [[x.start_time for x in r.spans] for r in revisions] == [[1.0], [1.0, 3.0]]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (update("", "a"), "bad_id"),
        (update("u", "a", session="x" * 257), "bad_id"),
        (update("u\n", "a"), "bad_id"),
        (update("new", "\ud800"), "bad_text"),
        (update("u", "a" * 65537), "text_too_long"),
        (update("u", "a" * 65535, mode="append"), "text_too_long"),
        (update("u", "a", time=float("nan")), "bad_time"),
        (update("u", "a", words=[{"start": 0, "end": float("inf")}]), "bad_time"),
        (update("u", "a b", words=[{"start": 0, "end": 1}]), "words_mismatch"),
        (delete("v"), "unknown_segment"),
        (delete("u", session="t"), "unknown_session"),
        (end("t"), "unknown_session"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(engine, message, reason):
    tell(engine, update("u", "anna"))
    with pytest.raises(InputError, match=reason) as caught:
        engine.submit(message, 1)
    assert caught.value.reason == reason
    assert engine.pending == 0
    assert [x.rev for x in tell(engine, update("u", "anna met bob"))] == [2]


def test_good_input_at_the_limits(engine):
    tell(engine, update("u" * 256, "a\tb\r\n\0\x07" + "é" * 65529), update("u", "a b", mode="append", words=[]))


def test_a_segment_beyond_the_limit_closes_the_oldest_and_says_so(engine):
    tell(engine, *(update(f"u{i}", "anna") for i in range(64)))
    assert tell(engine, final("chat", "we met"), first=64)[0].closed_by is UNSET  # it is never open
    closed, opened = tell(engine, update("one more", "rome"), first=65)
    assert (closed.segment, closed.final, closed.offset, closed.closed_by) == ("u0", True, 65, "open_segments")
    assert (opened.segment, opened.final, opened.closed_by) == ("one more", False, UNSET)
    assert b"closed_by" not in msgspec.json.encode(opened)
    (edited,) = tell(engine, update("u0", "anna bob"), first=66)
    assert (edited.segment, edited.final, edited.closed_by) == ("u0", True, UNSET)
    assert engine.intake.open_segment_count == 64
    assert engine.stats.forced_closings == 1


def test_a_session_of_segments_that_nobody_closes_goes_on_for_ever(engine):
    found = tell(engine, *(update(f"u{i}", "anna") for i in range(500)))
    assert [x.segment for x in found if x.final] == [f"u{i}" for i in range(500 - 64)]
    assert {x.closed_by for x in found if x.final} == {"open_segments"}
    assert engine.intake.open_segment_count == 64


def test_an_update_behind_the_closing_in_the_same_record_is_not_lost_in_a_crash():
    """Messages of one record have one offset: the closing must not count as the last message of its segment."""

    def read_record(engine: Engine) -> list[Entry]:
        engine.submit(update("u2", "bob"), 2)
        engine.submit(update("u0", "anna rome"), 2)
        return [x for result in drain(engine) for x in result.entries]

    first = Engine(FakeLabeller(), Always(), max_open_segments=2)
    for offset in range(2):
        first.submit(update(f"u{offset}", "anna"), offset)
    before = [x for result in drain(first) for x in result.entries]
    entries = read_record(first)
    for kept in range(len(entries) + 1):
        second = Engine(FakeLabeller(), Always(), max_open_segments=2)
        second.restore(restore_sessions([*before, *entries[:kept]])["s"], "s")
        read_record(second)
        segments = second.intake.segments("s")
        assert {name: (x.text, x.closed) for name, x in segments.items()} == {
            "u0": ("anna rome", True),
            "u1": ("anna", False),
            "u2": ("bob", False),
        }


def test_a_session_s_memory_is_bounded(engine):
    tell(engine, *(final(f"u{i}", "anna met bob") for i in range(REMEMBERED_SEGMENTS * 3)))
    living = engine._sessions.active["s"]
    source = engine.intake._sessions.active["s"]
    for held in (living.state.segments, living.readings, living.labels.known, source.segments):
        assert len(held) == REMEMBERED_SEGMENTS
    tell(engine, *(final(f"long{i}", "we " * 20_000) for i in range(8)))
    for texts in (living.state.segments, source.segments):
        assert sum(len(x.text) for x in texts.values()) <= 1 << 18
    tell(engine, end())
    assert (engine._sessions.active, engine.intake._sessions.active, engine.intake._schedule._queues) == ({}, {}, {})


def test_an_edit_of_a_forgotten_segment_opens_it_anew(engine):
    tell(engine, *(final(f"u{i}", "anna") for i in range(REMEMBERED_SEGMENTS + 1)))
    (revision,) = tell(engine, update("u0", "bob"))
    assert (revision.final, revision.added) == (False, (REMEMBERED_SEGMENTS + 2,))


def test_an_engine_remembers_as_many_closed_segments_as_it_is_told():
    engine = Engine(FakeLabeller(), Never(), remember_segments=3)
    tell(engine, *(final(f"u{i}", "anna met bob") for i in range(5)))
    assert list(engine.intake.segments("s")) == ["u2", "u3", "u4"]
    [revision] = tell(engine, delete("u2"), first=5)
    assert [(x.text, x.cause) for x in revision.retracted] == [("anna", "delete"), ("bob", "delete")]
    with pytest.raises(InputError, match="unknown_segment"):
        engine.submit(delete("u1"), 9)


def test_a_speaker_who_is_named_late_is_published(engine):
    tell(engine, update("u", "we met anna"), final("u", "we met anna"))
    said = Update(session="s", segment="u", text="we met anna", final=True, speaker="ann")
    [revision] = tell(engine, said, first=2)
    assert (revision.final, revision.added, revision.changed, revision.retracted) == (True, (), (), ())
    assert [(x.id, x.text, x.speaker, x.start_time) for x in revision.spans] == [(1, "anna", "ann", None)]
    words = (WordTime(1, 2), WordTime(2, 3), WordTime(3, 4, "bob"))
    [revision] = tell(engine, Update(session="s", segment="u", text="we met anna", words=words), first=3)
    assert [(x.speaker, x.start_time) for x in revision.spans] == [("bob", 3)]
    assert (revision.rev, revision.score) == (4, 0.99)
    assert tell(engine, said, first=4) == []  # known already


def test_times_that_move_a_little_are_no_news(engine):
    def said(start: float) -> Update:
        return Update(session="s", segment="u", text="anna", words=(WordTime(start, start + 1),))

    assert len(tell(engine, said(1.0), said(1.1), said(1.2))) == 1
