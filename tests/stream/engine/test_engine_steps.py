"""What a step takes, what it skips, what it counts, and that one session that fails stops no other."""

import pytest

from encoder.restart.policies import Always, Last
from stream.engine.engine import Answer, Engine
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import brief, delete, drain, end, final, revisions_of, tell, update


@pytest.fixture
def engine() -> Engine:
    return Engine(FakeLabeller(), Always())


def test_many_sessions_share_a_step_and_each_has_one_update_in_it():
    labeller = FakeLabeller()
    engine = Engine(labeller, Always())
    for offset in range(6):
        engine.submit(update("u", "anna " * (offset // 2 + 1), session=f"s{offset % 2}"), offset)
    assert engine.pending == 6
    results = drain(engine)
    assert labeller.steps == [2, 2, 2]
    assert [[x.offset for x in r.answered] for r in results] == [[0, 1], [2, 3], [4, 5]]


def test_the_token_budget_bounds_a_step_but_one_update_is_always_taken():
    labeller = FakeLabeller()
    engine = Engine(labeller, Always(), token_budget=50)
    for offset in range(3):
        engine.submit(update("u", "anna " * 100, session=f"s{offset}"), offset)
    drain(engine)
    assert labeller.steps == [1, 1, 1]


def test_repeats_and_deletes_do_not_take_a_step_of_their_session(engine):
    messages = [update("u", "anna"), update("u", "anna"), delete("u"), update("u", "bob"), update("u", "bob met")]
    for offset, message in enumerate(messages):
        engine.submit(message, offset)
    assert [[x.offset for x in r.answered] for r in drain(engine)] == [[0], [1, 2, 3], [4]]


def test_coalescing_computes_only_the_newest():
    engine = Engine(FakeLabeller(), Always(), coalesce=True)
    texts = ["anna", "anna met", "anna met bob"]
    for offset, text in enumerate(texts):
        engine.submit(update("u", text), offset)
    (result,) = drain(engine)
    assert [(x.offset, brief(x.spans)) for x in result.revisions] == [
        (2, [(1, "person", "anna"), (2, "person", "bob")])
    ]
    assert result.answered == [Answer("s", 0), Answer("s", 1), Answer("s", 2)]
    assert engine.stats.coalesced == 2


def test_coalescing_never_skips_a_closing():
    engine = Engine(FakeLabeller(), Always(), coalesce=True)
    for offset, message in enumerate([update("u", "a"), final("u", "anna"), update("u", "bob"), update("u", "rome")]):
        engine.submit(message, offset)
    assert [(x.offset, x.final, x.spans[0].text) for x in revisions_of(drain(engine))] == [
        (1, True, "anna"),
        (2, True, "bob"),
        (3, True, "rome"),
    ]


def test_a_poisoned_session_does_not_stop_the_others():
    engine = Engine(FakeLabeller(poison=["boom"]), Always())
    tell(engine, final("a", "rome", session="good"), final("a", "rome", session="bad"))
    engine.submit(final("b", "there", session="good"), 2)
    engine.submit(update("b", "there boom", session="bad"), 3)
    (result,) = drain(engine)
    assert [brief(x.spans) for x in result.revisions] == [[(2, "place", "there")]]  # its context was restored
    assert [(x.session, x.segment, x.offset, str(x.error)) for x in result.failures] == [
        ("bad", "b", 3, "poison in 'there boom'")
    ]
    assert sorted(result.answered) == [Answer("bad", 3), Answer("good", 2)]
    (revision,) = tell(engine, final("c", "anna", session="bad"))
    assert (revision.rev, revision.added) == (2, (2,))
    assert (engine.stats.failures, engine.stats.revisions) == (1, 4)


def test_a_bug_after_labelling_is_isolated_too(engine, monkeypatch):
    tell(engine, update("u", "anna", session="good"), update("u", "anna", session="bad"))
    revise = Engine._revise

    def break_one(self, job, stats):
        if job.write.session == "bad":
            raise RuntimeError("bug")
        return revise(self, job, stats)

    monkeypatch.setattr(Engine, "_revise", break_one)
    engine.submit(update("u", "anna met bob", session="bad"), 2)
    engine.submit(update("u", "anna met bob", session="good"), 3)
    (result,) = drain(engine)
    assert [x.session for x in result.revisions] == ["good"]
    assert [x.session for x in result.failures] == ["bad"]


def test_a_failing_delete_or_end_does_not_stop_the_others(engine, monkeypatch):
    tell(engine, *(update("u", "anna", session) for session in ("d", "e", "good")))

    def fail(*_):
        raise RuntimeError("bug")

    monkeypatch.setattr(engine._sessions.active["d"].labels, "delete_segment", fail)
    monkeypatch.setattr(engine._sessions.active["e"].labels, "free", fail)
    for offset, message in enumerate([delete("u", "d"), end("e"), end("good"), update("u", "bob", "d")], 3):
        engine.submit(message, offset)
    results = drain(engine)
    assert sorted(x.offset for r in results for x in r.answered) == [3, 4, 5, 6]
    assert [(x.session, x.offset) for r in results for x in r.failures] == [("d", 3), ("e", -1)]
    assert [(x.session, x.rev) for x in revisions_of(results)] == [("d", 2), ("e", 2), ("good", 2)]
    assert list(engine._sessions.active) == ["d"]


def test_counters_of_words_restarts_and_flips():
    engine = Engine(FakeLabeller(), Last(2))
    tell(
        engine,
        update("u", "we met may"),  # 3 arrive, append
        update("u", "we met may said"),  # 1 arrives, 2 computed: local, "may" flips
        update("u", "we met may river"),  # 1 arrives, the word before is invalid: local, "may" flips again
        update("u", "we may met river"),  # 3 arrive: "may" and "met" change places, the first as input
        update("u", "we may met river anna"),  # 1 arrives, 2 computed: local
        final("u", "we may met river anna"),  # 5 computed
    )
    stats = engine.stats
    assert (stats.words, stats.words_recomputed) == (9, 3 + 2 + 2 + 4 + 2 + 5)
    assert (stats.appends, stats.local_restarts, stats.full_restarts, stats.closing_restarts) == (1, 3, 1, 1)
    assert (stats.flips_model, stats.flips_input, stats.active_restarts) == (2, 1, 3)
    assert (stats.messages, stats.updates, stats.repeats) == (6, 6, 0)


def test_stats_of_steps_add_up(engine):
    for offset, text in enumerate(["anna", "anna may", "anna may said", "bob"]):
        engine.submit(update("u", text), offset)
    total = type(engine.stats)()
    for result in drain(engine):
        total.add(result.stats)
    assert total == engine.stats
    assert total.revisions > 1
