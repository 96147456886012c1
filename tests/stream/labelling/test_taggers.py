"""Several taggers on one stream: what each says is what it would say alone, whoever else labels the same text."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart.policies import (
    Always,
    Entropy,
    Last,
    Never,
    StabilityThreshold,
    Whether,
)
from encoder.restart.standing import PolicyBatch
from encoder.session.session_encoder import SessionEncoder
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.multi_model import MultiModelLabeller
from tests.encoder.restart.reference import StandingWords, batch_of
from tests.stream.cuts import IDLE, REMEMBER, CutRun, in_groups, restore
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller, fake_labeller
from tests.stream.helpers import brief, delete, drain, end, final, tell, update
from tests.stream.hybrid import tiny_tagger, two_headed_tagger
from tests.stream.labelling.test_hybrid import LONG
from tests.stream.labelling.test_hybrid import VOCABULARY as HYBRID_VOCABULARY
from tests.stream.sessions.test_snapshot import CUTS, ROUGH, SIZES
from tests.stream.sessions.test_snapshot_hybrid import assert_same
from tests.stream.streams import ALL, messages, steps
from tests.tiny import tiny_checkpoint

BLIND = st.sampled_from([Always(), Never(), Last(3)])
"""Policies that look at no labels."""
SEEING = st.sampled_from([Entropy(0.5), StabilityThreshold(0.9), Whether(0.9)])
SCRIPTS = st.one_of(
    steps(HYBRID_VOCABULARY, ALL, sessions=3, most=30), steps(HYBRID_VOCABULARY, LONG, sessions=1, most=50)
)
LIMITS = st.sampled_from([{}, {"max_sessions": 1}])


def heads(*names, **limits):
    return HybridLabeller(two_headed_tagger(**limits), names)


def another_trunk(**limits):
    return HybridLabeller(tiny_tagger(tiny_checkpoint(seed=5, stability=8), **limits))


def said_by(tagger, revisions):
    return {"s": [x for x in revisions if x.tagger == tagger]}


def finals_of(revisions):
    """The labels of each closing."""
    return [(x.session, x.segment, [(s.start, s.end, s.label) for s in x.spans]) for x in revisions if x.final]


@settings(max_examples=15)
@given(SCRIPTS, BLIND, LIMITS)
def test_heads_of_one_trunk_say_together_what_each_says_alone(script, policy, limits):
    told = messages(script)
    together, a, b = (Engine(heads(*names, **limits), policy) for names in ("ab", "a", "b"))
    said = tell(together, *told)
    for name, alone in (("a", a), ("b", b)):
        assert said_by(name, said) == said_by(name, tell(alone, *told))
        assert together.stats.flops == alone.stats.flops
        assert together.stats.words_recomputed == alone.stats.words_recomputed
        assert together.stats.words == alone.stats.words
    assert together.stats.flips_model == a.stats.flips_model + b.stats.flips_model


@settings(max_examples=15)
@given(SCRIPTS, SEEING, LIMITS)
def test_where_doubts_differ_the_finals_of_each_head_are_those_it_has_alone(script, policy, limits):
    """One head's doubts have words of the other read anew too, so interims may differ."""
    told = messages(script)
    said = tell(Engine(heads("a", "b", **limits), policy), *told)
    for name in "ab":
        alone = tell(Engine(heads(name, **limits), policy), *told)
        assert finals_of(said_by(name, said)["s"]) == finals_of(alone)


@settings(max_examples=10)
@given(SCRIPTS, st.one_of(BLIND, SEEING))
def test_trunks_side_by_side_say_what_each_says_alone(script, policy):
    told = messages(script)
    beside = Engine(MultiModelLabeller([heads("a"), another_trunk()]), policy)
    said = tell(beside, *told)
    flops = 0
    for name, labeller in (("a", heads("a")), ("tiny", another_trunk())):
        alone = Engine(labeller, policy)
        assert said_by(name, said) == said_by(name, tell(alone, *told))
        flops += alone.stats.flops
    assert beside.stats.flops == flops


