"""The same promises on a real hybrid encoder with random weights, whose small windows make every rule bite."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Always, Entropy, Last, Never
from stream.engine.engine import Engine
from tests.stream.checks import Reader
from tests.stream.helpers import delete, drain, end, final, revisions_of, tell, update
from tests.stream.hybrid import tiny_tagger
from tests.stream.streams import ALL, GROWING, messages, steps
from tests.tiny import WORDS

VOCABULARY = [*WORDS[:14], "Rice", "anna", "x,", "4.5", "президент", "東京", "e\u0301"]
POLICIES = st.sampled_from([Always(), Never(), Last(3), Entropy(0.5)])


def follow(engine, told):
    reader = Reader()
    for offset, message in enumerate(told):
        reader.message(message, tell(engine, message, first=offset))
    return reader


@settings(max_examples=40)
@given(steps(VOCABULARY, ALL), POLICIES)
def test_every_promise_to_readers_holds(script, policy):
    engine = Engine(tiny_tagger(), policy)
    follow(engine, messages(script))
    assert engine.stats.failures == 0


LONG = ("append",) * 8 + ("delta", "rewrite", "shrink", "close")


@settings(max_examples=60)
@given(
    st.one_of(steps(VOCABULARY, GROWING, most=40), steps(VOCABULARY, LONG, sessions=1, most=60)),
    POLICIES,
    st.sampled_from([{}, {"max_sessions": 1}]),
)
def test_final_equals_offline(script, policy, limits):
    engine = Engine(tiny_tagger(**limits), policy)
    reader = follow(engine, messages(script))
    offline = Engine(tiny_tagger(), Always())
    for session, segment, text, spans in reader.finals:
        (revision,) = tell(offline, final(segment, text, session))
        assert [(x.start, x.end, x.label) for x in revision.spans] == [(x.start, x.end, x.label) for x in spans]
    assert engine.stats.failures == offline.stats.failures == 0


@settings(max_examples=25)
@given(steps(VOCABULARY, ALL, sessions=4), POLICIES)
def test_the_same_input_gives_the_same_bytes(script, policy):
    runs = []
    for _ in range(2):
        engine = Engine(tiny_tagger(), policy)
        for offset, message in enumerate(messages(script)):
            engine.submit(message, offset)
        runs.append(msgspec.json.encode([(x.revisions, x.answered, x.stats) for x in drain(engine)]))
        assert engine.stats.failures == 0
    assert runs[0] == runs[1]


def test_appending_only_computes_each_word_once_and_never_flips():
    engine = Engine(tiny_tagger(), Never())
    text = ""
    for offset, word in enumerate(WORDS[:10]):
        text += " " + word
        engine.submit(update("u", text), offset)
    drain(engine)
    stats = engine.stats
    assert (stats.words, stats.words_recomputed, stats.appends) == (10, 10, 10)
    assert (stats.flips_model, stats.flips_input, stats.local_restarts, stats.full_restarts) == (0, 0, 0, 0)
    assert stats.flops > 0


def test_restarts_are_counted_by_their_kind():
    engine = Engine(tiny_tagger(), Last(2))
    tell(
        engine,
        update("u", "we met"),
        update("u", "we met ms"),
        update("u", "we met ms rice"),
        final("u", "we met ms rice"),
    )
    stats = engine.stats
    assert (stats.appends, stats.local_restarts, stats.full_restarts, stats.closing_restarts) == (1, 2, 0, 1)
    assert (stats.words, stats.words_recomputed) == (4, 2 + 2 + 2 + 4)


def test_a_segment_that_arrives_whole_costs_nothing_extra():
    engine = Engine(tiny_tagger(), Always())
    tell(engine, final("u", "we met ms rice"))
    assert (engine.stats.words_recomputed, engine.stats.appends, engine.stats.closing_restarts) == (4, 1, 0)


@pytest.mark.parametrize("text", ["We met Ms Rice", " we  met ms rice ", "we met ms rice"])
def test_case_and_white_space_cost_nothing(text):
    engine = Engine(tiny_tagger(), Always())
    tell(engine, update("u", "we met ms rice"))
    before = engine.stats.flops
    revisions = tell(engine, update("u", text), first=1)
    assert engine.stats.flops == before
    assert all(x.cause == "input" for r in revisions for x in r.changed)
    assert not any(r.added or r.retracted for r in revisions)
    tell(engine, final("v", "x"), final("u", text), update("u", "we met ms rice"))
    assert engine.stats.failures == 0


@pytest.mark.parametrize("last", ["edit", "delete"])
def test_a_name_that_comes_back_after_it_was_forgotten_is_another_segment(last):
    """It closes without a word, so the context shows nothing of it; the one of that name that it shows must stay."""
    engine, whole = (Engine(tiny_tagger(), Always(), remember_segments=2) for _ in range(2))
    first = [final("a", "she went to rome"), final("b", "we met"), final("c", "ms rice"), final("a", "")]
    again = update("a", "back in peru on monday") if last == "edit" else delete("a")
    tell(engine, *first, again)
    tell(whole, *first[:3])
    got, expected = (tell(e, final("d", "rice in paris"), first=9) for e in (engine, whole))
    assert [(x.start, x.end, x.label) for x in got[0].spans] == [(x.start, x.end, x.label) for x in expected[0].spans]
    scores = [e._sessions.active["s"].readings["d"][0].probability for e in (engine, whole)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert engine.stats.failures == 0


def test_a_failing_step_is_retried_for_each_session_alone(monkeypatch):
    tagger = tiny_tagger()
    engine, whole = Engine(tagger, Last(2)), Engine(tiny_tagger(), Last(2))
    told = [final("a", "we met ms rice in paris", "s0"), final("a", "she went to rome", "s1")]
    told += [update("b", "with the president of", "s0"), update("b", "peru and", "s1")]
    for e in (engine, whole):
        tell(e, *told)
    step, calls = tagger.sessions.encoder.step, []

    def break_once(passes):
        calls.append(len(passes))
        if len(calls) == 1:
            raise RuntimeError("once")
        return step(passes)

    monkeypatch.setattr(tagger.sessions.encoder, "step", break_once)
    closing = [final("b", "with the president of peru", "s0"), final("b", "peru and came", "s1")]
    for e in (engine, whole):
        for offset, message in enumerate(closing, 4):
            e.submit(message, offset)
    got, expected = revisions_of(drain(engine)), revisions_of(drain(whole))
    assert calls[0] == 2
    assert [(x.session, x.rev, [s.label for s in x.spans]) for x in got] == [
        (x.session, x.rev, [s.label for s in x.spans]) for x in expected
    ]
    assert engine.stats.failures == 0


def test_sessions_that_ended_leave_nothing_behind():
    tagger = tiny_tagger()
    engine = Engine(tagger, Always())
    for i in range(5):
        tell(engine, update("u", "we met ms rice", f"s{i}"), end(f"s{i}"))
    assert tagger.sessions.encoder.pages_in_use == 0
    assert engine._sessions.active == {}


def test_one_long_session_keeps_its_pages_and_its_cost():
    tagger = tiny_tagger()
    engine = Engine(tagger, Last(3))
    costs, pages = [], []
    for i in range(12):
        before = engine.stats.flops
        for k in range(4):
            tell(engine, *(update(f"u{i}.{k}", " ".join(WORDS[: n + 1])) for n in range(10)))
            tell(engine, final(f"u{i}.{k}", " ".join(WORDS[:10])))
        costs.append(engine.stats.flops - before)
        pages.append(tagger.sessions.encoder.pages_in_use)
    assert engine.stats.reanchors >= 12  # 40 words a round, 48 positions
    assert max(costs[2:]) < 1.5 * min(costs[2:])
    assert max(pages[2:]) <= tagger.config.positions // tagger.config.page_size * 3


def test_evictions_are_counted_and_change_nothing():
    few, many = Engine(tiny_tagger(max_sessions=1), Always()), Engine(tiny_tagger(), Always())
    told = [final(f"u{i // 2}", " ".join(WORDS[i : i + 4]), f"s{i % 2}") for i in range(8)]
    labels = [[[(s.start, s.label) for s in x.spans] for x in tell(engine, *told)] for engine in (few, many)]
    assert labels[0] == labels[1]
    assert (few.stats.evictions, many.stats.evictions) == (7, 0)
    assert few.stats.flops > many.stats.flops