@settings(max_examples=15)
@given(SCRIPTS, SIZES, CUTS)
def test_under_always_a_cut_run_of_several_says_what_the_whole_run_says(script, sizes, cuts):
    def make():
        labeller = MultiModelLabeller([heads("b", "a"), another_trunk()])
        return Engine(labeller, Always(), idle_seconds=IDLE, remember_seconds=REMEMBER)

    groups = in_groups(messages(script), sizes)
    whole, cut = CutRun(make, groups).run(), CutRun(make, groups).run(cuts)
    assert_same(cut.revisions, whole.revisions)
    assert cut.failed == whole.failed == set()


WORDS = st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), max_size=6)


@given(st.lists(WORDS, min_size=1, max_size=3), st.floats(0, 1), st.integers(1, 6))
def test_the_most_doubtful_labelling_restarts_at_the_earliest_point_of_all(columns, threshold, count):
    words = min(map(len, columns))
    standings = []
    for column in columns:
        entropy, stability = np.array(column[:words], np.float32).reshape(-1, 2).T
        standings.append(StandingWords(entropy, stability, np.arange(1, words + 1, dtype=np.int32)))
    alone = batch_of(*standings)
    segment = np.array([[0, words, words + 1]])
    together = PolicyBatch(alone.words.reshape(len(columns), words), segment)
    for policy in (
        Always(),
        Never(),
        Last(count),
        Entropy(threshold),
        StabilityThreshold(threshold),
        Whether(threshold),
    ):
        assert policy.restart_points(together) == [min(policy.restart_points(alone))]


def test_a_restart_that_one_head_wants_reads_the_words_of_all_anew():
    """ "we" is settled for "fake" and unsettled for "speech" until a word follows it."""
    told = [update("u", "anna we"), update("u", "anna we anna")]
    alone, together = (Engine(fake_labeller(*names), Entropy(0.5)) for names in (["fake"], ["fake", "speech"]))
    tell(alone, *told)
    tell(together, *told)
    assert (alone.stats.words_recomputed, together.stats.words_recomputed) == (3, 4)


# Each tagger has its own revisions and ids


def test_one_message_is_answered_by_each_tagger_that_has_something_to_say():
    engine = Engine(fake_labeller("fake", "speech"), Always())
    first, *rest = tell(engine, update("u", "anna"), update("u", "anna met"), update("u", "anna met bob"))
    assert (first.tagger, first.rev, first.offset, brief(first.spans)) == ("fake", 1, 0, [(1, "person", "anna")])
    assert [(x.tagger, x.rev, x.offset, brief(x.spans)) for x in rest] == [
        ("fake", 2, 2, [(1, "person", "anna"), (2, "person", "bob")]),
        ("speech", 1, 2, [(1, "person", "met")]),
    ]
    closings = tell(engine, final("u", "anna met bob"), delete("u"), first=3)
    assert [(x.tagger, x.rev, x.final, x.offset) for x in closings] == [
        ("fake", 3, True, 3),
        ("speech", 2, True, 3),
        ("fake", 4, True, 4),
        ("speech", 3, True, 4),
    ]


def test_a_delete_is_told_by_those_who_told_of_the_segment():
    engine = Engine(fake_labeller("fake", "speech"), Always())
    revisions = tell(engine, update("u", "anna"), delete("u"))
    assert [(x.tagger, x.rev) for x in revisions] == [("fake", 1), ("fake", 2)]


def test_a_failure_voids_the_labels_of_all_taggers():
    engine = Engine(fake_labeller("fake", "speech@other", poison=["boom"]), Always())
    tell(engine, update("u", "anna met bob"))
    engine.submit(update("u", "anna met bob boom"), 1)
    (result,) = drain(engine)
    assert [x.offset for x in result.failures] == [1]
    revisions = tell(engine, update("u", "anna met bob"), first=2)
    assert [(x.tagger, x.rev, x.added) for x in revisions] == [("fake", 2, (3, 4)), ("speech", 2, (2,))]


# The taggers may be others when a session goes on


def kept(engine, *told, first=0):
    entries, revisions = [], []
    for offset, message in enumerate(told, first):
        engine.submit(message, offset)
        for result in drain(engine):
            entries += result.entries
            revisions += result.revisions
    return entries, revisions


def make(*taggers):
    return Engine(fake_labeller(*taggers), Always())


def go_on(log, *taggers):
    engine = make(*taggers)
    engine.restore(restore(log)["s"], "s")
    return engine


@pytest.mark.parametrize("model", ["fake", "other"])
def test_a_tagger_that_is_new_labels_what_stands_with_the_next_operation(model):
    log, _ = kept(make("fake"), final("a", "we met"), update("b", "anna met bob"), update("c", "bob met"))
    engine = go_on(log, "fake", f"speech@{model}")
    told = [update("b", "anna met bob ."), final("c", "bob met"), update("a", "we met anna"), delete("b")]
    revisions = tell(engine, *told, first=3)
    assert [(x.tagger, x.segment, x.rev, brief(x.spans)) for x in revisions if x.tagger == "speech"] == [
        ("speech", "b", 1, [(1, "person", "met")]),
        ("speech", "c", 2, []),
        ("speech", "a", 3, [(2, "person", "met")]),
        ("speech", "b", 4, []),
    ]
    assert said_by("fake", revisions) == said_by("fake", tell(go_on(log, "fake"), *told, first=3))


def test_a_tagger_that_comes_back_goes_on_with_its_numbers():
    log, first = kept(make("fake", "speech"), update("a", "anna met bob"), update("b", "bob met anna"))
    more, _ = kept(go_on(log, "fake"), update("a", "anna met bob ."), first=2)
    again = go_on([*log, *more], "speech", "fake")
    revisions = tell(again, update("a", "anna met bob . ."), update("b", "bob met anna ."), final("b", ""), first=3)
    assert [x.rev for x in first if x.tagger == "speech"] == [1, 2]
    # what it had of "a" went when "a" was written without it, what it had of "b" stands
    assert [(x.segment, x.rev, x.added) for x in revisions if x.tagger == "speech"] == [("a", 3, (3,)), ("b", 4, ())]
    gone = revisions[-2:]
    assert {(x.tagger, tuple(s.cause for s in x.retracted)) for x in gone} == {
        ("speech", ("input",)),
        ("fake", ("input", "input")),
    }


def test_other_taggers_numbers_outlive_the_end_of_a_session():
    log, _ = kept(make("speech"), final("a", "anna met bob"))
    more, _ = kept(go_on(log, "fake"), end(), first=1)
    assert [x.rev for x in tell(go_on([*log, *more], "speech"), final("a", "anna met bob"), first=2)] == [2]


SETS = st.lists(
    st.sampled_from([("fake",), ("fake", "speech"), ("speech@other", "fake"), ("fake", "b@other")]),
    min_size=1,
    max_size=6,
)


@settings(max_examples=80)
@given(steps(VOCABULARY, ROUGH, sessions=2, most=40), SIZES, CUTS, SETS)
def test_whoever_comes_and_goes_a_tagger_that_stays_says_the_same(script, sizes, cuts, sets):
    lives = iter([*sets, *sets[:1] * 100])
    groups = in_groups(messages(script), sizes)
    settled = partial(Engine, idle_seconds=IDLE, remember_seconds=REMEMBER)
    alone = CutRun(lambda: settled(FakeLabeller(), Always()), groups).run()
    mixed = CutRun(lambda: settled(fake_labeller(*next(lives)), Always()), groups).run(cuts)
    assert said(mixed, "fake") == said(alone, "fake")
    speech = CutRun(lambda: settled(fake_labeller("speech"), Always()), groups).run()
    theirs = finals_by_message(speech)
    for tagger in ("speech", "b"):
        for revisions in said(mixed, tagger).values():
            assert [x.rev for x in revisions] == list(range(1, len(revisions) + 1))
    assert {k: v for k, v in finals_by_message(mixed).items() if k[0] == "speech"}.items() <= theirs.items()


def said(run, tagger):
    found = {name: [x for x in told if x.tagger == tagger] for name, told in run.revisions.items()}
    return {name: told for name, told in found.items() if told}


def finals_by_message(run):
    return {
        (x.tagger, x.session, x.segment, x.offset): [(s.start, s.end, s.label) for s in x.spans]
        for told in run.revisions.values()
        for x in told
        if x.final and not any(gone.cause == "delete" for gone in x.retracted)
    }


@pytest.mark.parametrize("how", [" ", "case"])
@pytest.mark.parametrize("policy", [Always(), Never(), Last(2), Entropy(0.5), Whether(0.9)])
@pytest.mark.parametrize("count", [1, 9, 16, 17, 40, 60])
def test_a_head_that_is_new_reads_a_segment_whose_tokens_all_stand(count, policy, how):
    """No token is to be computed for those that were there; its labels are those of all tokens from the first on."""
    text = " ".join((HYBRID_VOCABULARY * 9)[:count])
    told = [final("u", "she went to rome"), update("x", text)]
    log, _ = kept(Engine(heads("b"), policy), *told)
    again = text + " " if how == " " else text.title()
    engine, whole = Engine(heads("a", "b"), policy), Engine(heads("a", "b"), policy)
    engine.restore(restore(log)["s"], "s")
    tell(whole, told[0], update("x", again))
    got = told_without_failure(engine, update("x", again), first=2)
    assert readings_of(engine, "x")[0] == readings_of(whole, "x")[0]
    assert [x.rev for x in got if x.tagger == "a"] == [1] * any(readings_of(engine, "x")[0])
    more = [update("x", again + " and peru"), final("x", again + " and peru in"), final("u", "She WENT to ROME ")]
    after = told_without_failure(engine, *more, first=3)
    assert finals_of(said_by("a", after)["s"]) == finals_of(said_by("a", tell(whole, *more, first=3))["s"])


def test_a_head_that_is_new_reads_a_segment_that_becomes_empty():
    log, _ = kept(Engine(heads("b"), Always()), final("u", "she went"), update("x", "we met ms rice"))
    for told in (update("x", ""), final("x", ""), update("u", "")):
        engine = Engine(heads("a"), Always())
        engine.restore(restore(log)["s"], "s")
        told_without_failure(engine, told, first=2)
        assert readings_of(engine, told.segment) == [[]]


def test_no_word_is_read_of_which_nothing_was_computed(monkeypatch):
    """What the fault was: had the plan nothing to compute, the step would fail; labels would not come from anywhere."""
    log, _ = kept(Engine(heads("b"), Always()), update("x", "we met ms rice"))
    engine = Engine(heads("a", "b"), Always())
    engine.restore(restore(log)["s"], "s")
    resume = SessionEncoder.resume_segment
    monkeypatch.setattr(
        SessionEncoder, "resume_segment", lambda *given: (resume(*given), forget_missing_scores(*given))
    )
    engine.submit(update("x", "we met ms rice "), 1)
    (failure,) = engine.step().failures
    assert "nothing was computed" in str(failure.error)


def forget_missing_scores(session, segment, *_):
    session._open[segment].scores_missing = False


def told_without_failure(engine, *messages, first):
    revisions = []
    for offset, message in enumerate(messages, first):
        engine.submit(message, offset)
        for result in drain(engine):
            assert result.failures == []
            revisions += result.revisions
    return revisions


def readings_of(engine, segment):
    """Each tagger's labels of the segment's words."""
    return [x.labels.tolist() for x in engine._sessions.active["s"].readings[segment]]


@pytest.mark.parametrize(("before", "after"), [("a", "ab"), ("b", "ab"), ("ab", "a"), ("ab", "ba"), ("a", "b")])
def test_heads_of_a_trunk_may_come_and_go(before, after):
    """What the heads that stay say is what they say without the change; those that come say the right finals."""
    told = [final(f"u{i}", " ".join(HYBRID_VOCABULARY[i : i + 5])) for i in range(4)]
    told += [update("x", "we met ms rice in"), update("y", "she went to rome and"), update("z", "the president")]
    log, _ = kept(Engine(heads(*before), Always()), *told)
    engine, whole = Engine(heads(*after), Always()), Engine(heads("a", "b"), Always())
    engine.restore(restore(log)["s"], "s")
    tell(whole, *told)
    more = [update("z", "The President"), update("x", "we met ms rice in paris"), final("y", "she went to rome and")]
    more += [final("u1", "peru and came"), update("z", "the president"), final("z", "The President of"), final("x", "")]
    got, expected = tell(engine, *more, first=20), tell(whole, *more, first=20)
    for name in after:
        if name in before:
            assert_same(said_by(name, got), said_by(name, expected))
        else:
            assert finals_of(said_by(name, got)["s"]) == finals_of(said_by(name, expected)["s"])
            assert [x.rev for x in said_by(name, got)["s"]] == list(range(1, len(said_by(name, got)["s"]) + 1))
    if set(before) & set(after):
        assert engine.stats.words_recomputed < 40  # no closed segment is computed again for its labels
